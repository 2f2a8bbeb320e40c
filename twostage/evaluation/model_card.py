"""RUN/model_card.md: what a model is, what it was trained on, and how good it is."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from twostage.evaluation.evaluation_result import EvaluationResult
from twostage.evaluation.tables import distance_table, sentences
from twostage.evaluation.verdict import Finding
from twostage.reporting import html_page
from twostage.reporting.markdown import markdown_table
from twostage.system import files

TEMPLATES = Path(__file__).parent / "templates"
NETWORK = ("network", "likelihood", "latent_dim", "base_dim", "fc_dim", "num_scale")
DENSE = ("width", "depth", "sampling")
TRAINING = ("epochs", "batch_size", "learning_rate", "schedule", "gamma", "kl_weight")
RESIZING = ("fit", "resize")  # of no effect without a side
UNCHANGED = (None, 0, False, "none", "")


def write(
    run: str | Path, result: EvaluationResult, findings: Sequence[Finding]
) -> None:
    """Writes RUN/model_card.md, with `FILL IN` where only a person knows. A card that
    somebody has filled in is kept.

    Args:
        run: The run folder.
        result: Of its evaluation.
        findings: Of the verdict.
    """
    path = Path(run) / "model_card.md"
    is_edited = path.exists() and _is_edited(path)
    if not is_edited:
        files.write(path, _card(Path(run), result, findings))


def _is_edited(path: Path) -> bool:
    return path.read_text().count("FILL IN") < _template().count("FILL IN")


def _template() -> str:
    return (TEMPLATES / "model_card.md.jinja").read_text()


def _card(run: Path, result: EvaluationResult, findings: Sequence[Finding]) -> str:
    manifest = result.manifest
    shape = manifest["data"]["shape"][1:]
    table = distance_table(result)
    stages = [run / f"stage{number}" for number in (1, 2)]
    saved = [files.read_json(stage / "config.json") for stage in stages]
    environment = files.read_json(stages[0] / "environment.json")
    trained_on = environment.get("data", {"shape": ["?"]})
    return html_page.render(
        "model_card.md.jinja",
        TEMPLATES,
        name=run.resolve().name,
        version=manifest["versions"].get("two-stage-vae") or "(not installed)",
        shape="x".join(map(str, shape)),
        data=manifest["data"],
        count=str(trained_on["shape"][0]),
        preparation=_preparation(manifest["data"]),
        stages=[_stage(number, each) for number, each in enumerate(saved, 1) if each],
        findings=findings,
        table=markdown_table(table.header, table.rows).strip(),
        sentence=sentences(result)[0],
        software=_software(manifest),
    )


def _preparation(data: Mapping[str, Any]) -> str:
    names = (
        "crop",
        "side",
        "fit",
        "resize",
        "jpeg_roundtrip",
        "channels",
        "pad",
        "scale",
    )
    if not data.get("side"):
        names = tuple(name for name in names if name not in RESIZING)
    done = [f"{name} {data[name]}" for name in names if data.get(name) not in UNCHANGED]
    return ", ".join(done) or "none"


def _stage(number: int, saved: Mapping[str, Any]) -> str:
    """One line about a stage's network and training."""
    config = saved["config"]
    names = (*(NETWORK if number == 1 else DENSE), *TRAINING)
    listed = ", ".join(f"{name} {config[name]}" for name in names if name in config)
    return f"stage {number}, preset {saved.get('preset')}: {listed}"


def _software(manifest: Mapping[str, Any]) -> str:
    installed = manifest["versions"].items()
    versions = ", ".join(f"{name} {version}" for name, version in installed if version)
    return (
        f"Measured {manifest['started'][:16]} on {manifest['backend']}, seed"
        f" {manifest['seed']}: {versions}."
    )
