"""The Gaussian decoder with a standard deviation of its own for every dimension, which the decoder predicts."""

import math

import keras
from keras import ops

from twostage.likelihoods.likelihood import Likelihood, over_example, tfp


@keras.saving.register_keras_serializable("twostage")
class DiagonalGaussianLikelihood(Likelihood):
    """p(x | z) = N(x; mean(z), diag sigma(z)^2), with sigma^2 = floor^2 + exp(2 s) and s the decoder's second block (LV-VAE of Berger & Sebag, whose floor is 0).

    Without a floor the likelihood has no upper bound: where the mean of a dimension can be hit exactly, sigma runs to 0. With it the log likelihood of an example never exceeds
    -(D / 2) log(2 pi floor^2). The sum, unlike a cut, leaves a gradient everywhere.

    Args:
        floor: Least standard deviation, in the data's units; 0: none. The default is the rounding error of 8-bit images.
    """

    heads = ("sigmoid", "linear")

    def __init__(self, floor=1 / (255 * math.sqrt(12)), **kwargs):
        super().__init__(**kwargs)
        if floor < 0:
            raise ValueError(f"Received floor={floor}, expected at least 0 (0: no bound).")
        self.floor = float(floor)

    def log_variance(self, parameters):
        """log sigma^2 of every dimension, (batch, ...)."""
        log_variance = 2.0 * self.blocks(parameters)[1]
        return ops.logaddexp(log_variance, 2.0 * math.log(self.floor)) if self.floor else log_variance

    def call(self, x, parameters, sample_weight=None, training=False):
        log_variance = self.log_variance(parameters)
        squared = ops.square(x - self.mean(parameters)) * ops.exp(-log_variance)
        return 0.5 * over_example(squared + log_variance + math.log(2 * math.pi))

    def sample(self, parameters, seed=None):
        mean = self.mean(parameters)
        return mean + ops.exp(0.5 * self.log_variance(parameters)) * keras.random.normal(ops.shape(mean), dtype="float32", seed=seed)

    def as_distribution(self, parameters):
        normal = tfp().distributions.Normal(self.mean(parameters), ops.exp(0.5 * self.log_variance(parameters)))
        return tfp().distributions.Independent(normal, len(parameters.shape) - 1)

    def get_config(self):
        return {**super().get_config(), "floor": self.floor}
