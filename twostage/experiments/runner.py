"""Runs an experiment: its rows with every seed, then the report."""

import logging
from collections.abc import Container, Iterable, Sequence
from pathlib import Path

from twostage.errors import DivergedError, InputError, check_whole
from twostage.experiments import table
from twostage.experiments.experiment import (
    Experiment,
    Measure,
    Result,
    Results,
    Row,
    Setting,
)
from twostage.experiments.report import write_report
from twostage.system import files
from twostage.system.locks import held

MAX_QUICK_SEEDS = 2

logger = logging.getLogger(__name__)


def run(
    experiment: Experiment,
    out: str | Path,
    *,
    seeds: int | None = None,
    epochs: int | None = None,
    data: str = "",
    quick: bool = False,
    extractor: str | None = None,
    weights: str | None = None,
    partial: bool = False,
    precision: str = "float32",
    rows: Sequence[str] | None = None,
) -> Results:
    """Runs or resumes the rows; writes OUT/results.md, OUT/report.html, the charts
    OUT/*.svg and OUT/ROW-SEED.json. A length other than the paper's has a folder of its
    own, OUT/N-epochs.

    Args:
        experiment: The experiment.
        out: Folder of the results; rows that it has already are not run again.
        seeds: Number of seeds, 0 to N - 1; None: the paper's.
        epochs: Length of the longest row; None: the paper's.
        data: Images, as `data` of a `Stage1Config`; "": the experiment's.
        quick: Whether `epochs` and `seeds` are for two cores where they are None.
        extractor: Name of the feature extractor; None: a classifier of the data where
            they have labels.
        weights: File that the extractor is read from.
        partial: Whether an incomplete CelebA is accepted.
        precision: Dtype policy of the networks.
        rows: Names of the rows to run; those that they need are run, too. None: all.

    Returns:
        {row's name: a result per seed}, of these rows and of others that the folder has
        with every seed.

    Raises:
        InputError: an option that does not fit the experiment, or a folder with rows of
            another one.
    """
    names = _names_to_run(experiment, rows)
    _check_options(experiment, data, extractor, precision)
    length = _default_epochs(experiment, quick) if epochs is None else epochs
    seeds = _default_seeds(experiment, quick) if seeds is None else seeds
    check_whole("epochs", length, 1)
    check_whole("seeds", seeds, 1)
    digest = _extractor_digest(extractor, weights)
    setting = Setting(
        folder=_folder(experiment, Path(out), length),
        epochs=length,
        data=data or experiment.data or "",
        extractor=extractor,
        weights=weights,
        partial=partial,
        precision=precision,
    )
    setting.folder.mkdir(parents=True, exist_ok=True)
    with held(setting.folder):
        _keep_apart(setting.folder, _identity(experiment, setting, digest))
        chosen = _rows_of_table(experiment, names, setting, seeds)
        results = run_rows(chosen, experiment.measure, setting, range(seeds))
        write_report(experiment, setting, results=results, seeds=seeds)
    return results


def run_rows(
    rows: Sequence[Row], measure: Measure, setting: Setting, seeds: Iterable[int]
) -> Results:
    """Measures every row with every seed. What the setting's folder has already, as
    ROW-SEED.json, is read from there.

    Args:
        rows: In an order in which each needs only those before it.
        measure: Trains and measures a row with one seed.
        setting: What the rows share.
        seeds: In order. All rows of a seed come before the next.

    Returns:
        {row's name: a result per seed}. A row whose training diverged has `diverged`
        alone, the reason.
    """
    setting.folder.mkdir(parents=True, exist_ok=True)
    results: Results = {row.name: [] for row in rows}
    for seed in seeds:
        earlier: dict[str, Result] = {}
        for row in rows:
            result = _run_row(row, measure, seed, earlier, setting)
            earlier[row.name] = result
            results[row.name].append(result)
    return results


def _run_row(
    row: Row,
    measure: Measure,
    seed: int,
    earlier: dict[str, Result],
    setting: Setting,
) -> Result:
    path = setting.path(row.name, seed, ".json")
    if path.exists():
        return files.read_config(path, "remove it, and the row is run again")
    try:
        if row.needs and "diverged" in earlier[row.needs]:
            raise DivergedError(f"{row.needs}, which it needs, diverged")
        result = measure(row, seed, earlier, setting)
    except DivergedError as error:  # rows that do not need it go on
        result = {"diverged": str(error)}
    files.write_json(path, result)
    logger.info(f"{row.name}, seed {seed}: {_in_a_line(result)}")
    return result


