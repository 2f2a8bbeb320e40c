"""A second stage on whitened latents, which begins as their Gaussian."""

from __future__ import annotations

import logging
import math
from typing import TYPE_CHECKING, Any

import numpy as np

from twostage.models.held_out_loss import held_out_loss
from twostage.models.tensors import to_numpy

if TYPE_CHECKING:
    from twostage.models.vae import VAE

logger = logging.getLogger(__name__)

GAMMA_SQUARED = 0.3  # training goes there from .2 and .4, too
NEAR = 0.1  # factor of the hidden units' random weights


def initialize_as_gaussian(
    vae: VAE, moments: np.ndarray, *, keep_gamma: bool = False
) -> None:
    """Sets stage 2's weights so that its density is the Gaussian with the mean and
    covariance of stage 1's latents, and its bound is tight.

    With C the covariance, w = C^(-1/2) (z - mean) are the whitened latents, and g =
    gamma^2. The decoder is (1 - g)^(1/2) u, the posterior has the mean (1 - g)^(1/2) w
    and the variance g: probabilistic PCA of data with the covariance I (Tipping &
    Bishop 1999, equations 6 and 7). The density is the same for every g below 1.

    The encoder's and decoder's last layers see the input beside the hidden units, whose
    weights become 0 there. Training hardly leaves this optimum: see
    `initialize_near_gaussian`.

    Args:
        vae: A VAE of a `whitened` `dense_encoder` and `dense_decoder` and a
            `ColoredGaussianLikelihood`, changed in place.
        moments: Stage 1's posterior (mean, log_var) of the training images, (N, 2, k).
        keep_gamma: Whether gamma stays as it is.
    """
    _become_gaussian(vae, moments, keep_gamma, hidden=0.0)


def initialize_near_gaussian(
    vae: VAE, moments: np.ndarray, *, keep_gamma: bool = False
) -> None:
    """As `initialize_as_gaussian`, but where training learns from: the hidden units'
    weights are a tenth of what they were.
    """
    _become_gaussian(vae, moments, keep_gamma, hidden=NEAR)


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
            "stage 2 is replaced by one Gaussian: its held-out loss is %.5g nats, that"
            " of the Gaussian %.5g; more images help",
            *nats,
        )
        return of_gaussian
    vae.set_weights(trained)
    logger.info(
        "stage 2's held-out loss is %.5g nats, that of one Gaussian %.5g", *nats
    )
    return None


def _become_gaussian(
    vae: VAE, moments: np.ndarray, keep_gamma: bool, hidden: float
) -> None:
    """Sets the layers that are linear; the hidden units' weights in the last ones are
    scaled by `hidden`.
    """
    mean, covariance = _latent_moments(moments)
    vae.likelihood.set_covariance(covariance)
    if not keep_gamma:
        vae.likelihood.set_gamma(math.sqrt(GAMMA_SQUARED))
    g = min(1.0, float(to_numpy(vae.likelihood.variance)))
    to_u = math.sqrt(1 - g) * np.eye(len(mean))
    zeros = np.zeros(len(mean))
    layer = vae.encoder.get_layer
    inverse_root = to_numpy(vae.likelihood.inverse_root)
    _set_linear(layer("whitening"), inverse_root, -mean @ inverse_root)
    _set_linear(layer("mean"), to_u, zeros, hidden)
    _set_linear(layer("log_sd"), 0 * to_u, zeros + 0.5 * math.log(g), hidden)
    layer = vae.decoder.get_layer
    _set_linear(layer("vectors"), to_u, zeros, hidden)
    _set_linear(layer("coloring"), to_numpy(vae.likelihood.root), mean)


def _latent_moments(moments: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Mean (k,) and covariance (k, k) of z: that of the posteriors' means, and the mean
    of the posteriors' variances.
    """
    mean = moments[:, 0].astype("float64")
    variance = np.exp(moments[:, 1].astype("float64"))
    covariance = np.cov(mean, rowvar=False) + np.diag(variance.mean(0))
    return mean.mean(0), covariance


def _set_linear(
    layer: Any, kernel: np.ndarray, bias: np.ndarray, hidden: float = 0.0
) -> None:
    """The kernel of a dense layer's first inputs, and the factor of the others'."""
    whole = hidden * to_numpy(layer.kernel)
    whole[: len(kernel)] = kernel
    layer.kernel.assign(whole)
    layer.bias.assign(bias)
