"""Loads the frameworks, once the flags are right."""

import contextlib
import os

from twostage.errors import InputError
from twostage.system.keras_defaults import set_defaults
from twostage.system.output import suppress_output
from twostage.system.progress import announced

LABEL = "loading Keras and its backend"
BACKENDS = ("tensorflow", "jax", "torch")


def load_backend(*, devices: bool = True) -> None:
    """Imports Keras and its backend, without the twenty lines that TensorFlow prints.

    Args:
        devices: Whether to list the devices, too; not before several processes join.

    Raises:
        InputError: the backend is not installed, or not one that trains here.
    """
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
    try:
        # before several processes join, each of them would log it
        said = announced(LABEL) if devices else contextlib.nullcontext()
        with said, suppress_output(2):
            import keras

            set_defaults()
            # TensorFlow prints when it is loaded, which on PyTorch Keras's
            # set_random_seed does, and when devices are listed
            if keras.backend.backend() == "torch":
                with contextlib.suppress(ImportError):
                    import tensorflow  # noqa: F401
            elif devices:
                keras.distribution.list_devices()
    except (ImportError, ValueError) as error:
        # Keras raises a ValueError for an unknown backend
        if isinstance(error, ValueError) and "backend" not in str(error):
            raise
        raise InputError(
            f"{error}: install it (pip install .), or choose a backend that is there,"
            " such as KERAS_BACKEND=jax"
        ) from error
    if keras.backend.backend() not in BACKENDS:
        raise InputError(
            f"the backend {keras.backend.backend()}",
            " or ".join(BACKENDS),
            "set KERAS_BACKEND to one of them",
        )
