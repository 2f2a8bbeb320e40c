"""Models of any backend to a SavedModel."""

import logging
import os
import subprocess
import sys
import tempfile
from importlib.util import find_spec
from pathlib import Path

import keras

from twostage.config import DENSITY_METHODS
from twostage.errors import InputError
from twostage.export import saved_model
from twostage.models.two_stage_models import TwoStageModels

logger = logging.getLogger(__name__)


def export_models(
    path: str | Path, models: TwoStageModels, method: str = "normalised"
) -> Path:
    """Writes a SavedModel, by a process on TensorFlow where this one is not, so that a
    seed means the same images whatever trained.

    Args:
        path: Folder of the SavedModel, which is replaced.
        models: The trained models.
        method: How stage 2's latents are sampled.

    Raises:
        InputError: TensorFlow is not installed, or the export failed.
    """
    if keras.backend.backend() == "tensorflow":
        return _save(path, models, method)
    with tempfile.TemporaryDirectory() as folder:
        models.save(folder)
        arguments = ["--models", folder, "--out", str(path), "--method", method]
        run_on_tensorflow("export", *arguments)
    return Path(path)


def export_folder(folder: str | Path, path: str | Path, method: str) -> Path:
    """Writes the SavedModel of a folder that `TwoStageModels.save` wrote."""
    return _save(path, TwoStageModels.load(folder), method)


def _save(path: str | Path, models: TwoStageModels, method: str) -> Path:
    mixture = models.mixture if method in DENSITY_METHODS else None
    return saved_model.save(path, models, method=method, mixture=mixture)


def run_on_tensorflow(*arguments: str) -> None:
    """Runs a command of this package in a process on the TensorFlow backend.

    Raises:
        InputError: TensorFlow is not installed, or the command failed; it has printed
            why.
    """
    if not find_spec("tensorflow"):
        raise InputError(
            "no TensorFlow, which a SavedModel needs: pip install tensorflow"
        )
    logger.info("a process on TensorFlow writes the SavedModel")
    root = str(Path(__file__).parents[2])
    path = os.pathsep.join(filter(None, [root, os.environ.get("PYTHONPATH")]))
    done = subprocess.run(
        [sys.executable, "-m", "twostage", *arguments],
        env={**os.environ, "KERAS_BACKEND": "tensorflow", "PYTHONPATH": path},
        stdout=subprocess.DEVNULL,
    )
    if done.returncode:
        raise InputError("the SavedModel was not written, see above")
