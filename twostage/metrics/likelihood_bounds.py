"""Bounds on the likelihood of images under stage 1, in nats an image."""

import numpy as np
from keras import ops

from twostage.errors import InputError


def bounds(vae, data, samples=50, seed=0, batch_rows=500):
    """The evidence bound with kappa 1 and the importance-weighted bound, of each row of
    the data.

    z is drawn `samples` times from q(z | x). The evidence bound is -E[nll] - KL, the KL
    in closed form (Kingma & Welling, equation 3); the importance-weighted one is log
    mean exp(log p(x | z) + log p(z) - log q(z | x)) (Burda et al. 2016, equation 8), in
    float64; it grows with `samples` towards log p(x).

    Args:
        vae: The VAE.
        data: (N, ...), as `fit` takes them: uint8 images, whose density is that of x /
            255 in [0, 1]; or floats as they are, such as `dequantised` images.
        samples: Draws of z a row.
        seed: Of the draws.
        batch_rows: Rows of z that go through the decoder together.

    Returns:
        dict of float64 arrays (N,), nats: `distortion` E[nll], `rate` KL, `evidence`
        -distortion - rate, `importance`.
    """
    generator, found = (
        np.random.default_rng(seed),
        {"distortion": [], "rate": [], "importance": []},
    )
    rows = max(1, batch_rows // samples)
    for start in range(0, len(data), rows):
        x = _numbers(data[start : start + rows])
        mean, log_var = (
            ops.convert_to_numpy(output).astype("float64")
            for output in vae.heads(ops.convert_to_tensor(x))
        )
        noise = generator.standard_normal((samples, *mean.shape))
        z = mean + np.exp(0.5 * log_var) * noise  # (samples, rows, k)
        parameters = vae.decoder(
            z.reshape(-1, z.shape[-1]).astype("float32"), training=False
        )
        many = np.broadcast_to(x, (samples, *x.shape)).reshape(-1, *x.shape[1:])
        nll = (
            ops.convert_to_numpy(
                vae.likelihood(ops.convert_to_tensor(many), parameters)
            )
            .astype("float64")
            .reshape(samples, -1)
        )
        log_ratio = 0.5 * (noise**2 + log_var - z**2).sum(
            -1
        )  # log p(z) - log q(z | x); both constants of 2 pi cancel
        found["distortion"].append(nll.mean(0))
        found["rate"].append(0.5 * (mean**2 + np.exp(log_var) - log_var - 1).sum(-1))
        found["importance"].append(_log_mean_exp(log_ratio - nll))
    result = {name: np.concatenate(parts) for name, parts in found.items()}
    return {**result, "evidence": -result["distortion"] - result["rate"]}


def dequantised(images, seed=0):
    """uint8 images -> (x + u) / 256 with u uniform in [0, 1), float32: what makes a
    density a bound on the probability of the integers (Theis et al. 2016, section 3.1).
    """
    return ((images + np.random.default_rng(seed).random(images.shape)) / 256).astype(
        "float32"
    )


def bits_per_dimension(likelihood, nats, data):
    """Bits of an integer pixel value, of a mean log p(x) in nats of images: a
    `discrete` likelihood's probability, or a density of `dequantised` images.

    Raises:
        InputError: a density of data that are not dequantised: that of x / 255 at its
            256 points can be as large as one likes, and says nothing about their
            probability.
    """
    if not likelihood.discrete:
        _check_dequantised(data)
    return float(likelihood.bits_per_dimension(-nats, data[0].size))


def _check_dequantised(data):
    some = np.asarray(data[:100], "float64")
    whole_levels = np.isclose(some * 255, np.rint(some * 255), atol=1e-3).all()
    if data.dtype == np.uint8 or whole_levels or some.min() < 0 or some.max() > 1:
        raise InputError(
            "received data that are not dequantised, for which bits per dimension mean"
            " nothing: pass them through `dequantised` first"
        )


def _numbers(x):
    return (
        x.astype("float32") / np.float32(255)
        if x.dtype == np.uint8
        else np.asarray(x, "float32")
    )


def _log_mean_exp(values):
    top = values.max(0)
    return top + np.log(np.exp(values - top).mean(0))
