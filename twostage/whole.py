"""Files that appear whole or not at all: written aside, brought to the disk, renamed."""

import json
import os
import zipfile
from pathlib import Path

from twostage.errors import InputError, first_line


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


def save_model(path, model):
    """Writes a Keras model (`.keras`)."""
    aside = Path(path).with_name("part.keras")
    model.save(aside)
    rename(aside, path)


def load_model(path, mend):
    """Reads a Keras model of this project, uncompiled. `mend`: how one comes by the
    file again.

    Raises:
        InputError: the file cannot be read as a model.
    """
    import keras

    import twostage

    _ = twostage.VAE  # registers the classes that the files name
    try:
        return keras.saving.load_model(path, compile=False)
    except (OSError, ValueError, TypeError, KeyError, zipfile.BadZipFile) as error:
        reason = (
            first_line(error) if zipfile.is_zipfile(path) else "no whole archive"
        )  # of which Keras says that it was not found
        raise InputError(
            f"received {path}, which is damaged, or of another version of Keras"
            f" ({reason}): {mend}"
        ) from error


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
