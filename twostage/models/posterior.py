"""The posterior over a data set: encoding, drawing, sharing one pass."""

from typing import TYPE_CHECKING, Any

import numpy as np
from keras import ops

from twostage.models.tensors import to_numpy
from twostage.own_callbacks import callbacks
from twostage.system.progress import progress

if TYPE_CHECKING:
    from twostage.models.vae import VAE


def encode_dataset(
    vae: "VAE", data: np.ndarray, *, batch_size: int = 250
) -> tuple[np.ndarray, np.ndarray]:
    """(mean, log_var) of q(z | x) for every row of `data`, float32, each (N, k). The
    data may be memory-mapped.
    """
    starts = range(0, len(data), batch_size)
    means, log_vars = [], []
    for start in progress(starts, f"encoding {len(data):,} examples"):
        with callbacks.model_calls.no_gradients():
            mean, log_var = vae.posterior(data[start : start + batch_size])
        means.append(to_numpy(mean))
        log_vars.append(to_numpy(log_var))
    return np.concatenate(means), np.concatenate(log_vars)


def encode_moments(vae: "VAE", data: np.ndarray) -> np.ndarray:
    """The (mean, log_var) of `encode_dataset` as one array (N, 2, k), which
    `draw_latents` takes.
    """
    return np.stack(encode_dataset(vae, data), axis=1)


def draw_latents(moments: np.ndarray, generator: np.random.Generator) -> np.ndarray:
    """New draws of z from N(mean, exp(log_var)): moments (batch, 2, k), mean first ->
    (batch, k). A transform for `Batches`.
    """
    mean, log_var = moments[:, 0], moments[:, 1]
    noise = generator.standard_normal(mean.shape, dtype=np.float32)
    return mean + np.exp(0.5 * log_var) * noise


class SharedPosterior:
    """A posterior pass that several callbacks share: within one step the same examples
    are encoded once.
    """

    def __init__(self) -> None:
        self.step: int | None = None
        self.seen: dict[bytes, list[np.ndarray]] = {}

    def __call__(self, model: Any, x: np.ndarray) -> list[np.ndarray]:
        iterations = ops.convert_to_tensor(model.optimizer.iterations)
        step = int(to_numpy(iterations))
        key = x.tobytes()
        if step != self.step:
            self.step = step
            self.seen = {}
        if key not in self.seen:
            self.seen[key] = [to_numpy(part) for part in model.posterior(x)]
        return self.seen[key]
