"""The discretized logistic decoder: a probability for each of the 256 levels of 8-bit
images.
"""

from typing import Any

import keras
from keras import ops

from twostage.likelihoods.likelihood import Likelihood, over_example, tfp

STEP = 1 / 255  # from one level to the next
MAX_LOG_SCALE = 70.0  # beyond it float32 has no mass left for a level


@keras.saving.register_keras_serializable("twostage")
# its name in files of earlier versions; the last decorator's name is what is written
@keras.saving.register_keras_serializable("twostage", "DiscretisedLogisticLikelihood")
class DiscretizedLogisticLikelihood(Likelihood):
    """Each level of x in {0, 1/255, ..., 1} gets the mass of a logistic distribution
    around it; the outer levels get the tails (Kingma et al. 2016, section 5.2).

    The decoder gives the location, in [0, 1], and the log of the scale; scale = floor +
    exp(of that). `mean`, and so reconstructions, samples and `mse`, is the location,
    the median. E[x | z] lies further inside near 0 and 1: at .08 for a location of
    .02 and a scale of .1.

    Args:
        floor: Least scale, in the data's units. A probability is at most 1, so it
            guards numbers only.
    """

    heads = ("sigmoid", "linear")
    discrete = True

    def __init__(self, floor: float = 1e-4, **kwargs: Any):
        super().__init__(**kwargs)
        if not floor > 0:
            raise ValueError(f"Received floor={floor}, expected a positive number.")
        self.floor = float(floor)

    def scale(self, parameters: Any) -> Any:
        """Scale of the logistic distribution of every dimension, (batch, ...)."""
        log_scale = ops.minimum(self.blocks(parameters)[1], MAX_LOG_SCALE)
        return self.floor + ops.exp(log_scale)

    def call(
        self,
        x: Any,
        parameters: Any,
        sample_weight: Any = None,
        training: bool = False,
    ) -> Any:
        scale = self.scale(parameters)
        centered = x - self.blocks(parameters)[0]
        above = (centered + STEP / 2) / scale
        below = (centered - STEP / 2) / scale
        # log sigmoid(above), log sigmoid(-below): the tails' masses
        darkest, brightest = -ops.softplus(-above), -ops.softplus(below)
        # sigmoid(a) - sigmoid(b) = sigmoid(a) sigmoid(-b) (1 - exp(b - a)), whose
        # logarithm loses nothing in the tails
        within = darkest + brightest + ops.log(-ops.expm1(-STEP / scale))
        log_mass = ops.where(x > 1 - STEP / 2, brightest, within)
        log_mass = ops.where(x < STEP / 2, darkest, log_mass)
        return -over_example(log_mass)

    def sample(self, parameters: Any, seed: Any = None) -> Any:
        """Levels in {0, 1/255, ..., 1}."""
        location = self.blocks(parameters)[0]
        u = keras.random.uniform(
            ops.shape(location), 1e-6, 1 - 1e-6, dtype="float32", seed=seed
        )
        drawn = location + self.scale(parameters) * (ops.log(u) - ops.log1p(-u))
        return ops.round(ops.clip(drawn, 0.0, 1.0) / STEP) * STEP

    def as_distribution(self, parameters: Any) -> Any:
        """Over whole levels, 0 to 255."""
        distributions = tfp().distributions
        # TFP's levels are the upper ends of their bins
        location = self.blocks(parameters)[0] / STEP - 0.5
        logistic = distributions.Logistic(location, self.scale(parameters) / STEP)
        levels = distributions.QuantizedDistribution(logistic, low=0.0, high=255.0)
        return distributions.Independent(levels, len(parameters.shape) - 1)

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "floor": self.floor}
