"""The discretised logistic decoder: a probability for each of the 256 levels of 8-bit
images.
"""

import keras
from keras import ops

from twostage.likelihoods.likelihood import Likelihood, over_example, tfp

STEP = 1 / 255  # from one level to the next


@keras.saving.register_keras_serializable("twostage")
class DiscretisedLogisticLikelihood(Likelihood):
    """Each level of x in {0, 1/255, ..., 1} gets the mass of a logistic distribution
    around it; the outer levels get the tails (Kingma et al. 2016, section 5.2).

    The decoder gives the location, in [0, 1], and the log of the scale; scale = floor +
    exp(of that).

    Args:
        floor: Least scale, in the data's units. A probability is at most 1, so it
            guards numbers only.
    """

    heads = ("sigmoid", "linear")
    discrete = True

    def __init__(self, floor=1e-4, **kwargs):
        super().__init__(**kwargs)
        if not floor > 0:
            raise ValueError(f"Received floor={floor}, expected a positive number.")
        self.floor = float(floor)

    def scale(self, parameters):
        """Scale of the logistic distribution of every dimension, (batch, ...)."""
        return self.floor + ops.exp(self.blocks(parameters)[1])

    def call(self, x, parameters, sample_weight=None, training=False):
        scale, centred = self.scale(parameters), x - self.blocks(parameters)[0]
        above, below = (centred + STEP / 2) / scale, (centred - STEP / 2) / scale
        # sigmoid(a) - sigmoid(b) = sigmoid(a) sigmoid(-b) (1 - exp(b - a)), whose
        # logarithm loses nothing in the tails
        within = (
            -ops.softplus(-above)
            - ops.softplus(below)
            + ops.log(-ops.expm1(-STEP / scale))
        )
        log_mass = ops.where(
            x < STEP / 2,
            -ops.softplus(-above),
            ops.where(x > 1 - STEP / 2, -ops.softplus(below), within),
        )
        return -over_example(log_mass)

    def sample(self, parameters, seed=None):
        """Levels in {0, 1/255, ..., 1}."""
        location = self.blocks(parameters)[0]
        u = keras.random.uniform(
            ops.shape(location), 1e-6, 1 - 1e-6, dtype="float32", seed=seed
        )
        drawn = location + self.scale(parameters) * (ops.log(u) - ops.log1p(-u))
        return ops.round(ops.clip(drawn, 0.0, 1.0) / STEP) * STEP

    def as_distribution(self, parameters):
        """Over whole levels, 0 to 255."""
        distributions = tfp().distributions
        logistic = distributions.Logistic(
            self.blocks(parameters)[0] / STEP - 0.5, self.scale(parameters) / STEP
        )  # TFP's levels are the upper ends of their bins
        return distributions.Independent(
            distributions.QuantizedDistribution(logistic, low=0.0, high=255.0),
            len(parameters.shape) - 1,
        )

    def get_config(self):
        return {**super().get_config(), "floor": self.floor}
