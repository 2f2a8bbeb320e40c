"""Rows of two-stage experiments: both stages trained as the commands train, then
measured as `evaluate_run` does.
"""

import re
import shutil
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from twostage.errors import InputError
from twostage.evaluation.evaluate_run import measure_run
from twostage.evaluation.protocol import Protocol
from twostage.experiments import image_runs
from twostage.experiments.experiment import Result, Row, Setting
from twostage.features import choose
from twostage.runs.run import finished_stage1

# Settings that are lengths, in epochs.
LENGTHS = ("epochs", "halve_every")
# What says that a stage is finished.
FINISHED = ("model.keras", "recalibrated.keras")


def measure_row(
    row: Row,
    seed: int,
    *,
    setting: Setting,
    full_epochs: int,
    preset: str,
    mixtures: Sequence[int] = (),
) -> Result:
    """The numbers of a row that the papers' tables have; arguments as `evaluate_row`
    takes them.
    """
    evaluation = evaluate_row(
        row,
        seed,
        setting=setting,
        full_epochs=full_epochs,
        preset=preset,
        mixtures=mixtures,
    )
    return table_numbers(evaluation)


def evaluate_row(
    row: Row,
    seed: int,
    *,
    setting: Setting,
    full_epochs: int,
    preset: str,
    mixtures: Sequence[int] = (),
) -> dict[str, Any]:
    """Trains both stages of a row and evaluates them.

    Args:
        row: With settings `stage1` and `stage2`, as differences from the preset.
        seed: Of both stages and the evaluation.
        setting: What the rows share. The lengths in the settings are the paper's; they
            are multiplied by setting.epochs / full_epochs.
        full_epochs: The experiment's length.
        preset: Name of the preset.
        mixtures: Numbers of Gaussians of the mixtures that are fitted to the latents.

    Returns:
        The evaluation, in JSON's types.
    """
    run = setting.path(row.name, seed)
    share = setting.epochs / full_epochs
    if row.continues and not (run / "stage1").exists():
        _copy_unfinished_stage1(setting.path(row.continues, seed), run)
    stage1 = {
        **setting.stage1_settings,
        "seed": seed,
        **_shorten(row.settings["stage1"], share),
    }
    stage2 = {
        "precision": setting.precision,
        "seed": seed,
        **_shorten(row.settings["stage2"], share),
    }
    image_runs.train_stage(1, run, changes=stage1, preset=preset)
    image_runs.train_stage(2, run, changes=stage2, preset=preset)
    return _evaluate(run, seed, setting, mixtures)


def table_numbers(evaluation: dict[str, Any]) -> Result:
    """The numbers of an evaluation that the papers' tables have.

    Distances of reconstructions and of each kind of sample, in the units of the
    extractor; squared error per dimension of the reference's reconstructions; variance
    law and inactive latents, by E[sigma^2] as the papers define them and by E[sigma] as
    Asperti & Trentin's code has them.
    """
    latents = evaluation["latents"]["posterior"]
    distances = evaluation["distances"]
    result = {kind: numbers["frechet"] for kind, numbers in distances.items()}
    result["mse"] = distances["REC"]["mse"]
    result["variance law"] = latents["variance_law"]
    result["variance law, E[sigma]"] = latents["variance_law_sd"]
    result["inactive"] = latents["latents"] - latents["active"]
    result["inactive, E[sigma]"] = latents["latents"] - latents["active_sd"]
    return result


def known_data(data: str, names: Iterable[str], *, what: str) -> str:
    """The one of `names` that a data set's name begins with; hyphens and underscores do
    not count.

    Args:
        data: Name or path of the images.
        names: Names of data sets that are known.
        what: Which of their properties is needed, for the message.

    Raises:
        InputError: the name begins with none of them.
    """
    file_name = _plain(Path(data).name)
    names = list(names)
    for name in names:
        if file_name.startswith(_plain(name)):
            return name
    *first, last = names
    raise InputError(
        f"`data={data!r}`",
        f"a name that begins with {', '.join(first)} or {last}, whose {what} these rows"
        " have",
        "rename it",
    )


def _plain(name: str) -> str:
    return re.sub(r"[-_]", "", name.lower())


def _shorten(settings: dict[str, Any], share: float) -> dict[str, Any]:
    """Settings with their lengths multiplied by `share`, at least 1."""
    lengths = {
        name: shortened(settings[name], share) for name in LENGTHS if name in settings
    }
    return {**settings, **lengths}


def shortened(length: int, share: float) -> int:
    """A length in epochs times `share`, at least 1."""
    return max(1, round(length * share))


def _evaluate(
    run: Path, seed: int, setting: Setting, mixtures: Sequence[int]
) -> dict[str, Any]:
    data = choose.load_labeled(finished_stage1(run).saved_config())
    extractor = choose.chosen_extractor(data, setting.extractor, setting.weights)
    result, _ = measure_run(
        run, data, Protocol(), extractor, seed=seed, mixtures=mixtures
    )
    return result.to_json()


def _copy_unfinished_stage1(shorter_run: Path, run: Path) -> None:
    """Copies stage 1 of a shorter row without what says that it is finished, so that it
    is trained further. `run` appears whole or not at all; not, where the shorter row is
    not finished.
    """
    if not (shorter_run / "stage1" / "model.keras").exists():
        return
    part = run.with_name(f"{run.name}.part")
    shutil.rmtree(part, ignore_errors=True)
    shutil.copytree(
        shorter_run / "stage1",
        part / "stage1",
        ignore=shutil.ignore_patterns(*FINISHED),
    )
    run.parent.mkdir(parents=True, exist_ok=True)
    shutil.rmtree(run, ignore_errors=True)
    part.rename(run)
