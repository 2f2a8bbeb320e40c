"""Batch normalisation's statistics, measured anew on the data."""

import keras
import numpy as np

from twostage.models.layers.spectral_normalization import SpectralNormalization


def recalibrate(vae, data, batch_size=100, most_batches=200, seed=0):
    """Sets the moving means and variances of every batch normalisation to those of the
    data, over at most `most_batches` random batches in training mode.

    The variance is that of all rows: the mean of the batches' variances plus the
    variance of their means. Nothing else in the model changes.

    Args:
        vae: The VAE. Its layers' momentum is as before afterwards.
        data: (N, ...), as `fit` takes them.

    Returns:
        The number of layers.
    """
    found = [
        layer
        for layer in vae._flatten_layers()
        if isinstance(layer, keras.layers.BatchNormalization)
    ]
    spectral = [
        layer
        for layer in vae._flatten_layers()
        if isinstance(layer, SpectralNormalization)
    ]
    momenta, iterations, weights = (
        [vars(layer).get("largest_momentum", layer.momentum) for layer in found],
        [layer.iterations for layer in spectral],
        vae.get_weights(),
    )
    order, batches = np.random.default_rng(seed).permutation(len(data)), []
    for layer in found:
        layer.momentum = 0.0  # a batch's own statistics
    for layer in spectral:
        layer.iterations = 0  # the kernels of inference
    for start in range(
        0, min(most_batches, max(1, len(data) // batch_size)) * batch_size, batch_size
    ):
        vae(data[np.sort(order[start : start + batch_size])], training=True)
        batches.append(
            [
                (_numbers(layer.moving_mean), _numbers(layer.moving_variance))
                for layer in found
            ]
        )
    vae.set_weights(weights)
    for layer, count in zip(spectral, iterations, strict=True):
        layer.iterations = count
    for i, (layer, momentum) in enumerate(zip(found, momenta, strict=True)):
        means, variances = (
            np.stack([batch[i][j] for batch in batches]) for j in (0, 1)
        )
        layer.moving_mean.assign(means.mean(0))
        layer.moving_variance.assign(variances.mean(0) + means.var(0))
        layer.momentum = momentum
    return len(found)


def _numbers(weight):
    return keras.ops.convert_to_numpy(weight).astype("float64")
