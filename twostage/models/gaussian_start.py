"""A second stage that begins as the Gaussian of its data, by probabilistic PCA."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import numpy as np

from twostage.models.tensors import to_numpy

if TYPE_CHECKING:
    from twostage.models.vae import VAE


def initialize_as_gaussian(
    vae: VAE, moments: np.ndarray, *, keep_gamma: bool = False
) -> None:
    """Sets stage 2's last layers so that its density is the Gaussian with the mean and
    covariance of stage 1's latents, and its bound is tight. Training can then only
    raise it.

    With C = U diag(l) U^T the covariance and g = gamma^2, the decoder is W u + mean, W
    = U diag(l - g)^(1/2); the posterior has mean W^T C^-1 (z - mean) and the variances
    g / l: probabilistic PCA (Tipping & Bishop 1999, equations 6 and 7) with a rotation
    that makes the posterior's covariance diagonal. gamma^2 becomes half of the least l:
    below that the density does not depend on it.

    The encoder's and decoder's last layers see the input beside the hidden units, whose
    weights become 0 there, and grow.

    Args:
        vae: A VAE of `dense_encoder` and `dense_decoder`, changed in place.
        moments: Stage 1's posterior (mean, log_var) of the training images, (N, 2, k).
        keep_gamma: Whether gamma stays as it is.
    """
    mean, covariance = _latent_moments(moments)
    eigenvalues, vectors = np.linalg.eigh(covariance)
    if not keep_gamma:
        _set_variance(vae.likelihood, float(eigenvalues[0]) / 2)
    g = float(to_numpy(vae.likelihood.variance))
    used = np.maximum(eigenvalues, g)  # a fixed gamma may be larger than some
    scales = np.sqrt(used - g)
    to_u = vectors * (scales / used)
    log_std = 0.5 * np.log(g / used)
    _set_linear(vae.encoder.get_layer("mean"), to_u, -mean @ to_u)
    _set_linear(vae.encoder.get_layer("log_sd"), np.zeros_like(to_u), log_std)
    _set_linear(vae.decoder.get_layer("vectors"), (vectors * scales).T, mean)


def _latent_moments(moments: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Mean (k,) and covariance (k, k) of z: that of the posteriors' means, and the mean
    of the posteriors' variances.
    """
    mean = moments[:, 0].astype("float64")
    variance = np.exp(moments[:, 1].astype("float64"))
    covariance = np.cov(mean, rowvar=False) + np.diag(variance.mean(0))
    return mean.mean(0), covariance


def _set_variance(likelihood: Any, variance: float) -> None:
    """Sets gamma^2, or its floor if that is more."""
    variance = max(variance, likelihood.floor**2)
    if likelihood.learned:
        log_gamma = 0.5 * math.log(variance)
        likelihood.scaled_log_gamma.assign(log_gamma / likelihood.multiplier)
        return
    likelihood.gamma_squared.assign(variance)
    likelihood.batch_mse.assign(variance)


def _set_linear(layer: Any, kernel: np.ndarray, bias: np.ndarray) -> None:
    """The kernel of a dense layer's first inputs; 0 of the others."""
    whole = np.zeros(layer.kernel.shape)
    whole[: len(kernel)] = kernel
    layer.kernel.assign(whole)
    layer.bias.assign(bias)
