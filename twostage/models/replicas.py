"""What training on several replicas (tf.distribute) requires of the batches."""

import math
from typing import Any

import keras


def check_replicas(
    strategy: Any,
    x: Any,
    batch_size: int | None = None,
    validation_split: float = 0.0,
) -> None:
    """Raises ValueError unless every batch of `x`, as given to `fit`, divides by the
    number of the strategy's replicas.

    A replica without an example makes Keras's loss NaN; replicas with unequal shares
    make the mean over replicas another number than the mean over the batch, for the
    loss, its gradient and the minibatch error that gamma is computed from.
    """
    replicas = getattr(strategy, "num_replicas_in_sync", 1)
    if replicas == 1:
        return
    sizes = _batch_sizes(x, batch_size, validation_split)
    if any(size is None or size % replicas for size in sizes):
        different = dict.fromkeys(sizes)
        texts = ["unknown size" if size is None else str(size) for size in different]
        raise ValueError(
            f"received batches of {', '.join(texts)} examples on {replicas} replicas,"
            f" expected each to divide by {replicas}: choose such a batch_size and drop"
            " the last rows, or batch(size, drop_remainder=True) in a tf.data.Dataset"
        )


def _batch_sizes(
    x: Any, batch_size: int | None, validation_split: float
) -> list[int | None]:
    if isinstance(x, keras.utils.PyDataset):
        return [len(keras.tree.flatten(x[i])[0]) for i in {0, len(x) - 1}]
    if hasattr(x, "element_spec"):  # tf.data
        return [keras.tree.flatten(x.element_spec)[0].shape[0]]
    if not hasattr(x, "shape"):
        return [None]
    rows = math.floor(len(x) * (1 - validation_split))
    size = batch_size or 32
    return [n for n in (min(size, rows), rows % size) if n]
