"""Batch normalisation's statistics, measured anew on the data."""

import keras
import numpy as np


def recalibrate(vae, data, batch_size=100, most_batches=200, seed=0):
    """Sets the moving means and variances of every batch normalisation to those of the data, over at most `most_batches` random batches in training mode.

    The variance is that of all rows: the mean of the batches' variances plus the variance of their means. Nothing else in the model changes, its noise excepted.

    Args:
        vae: The VAE. Its layers' momentum is as before afterwards.
        data: (N, ...), as `fit` takes them.

    Returns:
        The number of layers.
    """
    found = [layer for layer in vae._flatten_layers() if isinstance(layer, keras.layers.BatchNormalization)]
    kept = [(vars(layer).get("largest_momentum", layer.momentum), getattr(layer, "steps", None)) for layer in found]
    counts = [None if steps is None else float(steps) for _, steps in kept]
    order, batches = np.random.default_rng(seed).permutation(len(data)), []
    for layer in found:
        layer.momentum = 0.0  # a batch's own statistics
    for start in range(0, min(most_batches, max(1, len(data) // batch_size)) * batch_size, batch_size):
        vae(data[np.sort(order[start : start + batch_size])], training=True)
        batches.append([(_numbers(layer.moving_mean), _numbers(layer.moving_variance)) for layer in found])
    for i, (layer, (momentum, steps), count) in enumerate(zip(found, kept, counts)):
        means, variances = (np.stack([batch[i][j] for batch in batches]) for j in (0, 1))
        layer.moving_mean.assign(means.mean(0))
        layer.moving_variance.assign(variances.mean(0) + means.var(0))
        layer.momentum = momentum
        if steps is not None:
            steps.assign(count)
    return len(found)


def _numbers(weight):
    return keras.ops.convert_to_numpy(weight).astype("float64")
