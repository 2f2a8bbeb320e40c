"""Adam in one pass over the weights, where TensorFlow has an operation for it."""

import keras
from keras import ops


@keras.saving.register_keras_serializable("twostage")
class Adam(keras.optimizers.Adam):
    """`keras.optimizers.Adam`; on TensorFlow by its fused operation: the same numbers
    up to rounding.

    Keras's own update is a dozen operations, each of which reads and writes all
    weights: much of a step of stage 2, whose weights are many and whose batches are
    small.
    """

    def update_step(self, gradient, variable, learning_rate):
        if not self._fuses(gradient, variable):
            return super().update_step(gradient, variable, learning_rate)
        import tensorflow as tf

        index, step = (
            self._get_variable_index(variable),
            ops.cast(self.iterations + 1, "float32"),
        )
        tf.raw_ops.ResourceApplyAdam(
            var=variable.handle,
            m=self._momentums[index].value.handle,
            v=self._velocities[index].value.handle,
            grad=ops.cast(gradient, "float32"),
            beta1_power=self.beta_1**step,
            beta2_power=self.beta_2**step,
            lr=ops.cast(learning_rate, "float32"),
            beta1=self.beta_1,
            beta2=self.beta_2,
            epsilon=self.epsilon,
        )

    def _fuses(self, gradient, variable):
        if keras.backend.backend() != "tensorflow" or self.amsgrad:
            return False
        import tensorflow as tf

        return (
            isinstance(gradient, tf.Tensor)
            and variable.dtype == "float32"
            and not tf.distribute.has_strategy()
        )
