"""Tensors of any backend as NumPy arrays."""

from collections.abc import Callable
from typing import Any

import numpy as np
from keras import ops

from twostage.own_callbacks import callbacks


def to_numpy(tensor: Any) -> np.ndarray:
    """The values of a tensor, variable or array."""
    return np.asarray(ops.convert_to_numpy(tensor))


def apply_in_batches(
    function: Callable[..., Any], *arrays: np.ndarray, batch_size: int
) -> np.ndarray:
    """`function` of all rows, computed batch by batch.

    Args:
        function: `function(*batches)` -> a tensor with a row for each.
        arrays: Its arguments, with as many rows each.
        batch_size: Rows of a batch.
    """
    parts = []
    for start in range(0, len(arrays[0]), batch_size):
        batches = [array[start : start + batch_size] for array in arrays]
        with callbacks.model_calls.no_gradients():
            parts.append(to_numpy(function(*batches)))
    return np.concatenate(parts)
