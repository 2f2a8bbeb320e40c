"""A second stage as the Gaussian of its data, by probabilistic PCA."""

from __future__ import annotations

import logging
import math
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from twostage.models.held_out_loss import held_out_loss
from twostage.models.tensors import to_numpy

if TYPE_CHECKING:
    from twostage.models.vae import VAE

logger = logging.getLogger(__name__)


def initialize_as_gaussian(
    vae: VAE, moments: np.ndarray, *, keep_gamma: bool = False
) -> None:
    """Sets stage 2's weights so that its density is the Gaussian with the mean and
    covariance of stage 1's latents, and its bound is tight.

    With C = U diag(l) U^T the covariance and g = gamma^2, the decoder is W u + mean, W
    = U diag(l - g)^(1/2); the posterior has mean W^T C^-1 (z - mean) and the variances
    g / l: probabilistic PCA (Tipping & Bishop 1999, equations 6 and 7) with a rotation
    that makes the posterior's covariance diagonal. gamma^2 becomes half of the least l:
    below that the density does not depend on it.

    The encoder's and decoder's last layers see the input beside the hidden units, whose
    weights become 0 there. Training hardly leaves this optimum: see
    `initialize_near_gaussian`.

    Args:
        vae: A VAE of `dense_encoder` and `dense_decoder`, changed in place.
        moments: Stage 1's posterior (mean, log_var) of the training images, (N, 2, k).
        keep_gamma: Whether gamma stays as it is.
    """
    gaussian = _gaussian(moments)
    if not keep_gamma:
        _set_variance(vae.likelihood, gaussian.eigenvalues[0] / 2)
    _set_linear_parts(vae, gaussian, hidden=0)


def initialize_near_gaussian(
    vae: VAE, moments: np.ndarray, *, keep_gamma: bool = False
) -> None:
    """As `initialize_as_gaussian`, but where training learns from: gamma^2 is larger,
    the 5th percentile of the variances, and the hidden units' weights are a tenth of
    what they were.

    With a small gamma each change of the decoder costs more than it gains until the
    encoder has followed it; a large one hides the narrow directions.
    """
    gaussian = _gaussian(moments)
    if not keep_gamma:
        _set_variance(vae.likelihood, np.percentile(gaussian.eigenvalues, 5))
    _set_linear_parts(vae, gaussian, hidden=0.1)


def keep_gaussian_if_better(
    vae: VAE, moments: np.ndarray, held_out: np.ndarray, *, seed: int = 0
) -> dict[str, float] | None:
    """Makes a trained stage 2 the Gaussian of its latents if held-out latents have a
    smaller loss under that.

    Args:
        vae: As `initialize_as_gaussian` takes it.
        moments: Stage 1's posterior (mean, log_var) of the training images, (N, 2, k).
        held_out: Latents that were not trained on, (M, k).
        seed: Of the noise.

    Returns:
        The `held_out_loss` of the Gaussian, if it was kept.
    """
    trained = vae.get_weights()
    losses = held_out_loss(vae, held_out, seed)
    initialize_as_gaussian(vae, moments)
    of_gaussian = held_out_loss(vae, held_out, seed)
    nats = losses["val_loss"], of_gaussian["val_loss"]
    if nats[1] < nats[0]:
        logger.warning(
            "stage 2 becomes one Gaussian: its held-out loss is %.5g nats, that of the"
            " Gaussian %.5g. More images help",
            *nats,
        )
        return of_gaussian
    vae.set_weights(trained)
    logger.info(
        "stage 2's held-out loss is %.5g nats, that of one Gaussian %.5g", *nats
    )
    return None


class _Gaussian(NamedTuple):
    """Mean (k,), eigenvalues (k,) of the covariance, ascending, and their vectors."""

    mean: np.ndarray
    eigenvalues: np.ndarray
    vectors: np.ndarray


def _gaussian(moments: np.ndarray) -> _Gaussian:
    mean, covariance = _latent_moments(moments)
    return _Gaussian(mean, *np.linalg.eigh(covariance))


def _set_linear_parts(vae: VAE, gaussian: _Gaussian, hidden: float) -> None:
    """Sets the last layers, at the present gamma; the hidden units' weights are scaled
    by `hidden`.
    """
    mean, eigenvalues, vectors = gaussian
    g = float(to_numpy(vae.likelihood.variance))
    used = np.maximum(eigenvalues, g)  # gamma^2 may be larger than some
    scales = np.sqrt(used - g)
    to_u = vectors * (scales / used)
    log_std = 0.5 * np.log(g / used)
    layer = vae.encoder.get_layer
    _set_linear(layer("mean"), to_u, -mean @ to_u, hidden)
    _set_linear(layer("log_sd"), np.zeros_like(to_u), log_std, hidden)
    layer = vae.decoder.get_layer
    _set_linear(layer("vectors"), (vectors * scales).T, mean, hidden)


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


def _set_linear(
    layer: Any, kernel: np.ndarray, bias: np.ndarray, hidden: float
) -> None:
    """The kernel of a dense layer's first inputs, and the factor of the others'."""
    whole = hidden * to_numpy(layer.kernel)
    whole[: len(kernel)] = kernel
    layer.kernel.assign(whole)
    layer.bias.assign(bias)
