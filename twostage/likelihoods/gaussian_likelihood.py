"""The Gaussian decoder with one standard deviation gamma: fixed, learned, or computed
inside the training step.
"""

import math
from typing import Any

import keras
from keras import ops

from twostage.likelihoods.likelihood import (
    EIGHT_BIT_FLOOR,
    GaussianNoise,
    over_example,
    scalar_weight,
    weighted_mean,
)


@keras.saving.register_keras_serializable("twostage")
class AtLeast(keras.constraints.Constraint):
    """Projects a weight to `minimum` or above. Unlike a clip in the graph it never cuts
    the gradient that leads back up.
    """

    def __init__(self, minimum: float):
        self.minimum = minimum

    def __call__(self, value: Any) -> Any:
        return ops.maximum(value, ops.cast(self.minimum, value.dtype))

    def get_config(self) -> dict[str, Any]:
        return {"minimum": self.minimum}


@keras.saving.register_keras_serializable("twostage")
class GaussianLikelihood(GaussianNoise):
    """p(x | z) = N(x; mean(z), gamma^2 I), with one standard deviation gamma for all D
    dimensions.

    Calling it, `likelihood(x, mean, sample_weight=None, training=False)`, gives the
    negative log likelihood of each example in nats, all constants kept (Asperti &
    Trentin, eq. 7, summed over dimensions; why the sum matters:
    docs/explanation/mathematics.md):

        S / (2 gamma^2) + D log gamma + (D / 2) log 2 pi,

    with S the squared error of one example summed over its D dimensions.

    Gamma stays where it starts (fixed) unless `learned=True` makes it a trainable
    weight, or a `callbacks.ComputedGamma` arms the rule. The rule is part of the
    training step, so it is exact whatever runs the step: with g = gamma^2 and b the
    mean squared error of the minibatch before,

        candidate = decay g + (1 - decay) b,
        g <- min(g, candidate) if monotone, else candidate,
        g >= floor^2.

    Args:
        gamma: Starting value of the standard deviation, in the data's units (images:
            gray levels in [0, 1]).
        learned: Whether gamma is trained together with the networks (Dai & Wipf).
        multiplier: Learned gamma only. log gamma = multiplier x weight; under Adam this
            multiplies its learning rate.
        floor: Least standard deviation that gamma may take. The default is the rounding
            error of 8-bit images.

    Weights (scalars, float32): `gamma_squared` and `batch_mse` (squared units of the
    data), `decay` in [0, 1] (1: the rule is inactive), `monotone` (0 or 1),
    `floor_squared`; with `learned=True` also the trainable `scaled_log_gamma`.
    """

    def __init__(
        self,
        gamma: float = 1.0,
        learned: bool = False,
        multiplier: float = 1.0,
        floor: float = EIGHT_BIT_FLOOR,
        **kwargs: Any,
    ):
        super().__init__(**kwargs)
        if not 0 < floor <= gamma:
            raise ValueError(
                f"Received gamma={gamma} and floor={floor}, expected 0 < floor <="
                " gamma: raise gamma or lower the floor."
            )
        if not multiplier > 0:
            raise ValueError(
                f"Received multiplier={multiplier}, expected a positive number (1: the"
                " networks' own learning rate)."
            )
        self.initial_gamma = float(gamma)
        self.learned = bool(learned)
        self.multiplier = float(multiplier)
        self.floor = float(floor)
        self.gamma_squared = scalar_weight(self, "gamma_squared", gamma**2)
        self.batch_mse = scalar_weight(self, "batch_mse", gamma**2)
        self.decay = scalar_weight(self, "decay", 1.0)
        self.monotone = scalar_weight(self, "monotone", 1.0)
        self.floor_squared = scalar_weight(self, "floor_squared", floor**2)
        if learned:
            least = AtLeast(math.log(floor) / multiplier)
            self.scaled_log_gamma = scalar_weight(
                self,
                "scaled_log_gamma",
                math.log(gamma) / multiplier,
                trainable=True,
                constraint=least,
            )

    @property
    def variance(self) -> Any:
        """gamma^2, a scalar tensor."""
        if self.learned:
            return ops.exp(2.0 * self.multiplier * self.scaled_log_gamma)
        return ops.convert_to_tensor(self.gamma_squared)

    @property
    def gamma(self) -> Any:
        """The standard deviation in force, a scalar tensor in the data's units."""
        return ops.sqrt(self.variance)

    def set_gamma(self, gamma: float) -> None:
        """Sets gamma, or its floor if that is more."""
        gamma = max(gamma, self.floor)
        if self.learned:
            self.scaled_log_gamma.assign(math.log(gamma) / self.multiplier)
            return
        self.gamma_squared.assign(gamma**2)
        self.batch_mse.assign(gamma**2)  # nothing pending

    def residual(self, x: Any, mean: Any) -> Any:
        """What has the variance gamma^2 in each dimension."""
        return x - mean

    def apply_rule(self) -> None:
        """One step of the rule: moves `gamma_squared` by the pending `batch_mse`. Does
        nothing while decay is 1, or where that is not finite.
        """
        g = ops.convert_to_tensor(self.gamma_squared)
        candidate = self.decay * g + (1.0 - self.decay) * self.batch_mse
        smaller = ops.minimum(g, candidate)
        moved = ops.where(self.monotone > 0, smaller, candidate)
        moved = ops.maximum(moved, self.floor_squared)
        moves = ops.logical_and(self.decay < 1.0, ops.isfinite(moved))
        self.gamma_squared.assign(ops.where(moves, moved, g))

    def leave_out(self, condition: Any) -> None:
        """Where a scalar condition holds, the last minibatch moves no gamma."""
        if not self.learned:
            g = ops.convert_to_tensor(self.gamma_squared)
            pending = ops.convert_to_tensor(self.batch_mse)
            self.batch_mse.assign(ops.where(condition, g, pending))

    def call(
        self, x: Any, mean: Any, sample_weight: Any = None, training: bool = False
    ) -> Any:
        dimensions = math.prod(x.shape[1:])
        residual = self.residual(x, mean)
        squared_error = over_example(ops.square(residual))  # S, (batch,)
        if training and not self.learned:
            self.apply_rule()
        variance = self.variance
        nats = squared_error / (2.0 * variance) + 0.5 * dimensions * (
            ops.log(variance) + math.log(2 * math.pi)
        )
        if training and not self.learned:
            error = squared_error / dimensions
            unchanged = ops.convert_to_tensor(self.gamma_squared)
            batch_mse = weighted_mean(error, sample_weight, unchanged)
            self.batch_mse.assign(batch_mse)
        return nats

    def get_config(self) -> dict[str, Any]:
        return {
            **super().get_config(),
            "gamma": self.initial_gamma,
            "learned": self.learned,
            "multiplier": self.multiplier,
            "floor": self.floor,
        }
