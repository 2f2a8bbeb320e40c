"""Keras's defaults that the networks, and the sums of the metrics, are made for."""

import contextlib
from collections.abc import Iterator


def set_defaults() -> None:
    """float32 and channels last from now on, whatever ~/.keras/keras.json says."""
    import keras

    keras.config.set_floatx("float32")
    keras.config.set_image_data_format("channels_last")


@contextlib.contextmanager
def own_defaults() -> Iterator[None]:
    """Within, `set_defaults`; afterwards what was before."""
    import keras

    floats, layout = keras.config.floatx(), keras.config.image_data_format()
    set_defaults()
    try:
        yield
    finally:
        keras.config.set_floatx(floats)
        keras.config.set_image_data_format(layout)
