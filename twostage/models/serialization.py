"""Saving and loading Keras models of this project."""

import zipfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

import twostage
from twostage.errors import InputError, first_line
from twostage.system.files import rename

if TYPE_CHECKING:
    import keras


def save_model(path: str | Path, model: "keras.Model") -> None:
    """Writes a Keras model (`.keras`)."""
    aside = Path(path).with_name(f"part-{Path(path).name}")
    model.save(aside)
    rename(aside, path)


def load_model(path: str | Path, fix: str) -> Any:
    """Reads a Keras model of this project, uncompiled.

    Args:
        path: The `.keras` file.
        fix: How to get the file again, for the error.

    Raises:
        InputError: the file cannot be read as a model.
    """
    import keras

    twostage.register_classes()
    try:
        return keras.saving.load_model(path, compile=False)
    except (OSError, ValueError, TypeError, KeyError, zipfile.BadZipFile) as error:
        whole = zipfile.is_zipfile(path)  # Keras says "not found" of a damaged one
        reason = first_line(error) if whole else "no whole archive"
        raise InputError(
            f"received {path}, which is damaged, or of another version of Keras"
            f" ({reason}): {fix}"
        ) from error
