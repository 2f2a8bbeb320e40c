"""Bounds on the likelihood of test images."""

from __future__ import annotations

import functools
from typing import Any

import keras
import numpy as np

from twostage.evaluation.image_metrics import BATCH
from twostage.likelihoods import conventions
from twostage.metrics import likelihood_bounds
from twostage.models.vae import VAE
from twostage.sampling.decoding import reconstructed
from twostage.system.progress import progress
from twostage.system.random_streams import Stream


def likelihood_metrics(
    stage1: VAE,
    images: np.ndarray,
    *,
    importance_samples: int,
    seed: int,
    fixed_gamma: bool = False,
) -> dict[str, Any]:
    """Bounds of test images in nats per image, in bits per dimension where that means
    something, and the squared error per dimension; that alone of an autoencoder, which
    has no bound.

    Args:
        stage1: The VAE.
        images: uint8 (N, ...).
        importance_samples: Draws of z for the importance-weighted bound.
        seed: Of the draws.
        fixed_gamma: Whether gamma was fixed from the start, so that the evidence bound
            has several `readings` (docs/explanation/observation_models.md).

    Returns:
        dict in JSON's types: `distortion`, `rate`, `importance` and `evidence`, each
        with its `_error` (None: of one image); `bits_per_dimension` or None; `mse`;
        `readings`.
    """
    mse = _mse(stage1, images)
    if stage1.posterior_std == 0:
        return {"mse": mse}
    dequantized = _dequantized(stage1, images, seed)
    label = f"likelihood of {len(images):,} images"
    bounds = likelihood_bounds.bounds(
        stage1,
        images,
        samples=importance_samples,
        seed=seed,
        dequantized=dequantized,
        progress=functools.partial(progress, label=label),
    )
    whole, nats = images, bounds["importance"].mean()
    if dequantized is not None:
        whole, nats = dequantized, bounds.pop("dequantized").mean()
    bits = None  # the likelihood is no probability
    if stage1.likelihood.normalized:
        bits = likelihood_bounds.bits_per_dimension(stage1.likelihood, nats, whole)
    means = {name: float(values.mean()) for name, values in bounds.items()}
    errors = {f"{name}_error": _error(values) for name, values in bounds.items()}
    found = {**means, **errors, "bits_per_dimension": bits, "mse": mse}
    if fixed_gamma:
        found["readings"] = _readings(stage1, bounds, images[0].size)
    return found


def _error(values: np.ndarray) -> float | None:
    """Standard error of the mean; None: of one value."""
    if len(values) < 2:
        return None
    return float(values.std(ddof=1) / len(values) ** 0.5)


def _dequantized(stage1: VAE, images: np.ndarray, seed: int) -> np.ndarray | None:
    """The dequantized images where the likelihood is a density: its bound is one of
    their probability only so.
    """
    likelihood = stage1.likelihood
    if likelihood.discrete or not likelihood.normalized:
        return None
    return likelihood_bounds.dequantize(images, (seed, Stream.DEQUANTIZATION))


def _mse(stage1: VAE, images: np.ndarray) -> float:
    differences = []
    for i in range(0, len(images), BATCH):
        part = images[i : i + BATCH]
        differences.append(reconstructed(stage1, part) - part / 255)
    return float(np.mean(np.concatenate(differences) ** 2))


def _readings(
    stage1: VAE, bounds: dict[str, np.ndarray], dimensions: int
) -> dict[str, float]:
    """The evidence with another sigma^2: 1/2, beta / 2, the optimum for all images. The
    loss S / (2 gamma^2) + kappa KL is S + beta KL at beta = 2 gamma^2 kappa.
    """
    variance = _number(stage1.likelihood.variance)
    kappa = _number(stage1.kl_weight)
    constant = dimensions / 2 * np.log(2 * np.pi * variance)
    squared = 2 * variance * (bounds["distortion"] - constant)
    beta = conventions.beta_of_gamma(variance**0.5) * kappa
    found = conventions.constant_sigma_readings(
        squared, bounds["rate"], dimensions=dimensions, beta=beta
    )
    return {name: found[name] for name in ("half", "beta", "optimal")}


def _number(scalar: Any) -> float:
    return float(np.asarray(keras.ops.convert_to_numpy(scalar)))
