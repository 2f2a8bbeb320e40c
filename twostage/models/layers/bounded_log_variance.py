"""A head for the posterior's log variance that cannot explode."""

import math
from typing import Any

import keras
from keras import ops


@keras.saving.register_keras_serializable("twostage")
class BoundedLogVariance(keras.layers.Layer):
    """The identity up to a bound, logarithmic above it: v for v <= c, and
    c + log(1 + v - c) above.

    The KL has exp(log_var), which a few of Adam's first steps can raise to millions of
    nats; Adam's second moments of the encoder then stay too large for the rest of the
    training. Here the exponential grows linearly above the bound, e^c (1 + v - c), and
    its gradient never vanishes, as that of clipping does. No optimum is changed: a
    posterior wider than the prior, log_var > 0, is never optimal. See
    docs/explanation/mathematics.md.

    Args:
        bound: c, in nats (log of a variance), at least 0. 2: a standard deviation of
            e, in a prior's of 1.

    Takes and returns a tensor of any shape, in float32 by default.

    Example:

    >>> log_var = BoundedLogVariance()(keras.layers.Dense(32)(features))

    Raises:
        ValueError: a negative bound, which would change optima.
    """

    def __init__(self, bound: float = 2.0, **kwargs: Any):
        super().__init__(**{"dtype": "float32", **kwargs})
        if not 0 <= bound < math.inf:
            raise ValueError(
                f"received bound={bound}, expected a number of at least 0: below, the"
                " posterior could not be as wide as the prior"
            )
        self.bound = float(bound)

    def call(self, value: Any) -> Any:
        excess = ops.relu(value - self.bound)
        return ops.minimum(value, self.bound) + ops.log1p(excess)

    def compute_output_shape(self, input_shape: Any) -> Any:
        return input_shape

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "bound": self.bound}
