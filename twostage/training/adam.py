"""Adam in one pass over the weights, where TensorFlow has an operation for it; and
stable at high learning rates.
"""

import math
from typing import Any

import keras
from keras import ops

SHORT = 5  # length of an average, in steps, that is too short to divide by
TINY = 1e-30  # of a squared gradient: weights without any gradient are not clipped


@keras.saving.register_keras_serializable("twostage")
class Adam(keras.optimizers.Adam):
    """`keras.optimizers.Adam`; on TensorFlow by its fused operation: the same numbers
    up to rounding. Two options keep it stable at high learning rates.

    Keras's own update is a dozen operations, each of which reads and writes all
    weights: much of a step of stage 2, whose weights are many and whose batches are
    small.

    Args:
        learning_rate: As of `keras.optimizers.Adam`, and all of its other arguments.
        rectified: Whether the first steps are small: the learning rate of step t is
            multiplied by RAdam's r_t (Liu et al. 2020, "On the variance of the adaptive
            learning rate and beyond", algorithm 2), 0 in the first five steps, .13 in
            step 40, .48 in step 500, and then up to 1. RAdam itself takes plain
            momentum steps in the first five; with losses in nats per image they would
            explode.
        clip_update: Greatest root mean square of g / sqrt(v) of a weight array, g being
            its gradient and v Adam's second moment: where it is exceeded, the learning
            rate of this array and step is divided by the excess (update clipping,
            Shazeer & Stern 2018, section 6, as in StableAdamW, Wortsman et al. 2023,
            algorithm 2, which takes 1). None: no clipping.

    Raises:
        ValueError: a `clip_update` that is not a positive number; `rectified` with a
            `beta_2` of at most 2/3, whose average is too short.

    Example:

    >>> vae.compile(twostage.Adam(3e-3, rectified=True, clip_update=1.0))
    """

    def __init__(
        self,
        learning_rate: Any = 0.001,
        *args: Any,
        rectified: bool = False,
        clip_update: float | None = None,
        **kwargs: Any,
    ):
        super().__init__(learning_rate, *args, **kwargs)
        if clip_update is not None and not 0 < clip_update < math.inf:
            raise ValueError(
                f"received clip_update={clip_update}, expected a positive number, or"
                " None for no clipping"
            )
        if rectified and _longest(self.beta_2) <= SHORT:
            raise ValueError(
                f"received beta_2={self.beta_2} with rectified=True, expected more than"
                " 2/3: every step would be 0"
            )
        self.rectified = rectified
        self.clip_update = clip_update

    def update_step(self, gradient, variable, learning_rate):
        rate = ops.cast(learning_rate, "float32")
        if self.rectified:
            rate = rate * self._rectification()
        if self.clip_update is not None:
            excess = self._rms(gradient, variable) / self.clip_update
            rate = rate / ops.maximum(1.0, excess)
        if self._fuses(gradient, variable):
            self._fused(gradient, variable, rate)
        else:
            super().update_step(gradient, variable, rate)

    def _fused(self, gradient, variable, learning_rate):
        import tensorflow as tf

        index, step = self._get_variable_index(variable), self._step()
        tf.raw_ops.ResourceApplyAdam(
            var=variable.handle,
            m=self._momentums[index].value.handle,
            v=self._velocities[index].value.handle,
            grad=ops.cast(gradient, "float32"),
            beta1_power=self.beta_1**step,
            beta2_power=self.beta_2**step,
            lr=learning_rate,
            beta1=self.beta_1,
            beta2=self.beta_2,
            epsilon=self.epsilon,
        )

    def _step(self):
        return ops.cast(self.iterations + 1, "float32")

    def _rectification(self):
        """r_t of Liu et al., 0 where the average is too short."""
        step = self._step()
        longest = _longest(self.beta_2)
        # b^t / (1 - b^t) as 1 / (b^-t - 1), whose digits float32 keeps
        length = longest - 2 * step / ops.expm1(-step * math.log(self.beta_2))
        ratio = (length - 4) * (length - 2) / length
        ratio = ratio * longest / ((longest - 4) * (longest - 2))
        return ops.where(length > SHORT, ops.sqrt(ops.maximum(ratio, 0)), 0.0)

    def _rms(self, gradient, variable):
        """Root mean square of g / sqrt(v); v has this gradient already, and its bias is
        corrected.
        """
        before = self._velocities[self._get_variable_index(variable)]
        squared = ops.square(ops.cast(gradient, "float32"))
        now = self.beta_2 * before + (1 - self.beta_2) * squared
        now = now / (1 - self.beta_2 ** self._step())
        return ops.sqrt(ops.mean(squared / ops.maximum(now, TINY)))

    def _fuses(self, gradient, variable):
        if keras.backend.backend() != "tensorflow" or self.amsgrad:
            return False
        import tensorflow as tf

        return (
            isinstance(gradient, tf.Tensor)
            and variable.dtype == "float32"
            and not tf.distribute.has_strategy()
        )

    def get_config(self) -> dict[str, Any]:
        return {
            **super().get_config(),
            "rectified": self.rectified,
            "clip_update": self.clip_update,
        }


def _longest(beta_2: float) -> float:
    """Length of the average of squared gradients, in steps, after many of them."""
    return 2 / (1 - beta_2) - 1
