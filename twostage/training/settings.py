"""Process-wide settings of a training: seeds, precision, determinism."""

import contextlib
from collections.abc import Iterator
from importlib.util import find_spec
from typing import Any

import keras

from twostage.errors import InputError
from twostage.system.keras_defaults import own_defaults


@contextlib.contextmanager
def training_settings(config: Any) -> Iterator[None]:
    """Within, Keras has the config's seed and precision, float32 and channels last,
    whatever ~/.keras/keras.json says; what was before is restored afterwards.

    Raises:
        InputError: TensorBoard is asked for and not installed; Keras's environment
            variables limit the epochs or the steps.
    """
    _check_limits()
    if config.tensorboard and not (
        find_spec("tensorboard") and find_spec("tensorflow")
    ):
        raise InputError(
            "received `tensorboard=True`, but TensorBoard or TensorFlow is not"
            " installed: pip install tensorboard tensorflow"
        )
    keras.utils.set_random_seed(config.seed)
    # JAX on the CPU is deterministic already
    if config.deterministic and keras.backend.backend() == "tensorflow":
        import tensorflow as tf

        tf.config.experimental.enable_op_determinism()
    before = keras.config.dtype_policy()
    with own_defaults():
        keras.config.set_dtype_policy(config.precision)
        try:
            yield
        finally:
            keras.config.set_dtype_policy(before)


def _check_limits() -> None:
    """Raises `InputError` where Keras would end each `fit` early."""
    limits = {
        "KERAS_MAX_EPOCHS": keras.config.max_epochs(),
        "KERAS_MAX_STEPS_PER_EPOCH": keras.config.max_steps_per_epoch(),
    }
    for name, limit in limits.items():
        if limit is not None:
            raise InputError(
                f"the environment variable {name}={limit}, by which Keras would stop"
                " early",
                "none",
                "unset it, and give `epochs` or `limit`",
            )
