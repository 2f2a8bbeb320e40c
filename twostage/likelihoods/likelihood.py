"""What all observation models share."""

import math
from typing import Any

import keras
from keras import ops

# standard deviation of rounding to 8 bits, images in [0, 1]
EIGHT_BIT_FLOOR = 1 / (255 * math.sqrt(12))


class Likelihood(keras.layers.Layer):
    """p(x | z): calling it, `likelihood(x, parameters, sample_weight=None,
    training=False)`, gives the nats of each example, -log p(x | z), all constants kept.

    Each also has `sample(parameters, seed)` -> a draw from p(x | z), and
    `as_distribution(parameters)` -> a `tensorflow_probability` distribution over
    examples, on the TensorFlow backend.

    `parameters` is what the decoder puts out: as many blocks of the data's channels,
    along the last axis, as the class has `heads`. Always float32.

    Attributes:
        heads: Activations of these blocks in the decoder, the mean's first.
        discrete: Whether nats are of a probability of whole levels, not of a density.
        normalized: Whether they are of either; not, where the variance is fitted to x
            itself, or cross-entropy is taken of gray levels.
    """

    heads = ("sigmoid",)
    discrete = False
    normalized = True

    def __init__(self, **kwargs: Any):
        kwargs.setdefault("name", "likelihood")
        super().__init__(**{**kwargs, "dtype": "float32"})
        self.built = True

    def blocks(self, parameters: Any) -> list[Any]:
        """The decoder's output (batch, ..., channels x heads) as float32 blocks (batch,
        ..., channels), one per head.
        """
        return ops.split(ops.cast(parameters, "float32"), len(self.heads), axis=-1)

    def mean(self, parameters: Any) -> Any:
        """E[x | z], or the location where the class says so: (batch, ...) float32."""
        return self.blocks(parameters)[0]

    def bits_per_dimension(self, nats: float, dimensions: int) -> float:
        """Bits per dimension, of a level from 0 to 255, from nats -log p per example.
        Of a density they bound the level's bits only where the data were `dequantized`,
        to [0, 1).
        """
        of_level = 0.0 if self.discrete else math.log(256)
        return (nats / dimensions + of_level) / math.log(2)

    def get_config(self) -> dict[str, Any]:
        return {"name": self.name, "trainable": self.trainable}


class GaussianNoise(Likelihood):
    """A mean with Gaussian noise: what these models share; each defines
    `standard_deviation`.
    """

    def standard_deviation(self, parameters: Any) -> Any:
        """The standard deviation, one number or one of each dimension."""
        return self.gamma

    def sample(self, parameters: Any, seed: Any = None) -> Any:
        """A draw from p(x | z): the mean plus noise. Not clipped to [0, 1]."""
        shape = ops.shape(self.mean(parameters))
        noise = keras.random.normal(shape, dtype="float32", seed=seed)
        return self.with_noise(parameters, noise)

    def with_noise(self, parameters: Any, noise: Any) -> Any:
        """The draw from p(x | z) that standard normal noise of x's shape gives."""
        return self.mean(parameters) + self.standard_deviation(parameters) * noise

    def as_distribution(self, parameters: Any) -> Any:
        """p(x | z), independent over dimensions."""
        normal = tfp().distributions.Normal(
            self.mean(parameters), self.standard_deviation(parameters)
        )
        return tfp().distributions.Independent(normal, len(parameters.shape) - 1)


def scalar_weight(
    layer: keras.layers.Layer,
    name: str,
    value: float,
    *,
    trainable: bool = False,
    constraint: keras.constraints.Constraint | None = None,
) -> Any:
    """Adds a float32 weight () to the layer, the same on every replica."""
    return layer.add_weight(
        name=name,
        shape=(),
        initializer=keras.initializers.Constant(float(value)),
        trainable=trainable,
        constraint=constraint,
        dtype="float32",
        autocast=False,
        aggregation="mean",
    )


def over_example(values: Any) -> Any:
    """Sum over all dimensions but the first: (batch, ...) -> (batch,)."""
    return ops.sum(values, axis=tuple(range(1, len(values.shape))))


def weighted_mean(values: Any, weights: Any, of_none: Any) -> Any:
    """Mean over the batch of (batch, ...), weighted by `weights`, (batch,) or (batch,
    1), unless they are None; `of_none` where all of them are 0.
    """
    if weights is None:
        return ops.mean(values, axis=0)
    ones = (1,) * (len(values.shape) - 1)
    weights = ops.reshape(ops.cast(weights, values.dtype), (-1, *ones))
    total = ops.sum(weights)
    # divided by 1 there, as NaN would pass into the gradient of what is not chosen
    divisor = ops.where(total > 0, total, ops.ones_like(total))
    mean = ops.sum(weights * values, axis=0) / divisor
    return ops.where(total > 0, mean, of_none)


def tfp() -> Any:
    """`tensorflow_probability`, or a clear error where it cannot serve."""
    if keras.backend.backend() != "tensorflow":
        raise RuntimeError(
            f"received the backend {keras.backend.backend()}, TensorFlow Probability"
            " needs TensorFlow's: set KERAS_BACKEND=tensorflow"
        )
    import tensorflow_probability

    return tensorflow_probability
