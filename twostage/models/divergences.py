"""What keeps the latents near N(0, I): functions and layers of (mean, log_var, z), each
(batch, k), to nats or penalties (batch, k or 1), which the loss sums over k.
"""

from typing import Any

import keras
from keras import ops


@keras.saving.register_keras_serializable("twostage")
def gaussian_kl(mean: Any, log_var: Any, z: Any = None) -> Any:
    """KL(N(mean, exp(log_var)) || N(0, 1)) of each latent in nats: (batch, k) (Kingma &
    Welling, appendix B).
    """
    return 0.5 * (ops.square(mean) + ops.exp(log_var) - log_var - 1.0)


@keras.saving.register_keras_serializable("twostage")
def squared_length(mean: Any, log_var: Any = None, z: Any = None) -> Any:
    """mean^2 of each latent (batch, k): RAE's penalty, as in its code, without the half
    of its text (Ghosh et al. 2020, equation 10).
    """
    return ops.square(mean)


@keras.saving.register_keras_serializable("twostage")
class MaximumMeanDiscrepancy(keras.layers.Layer):
    """Squared maximum mean discrepancy between a batch's z and as many draws of N(0,
    I), unbiased, under inverse multiquadratic kernels (Tolstikhin et al. 2018,
    algorithm 2).

    The sum over s in SCALES of c / (c + d^2), with c = 2 k s. One value for the batch,
    so (batch, 1) of it; it may be below zero. A batch of one row, where it is not
    defined, gets 0.

    Args:
        seed: Of the draws.
    """

    SCALES = (0.1, 0.2, 0.5, 1.0, 2.0, 5.0, 10.0)

    def __init__(self, seed: int = 0, **kwargs: Any):
        super().__init__(**{**kwargs, "dtype": "float32"})
        self.seed = seed
        self.seed_generator = keras.random.SeedGenerator(seed)
        self.built = True

    def call(self, mean: Any, log_var: Any, z: Any) -> Any:
        count = ops.cast(ops.shape(z)[0], "float32")
        prior = keras.random.normal(
            ops.shape(z), dtype="float32", seed=self.seed_generator
        )
        pairs = ops.maximum(count * (count - 1.0), 1.0)
        # a row with itself has kernel 1 per scale
        within = sum(
            (ops.sum(self._kernel(x, x)) - count * len(self.SCALES)) / pairs
            for x in (z, prior)
        )
        value = within - 2.0 * ops.sum(self._kernel(z, prior)) / count**2
        value = ops.where(count > 1.0, value, 0.0)
        return ops.broadcast_to(ops.reshape(value, (1, 1)), (ops.shape(z)[0], 1))

    def reseed(self, seed: int) -> None:
        """Begins the draws again, from another seed."""
        self.seed_generator.state.assign(keras.random.SeedGenerator(seed).state)

    def _kernel(self, x: Any, y: Any) -> Any:
        squared = ops.maximum(
            ops.sum(x**2, 1)[:, None]
            + ops.sum(y**2, 1)
            - 2.0 * ops.matmul(x, ops.transpose(y)),
            0.0,
        )
        scales = [2.0 * x.shape[-1] * scale for scale in self.SCALES]
        return sum(c / (c + squared) for c in scales)

    def get_config(self) -> dict[str, Any]:
        return {"seed": self.seed, "name": self.name}
