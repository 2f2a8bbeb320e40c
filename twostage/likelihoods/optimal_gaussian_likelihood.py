"""The Gaussian decoder whose standard deviation is the optimum for the data that it
models: an image, or a batch.
"""

import math
from typing import Any

import keras
from keras import ops

from twostage.likelihoods.likelihood import (
    GaussianNoise,
    over_example,
    scalar_weight,
    weighted_mean,
)

TINY = 1e-30
MEMORY = 0.99  # of the running mean of the squared error, which samples are drawn with


@keras.saving.register_keras_serializable("twostage")
class OptimalGaussianLikelihood(GaussianNoise):
    """N(x; mean(z), m I) with the variance m at its optimum for x itself; the gradient
    passes through it.

    - `per="image"` (Beta-Sigma VAE, Eq. 6 with one variance per image, as their code):
      m the image's mean squared error,
      (D / 2) (log(2 pi m + floor) + 1).
    - `per="batch"` (optimal sigma-VAE, Rybkin et al. 2021): m the batch's mean squared
      error, log sigma = log(m) / 2 softly kept above `floor`:
      log sigma <- floor + softplus(log sigma - floor); then
      S / (2 sigma^2) + D log sigma + (D / 2) log 2 pi.
      Outside training m is `gamma_squared`, so that an example's nats do not depend on
      the others that are evaluated with it.

    Where the variance is fitted to x, p is no density of x: its nats are not to be
    compared with those of a decoder that knows its variance beforehand. That is so in
    training, and everywhere with `per="image"`.

    Args:
        per: `"image"` or `"batch"`.
        floor: `"image"`: what is added within the logarithm, squared units of the data;
            None: 1e-5, which acts as a least m of 1.6e-6. `"batch"`: least log sigma;
            None: -6.

    The weight `gamma_squared` is a running mean of the squared error of training
    batches; `gamma`, `sample` and `as_distribution` use it.
    """

    def __init__(self, per: str = "image", floor: float | None = None, **kwargs: Any):
        super().__init__(**kwargs)
        if per not in ("image", "batch"):
            raise ValueError(f"Received per={per!r}, expected 'image' or 'batch'.")
        default = {"image": 1e-5, "batch": -6.0}[per]
        self.per = per
        self.normalized = per == "batch"  # outside training
        self.floor = float(default if floor is None else floor)
        if per == "image" and not self.floor > 0:
            raise ValueError(
                f"Received floor={floor}, expected a positive number: it keeps the"
                " logarithm of a perfect image finite."
            )
        self.gamma_squared = scalar_weight(self, "gamma_squared", 1.0)
        self.steps = scalar_weight(self, "steps", 0.0)

    @property
    def gamma(self) -> Any:
        """Root of the running mean of the squared error, in the data's units."""
        return ops.sqrt(ops.convert_to_tensor(self.gamma_squared))

    def call(
        self,
        x: Any,
        parameters: Any,
        sample_weight: Any = None,
        training: bool = False,
    ) -> Any:
        dimensions = math.prod(x.shape[1:])
        squared_error = over_example(ops.square(x - self.mean(parameters)))  # S
        remembered = ops.convert_to_tensor(self.gamma_squared)
        error = remembered
        if training:
            mean_errors = squared_error / dimensions
            error = weighted_mean(mean_errors, sample_weight, remembered)
            self._remember(error)
        if self.per == "image":
            variance = 2 * math.pi * squared_error / dimensions
            return 0.5 * dimensions * (ops.log(variance + self.floor) + 1.0)
        log_sigma = self._log_sigma(error)
        return squared_error / 2 * ops.exp(-2.0 * log_sigma) + dimensions * (
            log_sigma + 0.5 * math.log(2 * math.pi)
        )

    def standard_deviation(self, parameters: Any) -> Any:
        """That of draws, one number: `gamma`; of a batch with its soft floor."""
        if self.per == "image":
            return self.gamma
        return ops.exp(self._log_sigma(ops.convert_to_tensor(self.gamma_squared)))

    def _log_sigma(self, error: Any) -> Any:
        """The logarithm of sigma for a mean squared error, softly above the floor."""
        error = ops.maximum(error, TINY)  # of an exact batch
        return self.floor + ops.softplus(0.5 * ops.log(error) - self.floor)

    def _remember(self, batch_error: Any) -> None:
        """One step of the running mean."""
        memory = ops.minimum(MEMORY, self.steps / (self.steps + 1.0))
        self.gamma_squared.assign(
            memory * self.gamma_squared
            + (1.0 - memory) * ops.stop_gradient(batch_error)
        )
        self.steps.assign_add(1.0)

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "per": self.per, "floor": self.floor}
