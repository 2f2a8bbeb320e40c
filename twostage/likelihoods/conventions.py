"""One loss, many notations: what the papers' gamma, sigma, beta, lambda and KL weight
are in each other's terms; and the likelihood that each implies for a constant-sigma
VAE.

S is an example's squared error summed over its D dimensions, KL its divergence summed
over k latents. gamma and sigma are standard deviations in the data's unit, beta has its
square, lambda and the KL weight are pure numbers. Two losses train alike where one is a
positive multiple of the other, up to constants and the optimizer's epsilon. Derivations
and the table: docs/explanation/observation_models.md.
"""

import math

import numpy as np


def gamma_of_beta(beta: float) -> float:
    """beta-VAE's S + beta KL is S / (2 gamma^2) + KL at gamma = sqrt(beta / 2)."""
    return math.sqrt(beta / 2)


def beta_of_gamma(gamma: float) -> float:
    """The inverse: beta = 2 gamma^2."""
    return 2 * gamma**2


def gamma_of_mean_weight(weight: float, dimensions: int) -> float:
    """A loss of means, S / D + weight KL, is S / (2 gamma^2) + KL at gamma =
    sqrt(weight D / 2). RAE's VAE has S / C + weight KL: D is C there.
    """
    return math.sqrt(weight * dimensions / 2)


def mean_weight_of_gamma(gamma: float, dimensions: int) -> float:
    """The inverse: weight = 2 gamma^2 / D."""
    return 2 * gamma**2 / dimensions


def gamma_of_lambda(sigma: float, kl_weight: float) -> float:
    """S / (2 sigma^2) + lambda KL is S / (2 gamma^2) + KL at gamma = sigma sqrt(lambda)
    (Berger & Sebag, after Theorem 1).
    """
    return sigma * math.sqrt(kl_weight)


def lambda_of_gamma(gamma: float, sigma: float) -> float:
    """The inverse: lambda = (gamma / sigma)^2."""
    return (gamma / sigma) ** 2


def rae_of_mean(
    latent_weight: float, regularizer_weight: float, dimensions: int, latents: int
) -> tuple[float, float]:
    """RAE's loss of means, S / D + latent_weight |z|^2 / k + regularizer_weight R,
    times D: (weight of |z|^2, weight of R) beside S.
    """
    return latent_weight * dimensions / latents, regularizer_weight * dimensions


def rae_to_mean(
    latent_weight: float, regularizer_weight: float, dimensions: int, latents: int
) -> tuple[float, float]:
    """The inverse: weights beside S -> weights beside S / D, with the mean of z^2."""
    return latent_weight * latents / dimensions, regularizer_weight / dimensions


def constant_sigma_readings(
    squared_error: np.ndarray | float,
    kl: np.ndarray | float,
    *,
    dimensions: int,
    beta: float,
) -> dict[str, float]:
    """The evidence bound of one set of weights, trained by S + beta KL, under the
    readings of its sigma (Beta-Sigma VAE, section 3).

    Args:
        squared_error: S of each example, (N,), or their mean.
        kl: KL of each example, nats.
        dimensions: D.
        beta: Of the training.

    Returns:
        dict of nats per example: `half` (sigma^2 = 1/2), `beta` (sigma^2 = beta / 2),
        `optimal` (sigma^2 the mean of S / D, one for all), `optimal_image` (each
        example's own S / D, the Beta-Sigma VAE's; at least `optimal`, and no density).
    """
    squared_error = np.asarray(squared_error, "float64")
    kl = np.asarray(kl, "float64")
    variances = {
        "half": 0.5,
        "beta": beta / 2,
        "optimal": squared_error.mean() / dimensions,
        "optimal_image": squared_error / dimensions,
    }
    return {
        name: _mean_evidence(squared_error, kl, dimensions, variance)
        for name, variance in variances.items()
    }


def _mean_evidence(
    squared_error: np.ndarray,
    kl: np.ndarray,
    dimensions: int,
    variance: np.ndarray | float,
) -> float:
    constants = dimensions / 2 * np.log(2 * math.pi * variance)
    return float(np.mean(-squared_error / (2 * variance) - constants - kl))
