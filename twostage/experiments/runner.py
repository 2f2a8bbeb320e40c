"""What the commands of the experiments share: run the rows, write the table and the
figures.
"""

import html
from importlib import import_module
from pathlib import Path

from twostage.errors import InputError
from twostage.experiments import table
from twostage.reporting import charts, html_page, markdown
from twostage.system import files
from twostage.system.locks import held

NAMES = (
    "balancing",
    "balancing_faces",
    "berger_sebag",
    "berger_sebag_images",
    "beta_sigma",
    "dai_wipf",
    "gamma_rules",
    "hypersphere",
    "ill_posed",
    "likelihoods",
    "local_optima",
    "rae",
)


def about(name):
    """An experiment in a few words, and what its flags default to: (description, seeds,
    lengths, data).
    """
    paper = import_module(f"twostage.experiments.{name}")
    what = paper.__doc__.split("`: ", 1)[-1].split("\n", 1)[0]
    return (
        what,
        str(paper.SEEDS),
        f"{paper.LENGTH}, with --quick {paper.QUICK}",
        getattr(paper, "DATA", "its own"),
    )


def run(
    name,
    out,
    seeds=None,
    epochs=None,
    data="",
    quick=False,
    extractor=None,
    weights=None,
    partial=False,
    precision="float32",
):
    """Runs the rows of `twostage.experiments.NAME`; writes OUT/results.md,
    OUT/report.html and the charts OUT/*.svg. Another length has a folder of its own,
    OUT/N-epochs.

    An experiment's module has `ROWS`; `LENGTH` and `SEEDS`, the paper's, and `QUICK`, a
    length for two cores; `measured(row, seed, found, setting)`; where there are any,
    `figures(results, setting)`, which gives pairs (a chart as SVG or the path of a PNG,
    caption); `DATA`, where it takes images; and `DISTANCES = False`, where it takes
    them and measures no distance between them.
    """
    paper = import_module(f"twostage.experiments.{name}")
    if data and not hasattr(paper, "DATA"):
        raise InputError(
            f"received --data {data}, but {name} makes its own data: drop it"
        )
    length = epochs or (paper.QUICK if quick else paper.LENGTH)
    seeds = seeds or (min(2, paper.SEEDS) if quick else paper.SEEDS)
    if extractor and not _has_distances(paper):
        raise InputError(
            f"received --extractor {extractor}, but {name} measures no distance between"
            " images: drop it"
        )
    if precision != "float32" and not _has_distances(paper):
        raise InputError(
            f"received --precision {precision}, but {name} has a precision of its own:"
            " drop it"
        )
    from twostage.features.choose import check_extractor, chosen_extractor

    check_extractor(extractor, weights)
    network = (
        chosen_extractor(None, extractor, weights).digest if weights else ""
    )  # read once before the first row, so that a wrong file is told
    setting = table.Setting(
        Path(out) if length == paper.LENGTH else Path(out) / f"{length}-epochs",
        length,
        data or getattr(paper, "DATA", ""),
        extractor,
        weights,
        partial,
        precision,
    )
    setting.folder.mkdir(parents=True, exist_ok=True)
    with held(setting.folder):
        told = {
            "extractor": f"{extractor} {network}".strip() if extractor else "",
            "precision": precision if precision != "float32" else "",
        }
        _keep_apart(
            setting.folder,
            {
                "experiment": name,
                "data": setting.data + " (a part)" * partial,
                **{key: value for key, value in told.items() if value},
            },
        )
        found = table.run(paper.ROWS, paper.measured, setting, range(seeds))
        _write(paper, name, setting, found, seeds)


def _write(paper, name, setting, found, seeds):
    header, lines = table.table(paper.ROWS, found)
    said = (
        f"{setting.epochs} of {paper.LENGTH} epochs, {seeds} of {paper.SEEDS} seeds,"
        f" {setting.precision}; ours is mean +- standard deviation."
    )
    if _has_distances(paper):
        said += (
            " Our distances are by the extractor"
            f" {setting.extractor or 'of the data (a classifier, where they have labels)'};"
            " the papers' FID is by inception2015."
        )
    files.write(
        setting.folder / "results.md",
        f"# {name}\n\n{said}\n\n{markdown.markdown_table(header, lines)}",
    )
    what = html.escape(paper.__doc__.split("`: ", 1)[-1])
    body = [
        f"<h1>{name}</h1><p>{what}</p>",
        html_page.table(said, header, lines),
        '<h2>Figures</h2><div class="grid wide">',
    ]
    diverged = [
        f"{row}, seed {seed}"
        for row, ones in found.items()
        for seed, one in enumerate(ones)
        if "diverged" in one
    ]
    if diverged:
        body.append(
            f"<p>None, for these diverged: {html.escape('; '.join(diverged))}.</p>"
        )
    figures = (
        paper.figures(found, setting)
        if hasattr(paper, "figures") and not diverged
        else ()
    )
    for i, (drawn, caption) in enumerate(figures, 1):
        if isinstance(drawn, str):
            files.write(setting.folder / f"figure-{i}.svg", charts.standalone(drawn))
            body.append(
                f"<figure>{drawn}<figcaption>{html.escape(caption)}</figcaption></figure>"
            )
        else:
            body.append(html_page.figure(drawn, caption))
    files.write(
        setting.folder / "report.html", html_page.document(name, [*body, "</div>"])
    )
    print(
        f"{markdown.markdown_table(header, lines)}\nwrote {setting.folder}: results.md,"
        " report.html, charts (.svg), a .json each row and seed"
    )


def _has_distances(paper):
    return getattr(paper, "DISTANCES", hasattr(paper, "DATA"))


def _keep_apart(folder, told):
    """Rows that are done are taken as they are, so a folder has one experiment on one
    data set.
    """
    kept = files.read_json(folder / "about.json")
    if kept not in ({}, told) and any(folder.glob("*-[0-9]*.json")):
        raise InputError(
            f"{folder} has rows of {_said(**kept)}, received {_said(**told)}: take"
            " another --out"
        )
    files.write_json(folder / "about.json", told)


def _said(experiment, **how):
    return " on ".join(
        filter(None, [experiment, ", ".join(filter(None, how.values()))])
    )
