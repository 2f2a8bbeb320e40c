"""Batch normalization's statistics, re-estimated on the data."""

import contextlib
from collections.abc import Iterator
from typing import Any

import keras
import numpy as np

from twostage.models.layers.spectral_normalization import SpectralNormalization


def recalibrate(
    vae: keras.Model,
    data: np.ndarray,
    *,
    batch_size: int = 100,
    most_batches: int = 200,
    seed: int = 0,
) -> int:
    """Sets the moving means and variances of every batch normalization to those of the
    data, over at most `most_batches` random batches in training mode.

    The variance is that of all rows: the mean of the batches' variances plus the
    variance of their means (the law of total variance). Nothing else in the model
    changes.

    Args:
        vae: The VAE, changed in place.
        data: (N, ...), as `fit` takes them.
        batch_size: Rows of a batch.
        most_batches: At most so many.
        seed: Of the choice and the order of the rows.

    Returns:
        The number of layers.
    """
    order = np.random.default_rng(seed).permutation(len(data))
    count = min(most_batches, max(1, len(data) // batch_size))
    with batch_statistics(vae) as normalizations:
        moments = [_Moments(layer) for layer in normalizations]
        for start in range(0, count * batch_size, batch_size):
            rows = np.sort(order[start : start + batch_size])
            vae(data[rows], training=True)
            for each in moments:
                each.record()
    for each in moments:
        each.assign()
    return len(moments)


@contextlib.contextmanager
def batch_statistics(
    model: keras.Model,
) -> Iterator[list[keras.layers.BatchNormalization]]:
    """Within: a call in training mode leaves the batch's own mean and variance in the
    moving ones, and spectral normalization uses the kernels of inference. Afterwards
    everything in the model is as before.

    Yields:
        The batch normalizations of the model.
    """
    layers = list(model._flatten_layers())
    normalizations = _of_kind(layers, keras.layers.BatchNormalization)
    spectral = _of_kind(layers, SpectralNormalization)
    # this project's layer computes `momentum`, and keeps what was set under another
    # name
    momenta = [vars(n).get("largest_momentum", n.momentum) for n in normalizations]
    iterations = [layer.iterations for layer in spectral]
    weights = model.get_weights()
    for layer in normalizations:
        layer.momentum = 0.0
    for layer in spectral:
        layer.iterations = 0
    try:
        yield normalizations
    finally:
        model.set_weights(weights)
        for layer, momentum in zip(normalizations, momenta, strict=True):
            layer.momentum = momentum
        for layer, before in zip(spectral, iterations, strict=True):
            layer.iterations = before


class _Moments:
    """Mean and variance of each batch that went through a batch normalization."""

    def __init__(self, layer: keras.layers.BatchNormalization):
        self.layer: Any = layer
        self.means: list[np.ndarray] = []
        self.variances: list[np.ndarray] = []

    def record(self) -> None:
        self.means.append(_numbers(self.layer.moving_mean))
        self.variances.append(_numbers(self.layer.moving_variance))

    def assign(self) -> None:
        means, variances = np.stack(self.means), np.stack(self.variances)
        self.layer.moving_mean.assign(means.mean(0))
        self.layer.moving_variance.assign(variances.mean(0) + means.var(0))


def _of_kind(layers: list, kind: type) -> list:
    return [layer for layer in layers if isinstance(layer, kind)]


def _numbers(weight: Any) -> np.ndarray:
    return keras.ops.convert_to_numpy(weight).astype("float64")
