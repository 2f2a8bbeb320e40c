"""The sampling chain u -> stage 2 -> normalization -> stage 1 -> image, for arrays or
tensors of any backend.
"""

import functools
from collections.abc import Callable
from typing import Any

import numpy as np
from keras import ops

from twostage.config import SAMPLING_METHODS
from twostage.errors import InputError
from twostage.models.tensors import apply_in_batches
from twostage.models.vae import VAE
from twostage.old_names import current_name

Normalizer = Callable[[Any], Any]  # latents (n, k) -> latents (n, k)


def decode(stage1: VAE, z: Any) -> Any:
    """Stage 1's mean at latents z (n, k): float32 images (n, height, width, channels),
    clipped to [0, 1], which a linear output may leave; other data as they are.
    """
    return clipped(stage1.decode(z))


def clipped(mean: Any) -> Any:
    """Images clipped to [0, 1]; other data as they are."""
    return ops.clip(mean, 0.0, 1.0) if len(mean.shape) == 4 else mean


def reconstruct(stage1: VAE, images: Any) -> Any:
    """Stage 1's mean at the posterior's mean: float32 (n, height, width, channels) in
    [0, 1].
    """
    mean, _ = stage1.posterior(images)
    return decode(stage1, mean)


def sample_latents(
    stage2: VAE,
    u: Any,
    *,
    method: str = "normalized",
    normalizer: Normalizer | None = None,
    noise: Any = None,
) -> Any:
    """Latents z (n, k) of stage 1 from u ~ N(0, I) (n, k).

    Args:
        stage2: The second-stage VAE.
        u: Standard normal, (n, k).
        method: `"mean"`: stage 2's mean, of variance 1 - gamma_z^2. `"noise"`: the mean
            with the noise of gamma_z (Dai & Wipf). `"normalized"`: the mean through
            `normalizer` (Asperti & Trentin).
        normalizer: A fitted `LatentNormalizer`.
        noise: Standard normal, (n, k), for `"noise"`.

    Raises:
        InputError: an unknown method, or its normalizer or noise is missing.
    """
    method = current_name(method)
    if method not in SAMPLING_METHODS:
        raise InputError(
            f"`method={method!r}`", f"one of {', '.join(SAMPLING_METHODS)}"
        )
    if method == "noise":
        if noise is None:
            raise InputError(
                "`method='noise'` without `noise`",
                "standard normal numbers of the shape of u",
            )
        parameters = stage2.decoder(u, training=False)
        return stage2.likelihood.with_noise(parameters, ops.cast(noise, "float32"))
    z = stage2.decode(u)
    if method == "normalized":
        if normalizer is None:
            raise InputError(
                "`method='normalized'` without `normalizer`",
                "a fitted LatentNormalizer",
            )
        return normalizer(z)
    return z


def sample(
    stage1: VAE,
    stage2: VAE,
    u: Any,
    *,
    method: str = "normalized",
    normalizer: Normalizer | None = None,
    noise: Any = None,
) -> Any:
    """Images of both stages: float32 (n, height, width, channels) in [0, 1]; arguments
    as for `sample_latents`.
    """
    z = sample_latents(stage2, u, method=method, normalizer=normalizer, noise=noise)
    return decode(stage1, z)


def many_latents(
    stage2: VAE, count: int, seed: Any, *, batch_size: int = 1_000
) -> np.ndarray:
    """`count` draws of `sample_latents(..., method="mean")` as a NumPy array
    (count, k), from a NumPy seed.
    """
    width = stage2.decoder.input_shape[-1]
    generator = np.random.default_rng(seed)
    u = generator.standard_normal((count, width), dtype="float32")
    means = functools.partial(sample_latents, stage2, method="mean")
    return apply_in_batches(means, u, batch_size=batch_size)
