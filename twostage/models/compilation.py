"""Whether XLA is faster."""

import keras


def jit_compile() -> bool | str:
    """For `compile(jit_compile=...)`: on a CPU XLA takes several times as long as
    TensorFlow's own graph.
    """
    if keras.backend.backend() != "tensorflow":
        return "auto"
    return "auto" if keras.distribution.list_devices("gpu") else False
