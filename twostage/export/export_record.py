"""RUN/export.json: which models the exported files of a run were written from."""

import zlib
from pathlib import Path

from twostage.errors import InputError
from twostage.system import files

NAME = "export.json"
SOURCES = (
    "stage1/model.keras",
    "stage1/recalibrated.keras",
    "stage2/model.keras",
    "stage2/normalizer.keras",
)


def write(run: str | Path, format: str) -> None:
    """Records that the models as they are were exported in a format."""
    path = Path(run) / NAME
    files.write_json(path, {**files.read_json(path), format: _checksums(Path(run))})


def check_current(run: str | Path) -> None:
    """Raises `InputError` for a run that does not exist, or whose SavedModel was
    written before its models were; one by an earlier version passes.
    """
    if not Path(run).is_dir():
        raise InputError(f"`run={str(run)!r}`", "a run folder", "check the path")
    recorded = files.read_json(Path(run) / NAME).get("saved_model")
    if recorded is None or recorded == _checksums(Path(run)):
        return
    raise InputError(
        f"{Path(run) / 'saved_model'}, which was exported before the models of {run}"
        " were trained",
        "one of these models",
        f"`export_run(run={str(run)!r})` writes it",
    )


def _checksums(run: Path) -> dict[str, int]:
    """{file: CRC-32} of the models that are there."""
    found = [name for name in SOURCES if (run / name).exists()]
    return {name: zlib.crc32((run / name).read_bytes()) for name in found}
