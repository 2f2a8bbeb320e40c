"""Files that appear whole or not at all: written aside, synced, renamed."""

import json
import os
from pathlib import Path

from twostage.errors import InputError


def write(path, content):
    """Writes text or bytes so that a reader, or a crash, finds the old file or the new
    one.
    """
    path = Path(path)
    aside = path.with_name(
        f"part{path.suffix}"
    )  # one name a folder and kind, so that what a kill leaves is written over
    try:
        aside.write_bytes(content.encode() if isinstance(content, str) else content)
        rename(aside, path)
    except OSError as error:
        raise OSError(error.errno, error.strerror, str(path)) from error


def write_json(path, content):
    write(path, json.dumps(content, indent=2) + "\n")


def read_config(path):
    """The content of a JSON file that a stage cannot do without.

    Raises:
        InputError: it is damaged.
    """
    try:
        return json.loads(Path(path).read_text())
    except ValueError as error:
        raise InputError(
            f"received {path}, which is damaged ({error}): bring it back from a copy,"
            " or start another run"
        ) from error


def read_json(path):
    """The content of a file; an empty dict where there is none, or a damaged one, or a
    folder.
    """
    try:
        return json.loads(Path(path).read_text())
    except (FileNotFoundError, NotADirectoryError, IsADirectoryError, ValueError):
        return {}


def rename(aside, path):
    """Gives a file that is complete its name, once its content is on the disk."""
    with open(aside, "rb+") as file:
        os.fsync(file.fileno())
    os.replace(aside, path)
