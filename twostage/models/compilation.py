"""Whether XLA is worth its time."""

import keras


def jit_compile():
    """For `compile(jit_compile=...)`: on a CPU XLA takes several times as long as
    TensorFlow's own graph.
    """
    return (
        "auto"
        if keras.backend.backend() != "tensorflow"
        or keras.distribution.list_devices("gpu")
        else False
    )
