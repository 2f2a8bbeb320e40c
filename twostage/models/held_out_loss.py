"""The loss of data that a VAE is not trained on."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np
from keras import ops

from twostage.models.divergences import MaximumMeanDiscrepancy
from twostage.models.tensors import apply_in_batches, to_numpy
from twostage.own_callbacks import callbacks
from twostage.system.random_streams import Stream

if TYPE_CHECKING:
    from twostage.models.vae import VAE

BATCH = 250  # rows that go through the networks at once


def held_out_loss(
    vae: VAE, data: np.ndarray, seed: int = 0, *, fit_gamma: bool = False
) -> dict[str, float]:
    """The mean loss, error and divergence of data, with the networks in inference mode.

    The noise on z, and the draws of a `MaximumMeanDiscrepancy`, depend on `seed` alone,
    so that epochs differ by their weights only, and the model's own noise stays what it
    would be.

    Args:
        vae: The VAE.
        data: (N, ...), as `fit` takes them.
        seed: Of the noise.
        fit_gamma: Whether `val_loss` is that of the best gamma for these data, gamma^2
            = `val_mse`, of a `GaussianLikelihood`. The model's gamma stays as it is.

    Returns:
        dict: `val_loss`, nats per example, reconstruction + kappa KL without the
        networks' penalties (with kappa 1 the negative evidence bound; Kingma & Welling,
        equation 3); `val_mse` per dimension; `val_kl`, nats per example.
    """
    generator = np.random.default_rng((seed, Stream.HELD_OUT_NOISE))
    width = vae.decoder.input_shape[-1]
    noise = generator.standard_normal((len(data), width), dtype="float32")

    def figures(x, noise):
        x = vae.scale(ops.convert_to_tensor(x))
        mean, log_var = vae.heads(x)
        z = mean + ops.exp(0.5 * log_var) * noise
        parameters = vae.decoder(z, training=False)
        kl = ops.sum(vae.divergence(mean, log_var, z), axis=-1)
        error = ops.square(x - vae.likelihood.mean(parameters))
        mse = ops.mean(error, axis=tuple(range(1, len(x.shape))))
        loss = vae.likelihood(x, parameters) + vae.kl_weight * kl
        return ops.stack([loss, mse, kl], axis=-1)  # (batch, 3)

    with callbacks.model_calls.kept_state(vae):
        if isinstance(vae.divergence, MaximumMeanDiscrepancy):
            vae.divergence.reseed(seed)
        rows = apply_in_batches(figures, data, noise, batch_size=BATCH)
    loss, mse, kl = map(float, rows.mean(0))
    if fit_gamma:
        loss -= _gain(vae, data, mse)
    return {"val_loss": loss, "val_mse": mse, "val_kl": kl}


def _gain(vae: VAE, data: np.ndarray, mse: float) -> float:
    """By how many nats the best gamma lowers the loss: the difference of D / 2 (mse /
    gamma^2 + log gamma^2), Asperti & Trentin, equation 7, summed over dimensions.
    """
    variance = float(to_numpy(vae.likelihood.variance))
    fitted = max(mse, vae.likelihood.floor**2)
    nats = mse / variance + math.log(variance) - mse / fitted - math.log(fitted)
    return 0.5 * math.prod(data.shape[1:]) * nats
