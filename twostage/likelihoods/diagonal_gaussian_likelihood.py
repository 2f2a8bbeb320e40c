"""The Gaussian decoder with a standard deviation of its own for every dimension, which
the decoder predicts.
"""

import math
from typing import Any

import keras
from keras import ops

from twostage.likelihoods.likelihood import EIGHT_BIT_FLOOR, GaussianNoise, over_example


@keras.saving.register_keras_serializable("twostage")
class DiagonalGaussianLikelihood(GaussianNoise):
    """p(x | z) = N(x; mean(z), diag sigma(z)^2), with sigma^2 = floor^2 + exp(2 s) and
    s the decoder's second block (LV-VAE of Berger & Sebag, whose floor is 0).

    Without a floor the likelihood has no upper bound: where the mean of a dimension can
    be hit exactly, sigma runs to 0. With it the log likelihood of an example never
    exceeds -(D / 2) log(2 pi floor^2). The sum, unlike a cut, leaves a gradient
    everywhere.

    Args:
        floor: Least standard deviation, in the data's units; 0: none. The default is
            the rounding error of 8-bit images.
    """

    heads = ("sigmoid", "linear")

    def __init__(self, floor: float = EIGHT_BIT_FLOOR, **kwargs: Any):
        super().__init__(**kwargs)
        if floor < 0:
            raise ValueError(
                f"Received floor={floor}, expected at least 0 (0: no bound)."
            )
        self.floor = float(floor)

    def log_variance(self, parameters: Any) -> Any:
        """log sigma^2 of every dimension, (batch, ...), sigma in the data's unit."""
        log_variance = 2.0 * self.blocks(parameters)[1]
        if not self.floor:
            return log_variance
        return ops.logaddexp(log_variance, 2.0 * math.log(self.floor))

    def standard_deviation(self, parameters: Any) -> Any:
        """sigma of every dimension, (batch, ...)."""
        return ops.exp(0.5 * self.log_variance(parameters))

    def call(
        self,
        x: Any,
        parameters: Any,
        sample_weight: Any = None,
        training: bool = False,
    ) -> Any:
        log_variance = self.log_variance(parameters)
        squared = ops.square(x - self.mean(parameters)) * ops.exp(-log_variance)
        return 0.5 * over_example(squared + log_variance + math.log(2 * math.pi))

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "floor": self.floor}
