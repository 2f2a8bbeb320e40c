"""Process-wide settings of a training: seeds, precision, determinism."""

import contextlib
from collections.abc import Iterator
from importlib.util import find_spec
from typing import Any

import keras

from twostage.errors import InputError


@contextlib.contextmanager
def training_settings(config: Any) -> Iterator[None]:
    """Within, Keras has the config's seed and precision; the precision of before is
    restored afterwards.

    Raises:
        InputError: TensorBoard is asked for and not installed.
    """
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
    keras.config.set_dtype_policy(config.precision)
    try:
        yield
    finally:
        keras.config.set_dtype_policy(before)