def _in_a_line(result: Result) -> str:
    if "diverged" in result:
        return result["diverged"]
    numbers = table.numbers(result)
    return ", ".join(f"{name} {value:.4g}" for name, value in numbers.items())


def _names_to_run(experiment: Experiment, chosen: Sequence[str] | None) -> set[str]:
    """The chosen rows and those that they need; all rows of None."""
    known = [row.name for row in experiment.rows]
    if chosen is None:
        return set(known)
    unknown = [name for name in chosen if name not in known]
    if unknown:
        raise InputError(
            f"rows {', '.join(map(repr, unknown))}",
            f"rows of {experiment.name}: {'; '.join(known)}",
            "take names of this list, each in quotes",
        )
    names = set(chosen)
    for row in reversed(experiment.rows):  # a row comes after those that it needs
        if row.name in names and row.needs:
            names.add(row.needs)
    return names


def _rows_of_table(
    experiment: Experiment, names: Container[str], setting: Setting, seeds: int
) -> list[Row]:
    """Those of these names, and others that the folder has with every seed."""

    def is_finished(row: Row) -> bool:
        paths = [setting.path(row.name, seed, ".json") for seed in range(seeds)]
        return all(path.exists() for path in paths)

    return [row for row in experiment.rows if row.name in names or is_finished(row)]


def _check_options(
    experiment: Experiment, data: str, extractor: str | None, precision: str
) -> None:
    name = experiment.name
    if data and experiment.data is None:
        raise InputError(
            f"`data={data!r}`", f"none, as {name} makes its own data", "drop it"
        )
    if extractor and not experiment.measures_distances:
        raise InputError(
            f"`extractor={extractor!r}`",
            f"none, as {name} measures no distance between images",
            "drop it",
        )
    if precision != "float32" and not experiment.takes_precision:
        raise InputError(
            f"`precision={precision!r}`",
            f"none, as {name} has a precision of its own",
            "drop it",
        )


def _default_epochs(experiment: Experiment, quick: bool) -> int:
    return experiment.quick_epochs if quick else experiment.full_epochs


def _default_seeds(experiment: Experiment, quick: bool) -> int:
    return min(MAX_QUICK_SEEDS, experiment.seeds) if quick else experiment.seeds


def _folder(experiment: Experiment, out: Path, epochs: int) -> Path:
    return out if epochs == experiment.full_epochs else out / f"{epochs}-epochs"


def _extractor_digest(extractor: str | None, weights: str | None) -> str:
    """Digest of an extractor that is read from a file, else "". It is read before the
    first row, so that a wrong file fails at once.
    """
    from twostage.features.choose import check_extractor, chosen_extractor

    check_extractor(extractor, weights)
    if not weights:
        return ""
    return chosen_extractor(None, extractor, weights).digest


def _identity(experiment: Experiment, setting: Setting, digest: str) -> dict[str, str]:
    """What the results of a folder have in common, as about.json keeps it."""
    identity = {
        "experiment": experiment.name,
        "data": f"{setting.data} (a part)" if setting.partial else setting.data,
    }
    if setting.extractor:
        identity["extractor"] = f"{setting.extractor} {digest}".strip()
    if setting.precision != "float32":
        identity["precision"] = setting.precision
    return identity


def _keep_apart(folder: Path, identity: dict[str, str]) -> None:
    """Refuses a folder with rows of another experiment or of other data, since finished
    rows are not run again.
    """
    path = folder / "about.json"
    fix = "bring it back from a copy, or take another `out`"
    kept = files.read_config(path, fix) if path.exists() else {}
    has_rows = any(folder.glob("*-[0-9]*.json"))
    if kept not in ({}, identity) and has_rows:
        raise InputError(
            f"{_described(identity)} for {folder}",
            f"{_described(kept)}, whose rows it has",
            "take another `out`",
        )
    files.write_json(path, identity)


def _described(identity: dict[str, str]) -> str:
    experiment, *details = identity.values()
    text = ", ".join(detail for detail in details if detail)
    return f"{experiment} on {text}" if text else experiment
