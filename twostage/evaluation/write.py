"""Writes the result of an evaluation into a run folder."""

from __future__ import annotations

import logging
from pathlib import Path

from twostage.evaluation import html_report, model_card
from twostage.evaluation.evaluate import MIN_VALUES
from twostage.evaluation.evaluation_result import EvaluationResult
from twostage.evaluation.tables import markdown
from twostage.evaluation.verdict import verdict
from twostage.features import random_network
from twostage.reporting.png import save_png
from twostage.system import files
from twostage.system.locks import held

logger = logging.getLogger(__name__)


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
        _warn_of_replaced(folder / f"{result.name}.json", result)
        (folder / result.name).mkdir(parents=True, exist_ok=True)
        for name, image in result.figures.items():
            save_png(folder / result.name / f"{name}.png", image)
        _remove_outdated(folder / result.name, result)
        files.write_json(folder / f"{result.name}.json", result.to_json())
        losses = html_report.training_losses(Path(run))
        text = markdown(result, verdict(result, losses))
        files.write(folder / f"{result.name}.md", text)
        leading = _leading(folder, result)
        findings = verdict(leading, losses)
        html_report.write(run, leading.name, findings)
        model_card.write(run, leading, findings)
    return folder / f"{result.name}.md"


def _remove_outdated(figures: Path, result: EvaluationResult) -> None:
    """Removes the figures of an earlier result that the new one does not have."""
    for path in figures.glob("*.png"):
        if path.stem not in result.figures:
            path.unlink()


def _warn_of_replaced(path: Path, result: EvaluationResult) -> None:
    """Logs which settings a result had that a new one of its name replaces."""
    manifest = files.read_json(path).get("manifest", {})
    changed = [
        f"{name} {manifest[name]}"
        for name in MIN_VALUES
        if name in manifest and manifest[name] != result.manifest[name]
    ]
    if changed:
        logger.warning(
            "%s replaces the result of %s: copy it first to keep both",
            path,
            ", ".join(changed),
        )


def _leading(folder: Path, result: EvaluationResult) -> EvaluationResult:
    """The result that the report and the card begin with: the new one. Only one by the
    random network, which sees little but contrast, comes after one by a trained network
    of the same models, measured the same way.
    """
    if _by_trained_network(result):
        return result
    for other in html_report.read_results(folder, result.name).values():
        if _by_trained_network(other) and _measures_the_same(other, result):
            return other
    return result


def _by_trained_network(result: EvaluationResult) -> bool:
    return result.manifest["extractor"]["name"] != random_network.NAME


def _measures_the_same(one: EvaluationResult, other: EvaluationResult) -> bool:
    keys = ("models", "protocol", "batch_normalization")
    return all(one.manifest.get(key) == other.manifest[key] for key in keys)
