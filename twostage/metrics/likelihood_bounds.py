"""Bounds on the likelihood of images under stage 1, in nats per image."""

from collections.abc import Callable, Iterable, Sequence
from typing import Any

import numpy as np
from keras import ops

from twostage.errors import InputError


def bounds(
    vae: Any,
    data: np.ndarray,
    *,
    samples: int = 50,
    seed: int = 0,
    batch_rows: int = 500,
    dequantized: np.ndarray | None = None,
    progress: Callable[[Sequence[int]], Iterable[int]] = iter,
) -> dict[str, np.ndarray]:
    """The evidence bound with kappa 1 and the importance-weighted bound, of each row of
    the data.

    z is drawn `samples` times from q(z | x). The evidence bound is -E[nll] - KL, the KL
    in closed form (Kingma & Welling, equation 3); the importance-weighted one is log
    mean exp(log p(x | z) + log p(z) - log q(z | x)) (Burda et al. 2016, equation 8), in
    float64; it grows with `samples` toward log p(x).

    Args:
        vae: The VAE.
        data: (N, ...), as `fit` takes them: uint8 images, whose density is that of x /
            255 in [0, 1]; or floats as they are, such as `dequantize` returns.
        samples: Draws of z per row.
        seed: Of the draws.
        batch_rows: Rows of z that go through the decoder in one batch.
        dequantized: The same images as `dequantize` returns them. Their
            importance-weighted bound takes the same z, decoded once: equation 8 holds
            for any distribution that z is drawn from.
        progress: Passes on the batches, and may show how many are done.

    Returns:
        dict of float64 arrays (N,), nats: `distortion` E[nll], `rate` KL, `evidence`
        -distortion - rate, `importance`; with `dequantized` their `importance`, too,
        as `dequantized`.
    """
    generator = np.random.default_rng(seed)
    rows = max(1, batch_rows // samples)
    versions = [data] if dequantized is None else [data, dequantized]
    parts = []
    for start in progress(range(0, len(data), rows)):
        batches = [_numbers(version[start : start + rows]) for version in versions]
        parts.append(_bounds_of_batch(vae, batches, samples, generator))
    result = {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}
    return {**result, "evidence": -result["distortion"] - result["rate"]}


def _bounds_of_batch(
    vae: Any,
    versions: Sequence[np.ndarray],
    samples: int,
    generator: np.random.Generator,
) -> dict[str, np.ndarray]:
    """Of the first version of a batch; of the second the importance-weighted bound
    alone.
    """
    x = ops.convert_to_tensor(versions[0])
    mean, log_var = map(_float64, vae.heads(x))
    noise = generator.standard_normal((samples, *mean.shape))
    z = mean + np.exp(0.5 * log_var) * noise  # (samples, rows, k)
    nll, *others = _negative_log_likelihoods(vae, versions, z)
    # log p(z) - log q(z | x); both constants of 2 pi cancel
    log_ratio = 0.5 * (noise**2 + log_var - z**2).sum(-1)
    found = {
        "distortion": nll.mean(0),
        "rate": gaussian_kl(mean, log_var).sum(-1),
        "importance": _log_mean_exp(log_ratio - nll),
    }
    for other in others:
        found["dequantized"] = _log_mean_exp(log_ratio - other)
    return found


def _negative_log_likelihoods(
    vae: Any, versions: Sequence[np.ndarray], z: np.ndarray
) -> list[np.ndarray]:
    """-log p(x | z) of each version, nats (samples, rows), float64."""
    samples = len(z)
    flat = z.reshape(-1, z.shape[-1]).astype("float32")
    parameters = vae.parameters_on_batch(flat)
    found = []
    for x in versions:
        repeated = np.broadcast_to(x, (samples, *x.shape)).reshape(-1, *x.shape[1:])
        nats = vae.likelihood(ops.convert_to_tensor(repeated), parameters)
        found.append(_float64(nats).reshape(samples, -1))
    return found


def gaussian_kl(mean: np.ndarray, log_var: np.ndarray) -> np.ndarray:
    """KL(N(mean, exp(log_var)) || N(0, 1)) in nats, elementwise (Kingma & Welling,
    appendix B), in NumPy's float64. That of the loss is in models/divergences.py.
    """
    return 0.5 * (mean**2 + np.exp(log_var) - log_var - 1)


def dequantize(images: np.ndarray, seed: int | tuple[int, ...] = 0) -> np.ndarray:
    """uint8 images -> (x + u) / 256 with u uniform in [0, 1), float32: what makes a
    density a bound on the probability of the integers (Theis et al. 2016, section 3.1).
    """
    u = np.random.default_rng(seed).random(images.shape)
    return ((images + u) / 256).astype("float32")


def bits_per_dimension(likelihood: Any, nats: float, data: np.ndarray) -> float:
    """Bits of an integer pixel value, of a mean log p(x) in nats of images: a
    `discrete` likelihood's probability, or a density of what `dequantize` returned.

    Raises:
        InputError: a likelihood that is no probability (`normalized` is False); a
            density of data that are not dequantized: that of x / 255 at its 256 points
            can be arbitrarily large, and says nothing about their probability.
    """
    if not likelihood.normalized:
        raise InputError(
            f"a {type(likelihood).__name__}, whose nats are of no probability",
            "a normalized likelihood",
        )
    if not likelihood.discrete:
        _check_dequantized(data)
    return float(likelihood.bits_per_dimension(-nats, data[0].size))


def _check_dequantized(data: np.ndarray) -> None:
    first = np.asarray(data[:100], "float64")
    whole_levels = np.isclose(first * 255, np.rint(first * 255), atol=1e-3).all()
    if data.dtype == np.uint8 or whole_levels or first.min() < 0 or first.max() > 1:
        raise InputError(
            "received data that are not dequantized, for which bits per dimension mean"
            " nothing: pass them through `dequantize` first"
        )


def _numbers(x: np.ndarray) -> np.ndarray:
    if x.dtype == np.uint8:
        return x.astype("float32") / np.float32(255)
    return np.asarray(x, "float32")


def _float64(tensor: Any) -> np.ndarray:
    return np.asarray(ops.convert_to_numpy(tensor)).astype("float64")


def _log_mean_exp(values: np.ndarray) -> np.ndarray:
    top = values.max(0)
    return top + np.log(np.exp(values - top).mean(0))
