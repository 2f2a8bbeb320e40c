"""What all observation models share."""

import math

import keras
from keras import ops

EIGHT_BIT_FLOOR = 1 / (
    255 * math.sqrt(12)
)  # standard deviation of rounding to 8 bits, images in [0, 1]


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
        normalised: Whether they are of either; not, where the variance is fitted to x
            itself, or cross-entropy is taken of grey levels.
    """

    heads = ("sigmoid",)
    discrete = False
    normalised = True

    def __init__(self, **kwargs):
        kwargs.setdefault("name", "likelihood")
        super().__init__(**{**kwargs, "dtype": "float32"})
        self.built = True

    def blocks(self, parameters):
        """The decoder's output (batch, ..., channels x heads) as float32 blocks (batch,
        ..., channels), one a head.
        """
        return ops.split(ops.cast(parameters, "float32"), len(self.heads), axis=-1)

    def mean(self, parameters):
        """E[x | z], (batch, ...) float32."""
        return self.blocks(parameters)[0]

    def bits_per_dimension(self, nats, dimensions):
        """Bits of a level, 0 to 255, of a dimension, from nats -log p an example. Of a
        density they bound the level's bits only where the data were `dequantised`, to
        [0, 1).
        """
        return (
            nats / dimensions + (0.0 if self.discrete else math.log(256))
        ) / math.log(2)

    def scalar(self, name, value, trainable=False, constraint=None):
        """A float32 weight, the same on every replica."""
        initializer = keras.initializers.Constant(float(value))
        return self.add_weight(
            name=name,
            shape=(),
            initializer=initializer,
            trainable=trainable,
            constraint=constraint,
            dtype="float32",
            autocast=False,
            aggregation="mean",
        )

    def get_config(self):
        return {"name": self.name, "trainable": self.trainable}


class GaussianNoise(Likelihood):
    """A mean with Gaussian noise: what these models share once `deviation` is known."""

    def deviation(self, parameters):
        """The standard deviation, one number or one of each dimension."""
        return self.gamma

    def sample(self, parameters, seed=None):
        """A draw from p(x | z): the mean plus noise. Not clipped to [0, 1]."""
        mean = self.mean(parameters)
        return mean + self.deviation(parameters) * keras.random.normal(
            ops.shape(mean), dtype="float32", seed=seed
        )

    def as_distribution(self, parameters):
        """p(x | z), independent over dimensions."""
        normal = tfp().distributions.Normal(
            self.mean(parameters), self.deviation(parameters)
        )
        return tfp().distributions.Independent(normal, len(parameters.shape) - 1)


def over_example(values):
    """Sum over all dimensions but the first: (batch, ...) -> (batch,)."""
    return ops.sum(values, axis=tuple(range(1, len(values.shape))))


def weighted_mean(values, weights):
    """Mean of (batch,), weighted by `weights` unless they are None."""
    if weights is None:
        return ops.mean(values)
    weights = ops.cast(weights, values.dtype)
    return ops.sum(weights * values) / ops.sum(weights)


def tfp():
    """`tensorflow_probability`, or a clear error where it cannot serve."""
    if keras.backend.backend() != "tensorflow":
        raise RuntimeError(
            f"received the backend {keras.backend.backend()}, TensorFlow Probability"
            " needs TensorFlow's: set KERAS_BACKEND=tensorflow"
        )
    import tensorflow_probability

    return tensorflow_probability
