"""RUN/export.json: which exported files of a run are those of its models."""

from pathlib import Path

from twostage.config import EXPORT_FORMATS
from twostage.errors import InputError
from twostage.system import files

NAME = "export.json"


def set_current(run: str | Path, format: str) -> None:
    """Records that the models as they are were exported in a format."""
    path = Path(run) / NAME
    files.write_json(path, {**files.read_json(path), format: True})


def set_outdated(run: str | Path) -> None:
    """Records that the models are others now than those that were exported."""
    found = [name for name in EXPORT_FORMATS if (Path(run) / name).exists()]
    if found:
        files.write_json(Path(run) / NAME, dict.fromkeys(found, False))


def check_current(run: str | Path) -> None:
    """Raises `InputError` for a SavedModel that was written before the run's models
    were; one by an earlier version passes.
    """
    if not files.read_json(Path(run) / NAME).get("saved_model", True):
        raise InputError(
            f"{Path(run) / 'saved_model'}, which was exported before the models of"
            f" {run} were trained",
            "one of these models",
            f"`export_run(run={str(run)!r})` writes it",
        )
