"""Saving and loading Keras models of this project."""

import zipfile
from pathlib import Path

from twostage.errors import InputError, first_line
from twostage.system.files import rename


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
