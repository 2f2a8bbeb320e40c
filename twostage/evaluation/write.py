"""Writes the result of an evaluation into a run folder."""

from __future__ import annotations

from pathlib import Path

from twostage.evaluation import html_report, model_card
from twostage.evaluation.evaluation_result import EvaluationResult
from twostage.evaluation.tables import markdown
from twostage.evaluation.verdict import verdict
from twostage.reporting.png import save_png
from twostage.system import files
from twostage.system.locks import held


def write(run: str | Path, result: EvaluationResult) -> Path:
    """Writes RUN/evaluation/NAME.json, NAME.md, the figures NAME/*.png,
    RUN/report.html and RUN/model_card.md. Waits while another process writes there.

    Args:
        run: The run folder.
        result: With its figures.

    Returns:
        The path of NAME.md.
    """
    folder = Path(run) / "evaluation"
    folder.mkdir(exist_ok=True)
    with held(folder):
        (folder / result.name).mkdir(parents=True, exist_ok=True)
        for name, image in result.figures.items():
            save_png(folder / result.name / f"{name}.png", image)
        files.write_json(folder / f"{result.name}.json", result.to_json())
        findings = verdict(result, html_report.training_losses(Path(run)))
        files.write(folder / f"{result.name}.md", markdown(result, findings))
        html_report.write(run, result.name, findings)
        model_card.write(run, result, findings)
    return folder / f"{result.name}.md"
