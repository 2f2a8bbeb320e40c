"""Bounds on the likelihood of test images."""

import keras
import numpy as np

from twostage.evaluation.image_metrics import BATCH
from twostage.likelihoods import conventions
from twostage.metrics import likelihood_bounds
from twostage.sampling import generate
from twostage.system.random_streams import Stream


def likelihood_metrics(stage1, images, samples, seed, constant=False):
    """Bounds of test images in nats an image, in bits a dimension where that means
    something, and the squared error a dimension; that alone of an autoencoder, which
    has no bound.

    `constant`: gamma was fixed from the start, so that the evidence bound has several
    `readings` (docs/observation_models.md).
    """
    mse = _mse(stage1, images)
    if stage1.posterior_std == 0:
        return {"mse": mse}
    plain = likelihood_bounds.bounds(stage1, images, samples, seed)
    errors = {
        f"{name}_error": float(values.std(ddof=1) / len(values) ** 0.5)
        for name, values in plain.items()
    }
    told = {
        **{name: float(values.mean()) for name, values in plain.items()},
        **errors,
        "bits_per_dimension": _bits(stage1, images, plain, samples, seed),
        "mse": mse,
    }
    return (
        {**told, "readings": _readings(stage1, plain, images[0].size)}
        if constant
        else told
    )


def _mse(stage1, images):
    parts = [images[i : i + BATCH] for i in range(0, len(images), BATCH)]
    return float(
        np.mean(
            np.concatenate(
                [
                    keras.ops.convert_to_numpy(generate.reconstruct(stage1, part))
                    - part / 255
                    for part in parts
                ]
            )
            ** 2
        )
    )


def _readings(stage1, plain, dimensions):
    """Of sigma^2: 1/2, beta / 2, the optimum for all images. The loss S / (2 gamma^2) +
    kappa KL is S + beta KL at beta = 2 gamma^2 kappa.
    """
    variance, kappa = (
        float(keras.ops.convert_to_numpy(value))
        for value in (stage1.likelihood.variance, stage1.kl_weight)
    )
    squared = (
        2
        * variance
        * (plain["distortion"] - dimensions / 2 * np.log(2 * np.pi * variance))
    )
    found = conventions.constant_sigma_readings(
        squared,
        plain["rate"],
        dimensions,
        conventions.beta_of_gamma(variance**0.5) * kappa,
    )
    return {name: found[name] for name in ("half", "beta", "optimal")}


def _bits(stage1, images, plain, samples, seed):
    """Bits of a level; None where the likelihood is no probability."""
    likelihood_metrics = stage1.likelihood
    if not likelihood_metrics.normalised:
        return None
    if not likelihood_metrics.discrete:
        images = likelihood_bounds.dequantised(images, (seed, Stream.DEQUANTIZATION))
        plain = likelihood_bounds.bounds(stage1, images, samples, seed)
    return likelihood_bounds.bits_per_dimension(
        likelihood_metrics, plain["importance"].mean(), images
    )
