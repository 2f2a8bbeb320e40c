"""Files of published weights, known by their checksums."""

from __future__ import annotations

import hashlib
from pathlib import Path

from twostage.errors import InputError


def checked_weights(path: str | Path, sha256: str, fix: str) -> Path:
    """The path of a file with a checksum.

    Args:
        path: Of the file; `~` is the home folder.
        sha256: What its content must have.
        fix: How to get it.

    Raises:
        InputError: it is missing, or another file.
    """
    path = Path(path).expanduser()
    if not path.is_file():
        raise InputError(f"received {path}, which does not exist", fix=fix)
    found = hashlib.sha256(path.read_bytes()).hexdigest()
    if found != sha256:
        size = f"{path.stat().st_size:,} bytes"
        raise InputError(
            f"other weights in {path}, {size} with sha256 {found}",
            f"those with sha256 {sha256}",
            fix,
        )
    return path
