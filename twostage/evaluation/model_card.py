"""RUN/model_card.md: what a model is, its training data, and its evaluation."""

from __future__ import annotations

import logging
import zlib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from twostage.evaluation.evaluation_result import EvaluationResult
from twostage.evaluation.tables import distance_table, sentences
from twostage.evaluation.verdict import Finding
from twostage.reporting import html_page
from twostage.reporting.markdown import markdown_table
from twostage.system import files

logger = logging.getLogger(__name__)

TEMPLATES = Path(__file__).parent / "templates"
NETWORK = ("network", "likelihood", "latent_dim", "base_dim", "fc_dim", "num_scale")
DENSE = ("width", "depth", "sampling")
TRAINING = ("epochs", "batch_size", "learning_rate", "schedule", "gamma", "kl_weight")
RESIZING = ("fit", "resize")  # of no effect without a side
CHECKSUM = "<!-- a card that was changed is not written again: checksum"
UNCHANGED = (None, 0, False, "none", "")


def write(
    run: str | Path, result: EvaluationResult, findings: Sequence[Finding]
) -> None:
    """Writes RUN/model_card.md, with `FILL IN` where only a person knows. A card that
    was edited is kept: its last line is a checksum of what was written.

    Args:
        run: The run folder.
        result: Of its evaluation.
        findings: Of the verdict.
    """
    path = Path(run) / "model_card.md"
    if path.exists() and _is_edited(path.read_text(encoding="utf-8", errors="replace")):
        logger.info("%s was edited, and is kept", path)
        return
    card = _card(Path(run), result, findings)
    files.write(path, card + _checksum(card))


def _is_edited(text: str) -> bool:
    card, _, _ = text.rpartition(CHECKSUM)
    return text != card + _checksum(card)


def _checksum(card: str) -> str:
    return f"{CHECKSUM} {zlib.crc32(card.encode()):08x} -->\n"


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
