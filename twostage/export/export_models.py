"""Models of any backend to a SavedModel, or to ONNX files."""

import logging
import os
import subprocess
import sys
import tempfile
from importlib.util import find_spec
from pathlib import Path

import keras

from twostage.errors import InputError
from twostage.export.formats import writer
from twostage.models.two_stage_models import TwoStageModels
from twostage.system import files

logger = logging.getLogger(__name__)


def export_models(
    path: str | Path,
    models: TwoStageModels,
    method: str = "normalized",
    *,
    format: str = "saved_model",
) -> Path:
    """Writes a SavedModel or ONNX files, by a process on TensorFlow where this one is
    not, so that a seed means the same images whatever trained.

    Args:
        path: Folder of the SavedModel or the files; an earlier export is replaced.
        models: The trained models.
        method: How stage 2's latents are sampled.
        format: "saved_model" or "onnx".

    Raises:
        InputError: an unknown format, TensorFlow or tf2onnx is not installed, or the
            export failed.
    """
    if keras.backend.backend() == "tensorflow":
        return _export(path, models, method, format)
    with tempfile.TemporaryDirectory() as folder:
        models.save(folder)
        arguments = ["--models", folder, "--out", str(path), "--method", method]
        run_on_tensorflow("export", *arguments, "--format", format)
    return Path(path)


def export_folder(
    folder: str | Path, path: str | Path, method: str | None, format: str
) -> Path:
    """Exports the models of a folder that `TwoStageVAE.save` or `TwoStageModels.save`
    wrote.

    Args:
        folder: That folder.
        path: The folder that is written.
        method: How stage 2's latents are sampled; None: as the folder says.
        format: "saved_model" or "onnx".
    """
    models = TwoStageModels.load(folder)
    return _export(path, models, method or _saved_method(folder), format)


def _saved_method(folder: str | Path) -> str:
    path = Path(folder) / "config.json"
    saved = files.read_config(path) if path.exists() else {}
    return saved.get("sampling", "normalized")


def _export(path: str | Path, models: TwoStageModels, method: str, format: str) -> Path:
    density = models.density_of(method)
    return writer(format)(path, models, method=method, mixture=density)


def run_on_tensorflow(*arguments: str) -> None:
    """Runs a command of this package in a process on the TensorFlow backend.

    Raises:
        InputError: TensorFlow is not installed, or the command failed; it has printed
            why.
    """
    if not find_spec("tensorflow"):
        raise InputError("no TensorFlow, which an export needs: pip install tensorflow")
    logger.info("a process on TensorFlow exports the models")
    root = str(Path(__file__).parents[2])
    path = os.pathsep.join(filter(None, [root, os.environ.get("PYTHONPATH")]))
    done = subprocess.run(
        [sys.executable, "-m", "twostage", *arguments],
        env={**os.environ, "KERAS_BACKEND": "tensorflow", "PYTHONPATH": path},
        stdout=subprocess.DEVNULL,
    )
    if done.returncode:
        raise InputError("the models were not exported, see above")
