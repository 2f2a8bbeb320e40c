"""RAE-GP's penalty on the decoder: how fast its output changes with z."""

from collections.abc import Callable
from typing import Any, Self

import keras
from keras import ops


@keras.saving.register_keras_serializable("twostage")
class GradientPenalty:
    """weight x mean over batch and latents of (d sum(xhat^2) / dz)^2, xhat the
    decoder's output, as the code of RAE-GP (Ghosh et al. 2020; the text has the norm of
    d xhat / dz).

    Called as `penalty(decoder, z, training)`. TensorFlow and JAX.

    Args:
        weight: Beside a loss of sums; RAE's weights belong to a loss of means, see
            `rae_of_mean`.
    """

    def __init__(self, weight: float):
        if not weight > 0:
            raise ValueError(f"Received weight={weight}, expected a positive number.")
        self.weight = float(weight)

    def __call__(self, decoder: keras.Model, z: Any, training: bool = False) -> Any:
        def total(z: Any) -> Any:
            outputs = ops.cast(decoder(z, training=training), "float32")
            return ops.sum(ops.square(outputs))

        return self.weight * ops.mean(ops.square(_gradient(total, z, decoder)))

    def get_config(self) -> dict[str, Any]:
        return {"weight": self.weight}

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> Self:
        return cls(**config)


def _gradient(function: Callable[[Any], Any], z: Any, decoder: keras.Model) -> Any:
    """d function / dz. Updates of the decoder's variables, such as moving averages, are
    dropped: the step has called it once already.
    """
    values = [
        (variable, ops.convert_to_tensor(variable.value))
        for variable in decoder.variables
    ]

    def pure(z):
        with keras.StatelessScope(state_mapping=values):
            return function(z)

    if keras.backend.backend() == "jax":
        import jax

        return jax.grad(pure)(z)
    if keras.backend.backend() == "tensorflow":
        import tensorflow as tf

        with tf.GradientTape() as tape:
            tape.watch(z)
            value = pure(z)
        return tape.gradient(value, z)
    import torch  # pyright: ignore[reportMissingImports]  # optional

    with torch.enable_grad():  # an evaluation's step has none
        z = z if z.requires_grad else z.detach().requires_grad_()
        return torch.autograd.grad(pure(z), z, create_graph=True)[0]
