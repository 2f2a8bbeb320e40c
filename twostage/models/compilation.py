"""How networks are compiled: whether XLA is faster, and graphs of fixed weights."""

from collections.abc import Callable
from typing import Any

import keras


def jit_compile() -> bool | str:
    """For `compile(jit_compile=...)`: on a CPU XLA takes several times as long as
    TensorFlow's own graph.
    """
    if keras.backend.backend() != "tensorflow":
        return "auto"
    return "auto" if keras.distribution.list_devices("gpu") else False


def compiled(network: Callable[[Any], Any]) -> Callable[[Any], Any]:
    """`network` by the backend's compiler; on TensorFlow a graph without XLA, which is
    slower on a CPU. On PyTorch the network as it is.

    Args:
        network: Arrays -> tensors, in `keras.ops`. Its weights never change.
    """
    backend = keras.config.backend()
    if backend == "tensorflow":
        import tensorflow as tf

        return tf.function(network, autograph=False, reduce_retracing=True)
    if backend == "jax":
        import jax

        return jax.jit(network)
    return network
