"""Files that appear whole or not at all: written aside, synced, renamed."""

import io
import json
import logging
import os
import shutil
import zipfile
import zlib
from collections.abc import Callable, Collection, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from twostage.errors import InputError, reading
from twostage.old_names import current_names

logger = logging.getLogger(__name__)

NOT_JSON = (json.JSONDecodeError, UnicodeDecodeError)
# what NumPy and zipfile raise for an `.npz` file that is not whole
NPZ_DAMAGE = (
    ValueError,
    TypeError,
    KeyError,
    EOFError,
    RuntimeError,
    zipfile.BadZipFile,
    zlib.error,
)


def write(path: str | os.PathLike[str], content: str | bytes | memoryview) -> None:
    """Writes a file so that a reader, or a crash, finds the old one or the new one."""
    path = Path(path)
    aside = path.with_name(f"{path.name}.part")
    # a file's name need not be valid text
    escaped = "backslashreplace"
    encoded = content.encode(errors=escaped) if isinstance(content, str) else content
    try:
        aside.write_bytes(encoded)
        rename(aside, path)
    except OSError as error:
        if not path.parent.is_dir():
            raise InputError(
                f"the folder {path.parent} was removed while it was written to: leave"
                " it in place until the command ends, and run that again"
            ) from error
        raise OSError(error.errno, error.strerror, str(path)) from error


def write_json(path: str | os.PathLike[str], content: object) -> None:
    """Writes a JSON file, indented by 2."""
    write(path, json.dumps(content, indent=2) + "\n")


def write_npz(path: str | os.PathLike[str], arrays: Mapping[str, Any]) -> None:
    """Writes arrays, by name, as an `.npz` file."""
    buffer = io.BytesIO()
    np.savez(buffer, **arrays)
    write(path, buffer.getbuffer())


def read_config(
    path: str | os.PathLike[str],
    fix: str = "bring it back from a copy, or start another run",
) -> Any:
    """The content of a JSON file that one cannot do without.

    Args:
        path: The file.
        fix: What to do about a damaged one, for the error.

    Raises:
        InputError: it is damaged, or may not be read.
    """
    try:
        return _content(path)
    except NOT_JSON as error:
        raise InputError(
            f"received {path}, which is damaged ({error}): {fix}"
        ) from error


def read_json(path: str | os.PathLike[str]) -> Any:
    """The content of a JSON file; an empty dict where it is missing, a folder, or
    damaged, which is logged.

    Raises:
        InputError: it may not be read.
    """
    try:
        return _content(path)
    except (FileNotFoundError, NotADirectoryError, IsADirectoryError):
        return {}
    except NOT_JSON as error:
        logger.warning("%s is damaged (%s) and is not used", path, error)
        return {}


def _content(path: str | os.PathLike[str]) -> Any:
    with reading():
        return current_names(json.loads(Path(path).read_text(encoding="utf-8")))


def rename(aside: str | os.PathLike[str], path: str | os.PathLike[str]) -> None:
    """Gives a complete file its name, once its content is on the disk."""
    with open(aside, "rb+") as file:
        os.fsync(file.fileno())
    os.replace(aside, path)


def replace_folder(
    path: str | os.PathLike[str], write: Callable[[Path], None], own: Collection[str]
) -> Path:
    """Writes a folder aside by `write(folder)`, then swaps it with the one at `path`,
    if any, and returns `path`. Where a crash falls between the two renames, the next
    call still finds nothing half-written.

    Args:
        path: The folder.
        write: Writes its content into an empty or missing folder.
        own: Names of what an earlier call may have written into it.

    Raises:
        InputError: there is a file, or a folder with other things in it.
    """
    path = Path(path)
    place = Path(os.path.abspath(path))
    aside = place.with_name(f".{place.name}.part")
    old = place.with_name(f".{place.name}.old")
    if old.exists() and not place.exists():  # killed between the two renames
        os.rename(old, place)
    check_replaceable(place, own)
    for leftover in (aside, old):
        shutil.rmtree(leftover, ignore_errors=True)
    place.parent.mkdir(parents=True, exist_ok=True)
    try:
        write(aside)
    except BaseException:
        shutil.rmtree(aside, ignore_errors=True)
        raise
    if place.exists():
        os.rename(place, old)
    os.rename(aside, place)
    shutil.rmtree(old, ignore_errors=True)
    return path


def check_replaceable(path: Path, own: Collection[str]) -> None:
    """Raises `InputError` unless a folder is missing or holds nothing but `own`."""
    if not path.exists():
        return
    if not path.is_dir():
        raise InputError(str(path), "a folder to write", "choose another place")
    others = sorted(entry.name for entry in path.iterdir() if entry.name not in own)
    if others:
        raise InputError(
            f"the folder {path}, which holds {', '.join(others[:3])}",
            "a new or empty folder, or an earlier export",
            "choose another, or move these away",
        )
