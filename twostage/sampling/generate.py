"""The sampling chain u -> stage 2 -> normalisation -> stage 1 -> image, for arrays or
tensors of any backend.
"""

import numpy as np
from keras import ops

METHODS = ("mean", "noise", "normalised")


def decode(stage1, z):
    """Stage 1's mean at latents z (n, k): float32 images (n, height, width, channels),
    clipped to [0, 1], which a linear output may leave; other data as they are.
    """
    mean = stage1.decode(z)
    return ops.clip(mean, 0.0, 1.0) if len(mean.shape) == 4 else mean


def reconstruct(stage1, images):
    """Stage 1's mean at the posterior's mean: float32 (n, height, width, channels) in
    [0, 1].
    """
    mean, _ = stage1.posterior(images)
    return decode(stage1, mean)


def sample_latents(stage2, u, how="normalised", normalizer=None, noise=None):
    """Latents z (n, k) of stage 1 from u ~ N(0, I) (n, k).

    Args:
        stage2: The second-stage VAE.
        u: Standard normal, (n, k).
        how: `"mean"`: stage 2's mean, of variance 1 - gamma_z^2. `"noise"`: mean +
            gamma_z noise (Dai & Wipf). `"normalised"`: the mean through `normalizer`
            (Asperti & Trentin).
        normalizer: A fitted `LatentNormalizer`.
        noise: Standard normal, (n, k), for `"noise"`.
    """
    if how not in METHODS:
        raise ValueError(f"received how={how!r}, expected one of {', '.join(METHODS)}")
    z = stage2.decode(u)
    if how == "noise":
        if noise is None:
            raise ValueError(
                "received no noise, expected standard normal numbers of u's shape for"
                " how='noise'"
            )
        return z + stage2.gamma * ops.cast(noise, "float32")
    if how == "normalised":
        if normalizer is None:
            raise ValueError(
                "received no normalizer, expected a fitted LatentNormalizer for"
                " how='normalised'"
            )
        return normalizer(z)
    return z


def sample(stage1, stage2, u, how="normalised", normalizer=None, noise=None):
    """Images of both stages: float32 (n, height, width, channels) in [0, 1]; arguments
    as for `sample_latents`.
    """
    return decode(stage1, sample_latents(stage2, u, how, normalizer, noise))


def many_latents(stage2, count, seed, batch_size=1_000):
    """`count` draws of `sample_latents(..., "mean")` as a NumPy array (count, k), from
    a NumPy seed.
    """
    u = np.random.default_rng(seed).standard_normal(
        (count, stage2.decoder.input_shape[-1]), dtype="float32"
    )
    parts = [
        sample_latents(stage2, u[i : i + batch_size], "mean")
        for i in range(0, count, batch_size)
    ]
    return np.concatenate([ops.convert_to_numpy(part) for part in parts])
