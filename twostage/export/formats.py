"""The formats that models are exported to."""

from collections.abc import Callable
from pathlib import Path

from twostage.config import EXPORT_FORMATS
from twostage.errors import InputError
from twostage.export import onnx_files, saved_model

_WRITERS = {"saved_model": saved_model.save, "onnx": onnx_files.save}


def writer(format: str) -> Callable[..., Path]:
    """The function that writes models in a format: `write(path, models, method=,
    mixture=)` -> path.

    Args:
        format: "saved_model" or "onnx".

    Raises:
        InputError: another format, or one that nothing here can write.
    """
    if format not in _WRITERS:
        raise InputError(f"`format={format!r}`", " or ".join(EXPORT_FORMATS))
    if format == "onnx":
        onnx_files.check_converter()
    return _WRITERS[format]
