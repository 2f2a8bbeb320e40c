"""A SavedModel with NumPy arrays in and out."""

import contextlib
import os
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from twostage.errors import InputError, first_line

# of `n` and `seed`, which are int32
LARGEST = 2**31 - 1


class SavedVAE:
    """A SavedModel of this project, with NumPy arrays in and out. Images come out as
    float32 (n, height, width, channels) in [0, 1].

    Args:
        path: RUN/saved_model.

    Raises:
        InputError: no SavedModel there, or no TensorFlow to load it.
    """

    def __init__(self, path: str | Path):
        run = str(Path(path).parent)
        if not (Path(path) / "saved_model.pb").exists():
            raise InputError(
                f"{path}, which has no SavedModel",
                "a trained run",
                f"train it, or export it by `export_run(run={run!r})`",
            )
        try:
            import tensorflow as tf
        except ImportError as error:
            raise InputError(
                "a SavedModel needs TensorFlow, which is not installed: pip install"
                " tensorflow"
            ) from error
        try:
            with _without_pattern(Path(path)) as plain:
                self.model: Any = tf.saved_model.load(str(plain))
        except (OSError, ValueError, IndexError, tf.errors.OpError) as error:
            raise InputError(
                f"received {path}, which is damaged ({first_line(error)}): write it"
                f" again by `export_run(run={run!r})`"
            ) from error

    def sample(self, n: int, seed: int) -> np.ndarray:
        """`n` images of both stages (of stage 1 until stage 2 is trained); the same
        seed gives the same images.
        """
        return self.model.sample(n, seed).numpy()

    def sample_first_stage(self, n: int, seed: int) -> np.ndarray:
        """`n` images of stage 1 alone."""
        return self.model.sample_first_stage(n, seed).numpy()

    def encode(self, images: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """(mean, log_var), each (n, k), of uint8 images."""
        moments = self.model.encode(_uint8(images))
        return moments["mean"].numpy(), moments["log_var"].numpy()

    def decode(self, z: np.ndarray) -> np.ndarray:
        """Images of latents (n, k)."""
        return self.model.decode(np.asarray(z, "float32")).numpy()

    def reconstruct(self, images: np.ndarray) -> np.ndarray:
        """Stage 1's reconstructions of uint8 images, without noise."""
        return self.model.reconstruct(_uint8(images)).numpy()


@contextlib.contextmanager
def _without_pattern(path: Path) -> Iterator[Path]:
    """A path to the same folder that TensorFlow does not read as a pattern, as it does
    `[2024]` and, but on Windows, a backslash.
    """
    whole = path.resolve()
    if os.sep == "\\" or not set(str(whole)) & set("[]\\"):
        yield path
        return
    with tempfile.TemporaryDirectory() as folder:
        link = Path(folder) / "saved_model"
        link.symlink_to(whole, target_is_directory=True)
        yield link


def load(path: str | Path) -> SavedVAE:
    """The `SavedVAE` at RUN/saved_model."""
    return SavedVAE(path)


def _uint8(images: np.ndarray) -> np.ndarray:
    images = np.asarray(images)
    if images.dtype != np.uint8:
        raise ValueError(
            f"received images of type {images.dtype}, expected uint8, 0 to 255"
        )
    return images
