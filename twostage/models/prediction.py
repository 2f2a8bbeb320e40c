"""A network's outputs for one batch, by a compiled graph."""

import weakref
from collections.abc import Callable
from typing import Any

import keras
import numpy as np
from keras import ops

_graphs: Any = weakref.WeakKeyDictionary()  # of each network, while it lives


def predicted(network: keras.Model, x: np.ndarray) -> Any:
    """What `network(x, training=False)` gives. On a CPU a graph takes three quarters of
    the time of one operation after the other (docs/notes/speed.md).

    Args:
        network: Its weights may change from call to call, its layers may not.
        x: (batch, ...), taken as float32.

    Returns:
        NumPy arrays or tensors.
    """
    x = np.asarray(x, "float32")
    backend = keras.config.backend()
    if backend == "tensorflow":
        if network not in _graphs:
            _graphs[network] = _tensorflow_graph(network, x)
        return _graphs[network](x)
    if keras.distribution.distribution() is not None:
        # Keras's graph refuses batches that do not divide by the devices
        return network(ops.convert_to_tensor(x), training=False)
    return network.predict_on_batch(x)


def _tensorflow_graph(network: keras.Model, x: np.ndarray) -> Callable[[Any], Any]:
    """A graph of any number of rows. Keras's own has one for each of two numbers,
    warns of it, and has each replica of a strategy compute all rows.
    """
    import tensorflow as tf

    rows = tf.TensorSpec((None, *x.shape[1:]), x.dtype)
    known = weakref.ref(network)  # else it would never be freed

    def call(x: Any) -> Any:
        alive: Any = known()
        return alive(x, training=False)

    return tf.function(call, input_signature=[rows], autograph=False)
