"""A network with fixed weights as one graph."""

from collections.abc import Callable
from typing import Any

import keras


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
