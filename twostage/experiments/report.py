"""The files of an experiment: results.md, report.html and the charts."""

import html
import logging

from twostage.experiments import table
from twostage.experiments.experiment import Experiment, Figure, Results, Setting
from twostage.reporting import charts, html_page, markdown
from twostage.system import files

logger = logging.getLogger(__name__)


def write_report(
    experiment: Experiment, setting: Setting, *, results: Results, seeds: int
) -> None:
    """Writes results.md, report.html and the charts to the setting's folder, and logs
    the table.

    Args:
        experiment: The experiment.
        setting: How it was run.
        results: Of the rows that were run.
        seeds: Number of seeds that were run.
    """
    rows = [row for row in experiment.rows if row.name in results]
    header, lines = table.results_table(rows, results)
    table_text = markdown.markdown_table(header, lines)
    summary = _summary(experiment, setting, rows=len(rows), seeds=seeds)
    files.write(
        setting.folder / "results.md",
        f"# {experiment.name}\n\n{summary}\n\n{table_text}",
    )
    body = [
        _heading(experiment),
        html_page.table(summary, header, lines),
        *_figures_html(experiment, setting, results),
    ]
    page = html_page.document(experiment.name, body)
    files.write(setting.folder / "report.html", page)
    logger.info(
        f"{table_text}\nwrote {setting.folder}: results.md, report.html, charts (.svg),"
        " a .json per row and seed"
    )


def _summary(experiment: Experiment, setting: Setting, *, rows: int, seeds: int) -> str:
    summary = (
        f"{rows} of {len(experiment.rows)} rows, {setting.epochs} of"
        f" {experiment.full_epochs} epochs, {seeds} of {experiment.seeds} seeds,"
        f" {setting.precision}; ours is mean +- standard deviation."
    )
    if not experiment.measures_distances:
        return summary
    extractor = (
        setting.extractor or "of the data (a classifier, where they have labels)"
    )
    return (
        f"{summary} Our distances are by the extractor {extractor}; the papers' FID is"
        " by inception2015."
    )


def _heading(experiment: Experiment) -> str:
    text = f"{experiment.title} {experiment.description}".strip()
    return f"<h1>{experiment.name}</h1><p>{html.escape(text)}</p>"


def _figures_html(
    experiment: Experiment, setting: Setting, results: Results
) -> list[str]:
    """The parts of the page below the table. Charts are written as files, too."""
    parts = ['<h2>Figures</h2><div class="grid wide">']
    diverged = _diverged(results)
    missing = [row.name for row in experiment.rows if row.name not in results]
    if missing:
        rows = html.escape("; ".join(missing))
        parts.append(f"<p>None, for these rows were not run: {rows}.</p>")
    elif diverged:
        rows = html.escape("; ".join(diverged))
        parts.append(f"<p>None, for these diverged: {rows}.</p>")
    elif experiment.figures:
        for number, figure in enumerate(experiment.figures(results, setting), 1):
            parts.append(_figure_html(figure, setting, number))
    return [*parts, "</div>"]


def _diverged(results: Results) -> list[str]:
    return [
        f"{name}, seed {seed}"
        for name, row_results in results.items()
        for seed, result in enumerate(row_results)
        if "diverged" in result
    ]


def _figure_html(figure: Figure, setting: Setting, number: int) -> str:
    if not isinstance(figure.image, str):
        return html_page.figure(figure.image, figure.caption)
    path = setting.folder / f"figure-{number}.svg"
    files.write(path, charts.standalone(figure.image))
    caption = html.escape(figure.caption)
    return f"<figure>{figure.image}<figcaption>{caption}</figcaption></figure>"
