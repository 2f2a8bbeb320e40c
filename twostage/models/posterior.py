"""The posterior over a data set: encoding, drawing, sharing one pass."""

from typing import TYPE_CHECKING, Any

import numpy as np
from keras import ops

from twostage.models.tensors import to_numpy
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
        mean, log_var = vae.posterior_on_batch(data[start : start + batch_size])
        means.append(mean)
        log_vars.append(log_var)
    return np.concatenate(means), np.concatenate(log_vars)


def encode_moments(vae: "VAE", data: np.ndarray) -> np.ndarray:
    """The (mean, log_var) of `encode_dataset` as one array (N, 2, k), which
    `draw_latents` takes.
    """
    return np.stack(encode_dataset(vae, data), axis=1)


class EncodedDataset:
    """The posterior over a data set, each row of which is encoded once, when it is
    first needed.

    Args:
        vae: The VAE, which does not change meanwhile.
        data: Its data, (N, ...); may be memory-mapped.
    """

    def __init__(self, vae: "VAE", data: np.ndarray):
        self.vae, self.data = vae, data
        self._is_encoded = np.zeros(len(data), bool)
        self._moments: np.ndarray | None = None

    def __len__(self) -> int:
        return len(self.data)

    def moments(self, rows: np.ndarray) -> np.ndarray:
        """`encode_moments` of these rows, (n, 2, k); each number comes once."""
        new = rows[~self._is_encoded[rows]]
        if len(new):
            moments = encode_moments(self.vae, self.data[new])
            if self._moments is None:
                self._moments = np.empty((len(self), *moments.shape[1:]), moments.dtype)
            self._moments[new] = moments
            self._is_encoded[new] = True
        assert self._moments is not None  # there is at least one row
        return self._moments[rows]


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
