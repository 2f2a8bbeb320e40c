"""Small models, shared by the tests, whose every number can be computed by hand."""

import keras
import numpy as np
from keras import layers, ops

import twostage


class StrangersVAE(keras.Model):
    """A VAE that knows nothing of this project, as users write them; it offers what the
    callbacks' contract asks.
    """

    def __init__(
        self, dimensions=6, latents=3, log_var=None, metric=keras.metrics.Mean
    ):
        super().__init__()
        inputs = keras.Input((dimensions,))
        bias = "zeros" if log_var is None else keras.initializers.Constant(log_var)
        heads = [
            layers.Dense(latents)(inputs),
            layers.Dense(latents, kernel_initializer="zeros", bias_initializer=bias)(
                inputs
            ),
        ]
        self.encoder = keras.Model(inputs, heads)
        self.decoder = keras.Sequential(
            [keras.Input((latents,)), layers.Dense(dimensions)]
        )
        self.gamma = self.add_weight(
            name="gamma", shape=(), initializer="ones", trainable=False
        )
        self.mse = metric(name="mse")
        self.seed = keras.random.SeedGenerator(0)

    def build(self, input_shape):
        self.built = True

    def call(self, x, training=False):
        mean, log_var = self.encoder(x)
        z = mean + ops.exp(0.5 * log_var) * keras.random.normal(
            ops.shape(mean), seed=self.seed
        )
        return {"mean": mean, "log_var": log_var, "x": self.decoder(z)}

    def compute_loss(self, x, y, y_pred, sample_weight=None, training=True):
        error = ops.mean(ops.square(x - y_pred["x"]))
        self.mse.update_state(error, ops.shape(x)[0])
        dimensions = x.shape[1]
        mean, log_var = y_pred["mean"], y_pred["log_var"]
        kl = 0.5 * ops.mean(
            ops.sum(ops.square(mean) + ops.exp(log_var) - log_var - 1, -1)
        )
        return (
            dimensions
            * (error / (2 * self.gamma**2) + ops.log(ops.convert_to_tensor(self.gamma)))
            + kl
        )


class OneDense(keras.Model):
    """Reports the error as `way` says: "compiled", "rows", "mean" or "variable".

    Args:
        options: Of the variable `batch_mse`.
    """

    def __init__(self, way, **options):
        super().__init__()
        self.way, self.decoder = way, layers.Dense(6, use_bias=False)
        scalar = {"shape": (), "initializer": "ones", "trainable": False}
        self.gamma = self.add_weight(name="gamma", **scalar)
        if way == "variable":
            scalar |= {"autocast": False, **options}
            self.batch_mse = self.add_weight(name="b", **scalar)
        elif way != "compiled":
            self.mse = keras.metrics.Mean(name="mse")

    def call(self, x):
        return self.decoder(x)

    def compute_loss(self, x, y, y_pred, sample_weight=None, training=True):
        # on PyTorch `train_on_batch` hands NumPy's arrays on
        error = ops.mean(ops.square(ops.convert_to_tensor(x) - y_pred))
        if self.way == "variable":
            self.batch_mse.assign(error)
        elif self.way == "rows":
            self.mse.update_state(error, ops.shape(x)[0])
        elif self.way == "mean":
            self.mse.update_state(error)
        return error / self.gamma**2


def linear_vae(dimensions=6, latents=3, log_var=0.0, likelihood=None, **options):
    """encoder mean = x A + a, log_var constant over x; decoder z W + b."""
    inputs = keras.Input((dimensions,))
    bias = keras.initializers.Constant(log_var)
    heads = [
        layers.Dense(latents)(inputs),
        layers.Dense(latents, kernel_initializer="zeros", bias_initializer=bias)(
            inputs
        ),
    ]
    encoder = keras.Model(inputs, heads)
    decoder = keras.Sequential([keras.Input((latents,)), layers.Dense(dimensions)])
    return twostage.VAE(
        encoder, decoder, likelihood or twostage.GaussianLikelihood(), **options
    )


def batch_errors(model, x, batch_size):
    """Each minibatch's mean squared error in NumPy, from the model's weights, for an
    encoder without noise.
    """
    a, b = (
        np.asarray(ops.convert_to_numpy(w), "float64")
        for w in model.encoder.weights[:2]
    )
    w, c = (
        np.asarray(ops.convert_to_numpy(v), "float64") for v in model.decoder.weights
    )
    errors = ((x - (x @ a + b) @ w - c) ** 2).mean(1)
    return [errors[i : i + batch_size].mean() for i in range(0, len(x), batch_size)]


def numpy_rule(rule, g, errors, floor=0.0):
    """gamma^2 after the errors, by the rule's definition, written apart from the code
    under test.
    """
    for error in errors:
        if rule == "minimum":
            g = min(g, error)
        elif rule == "ratchet":
            g = min(g, 0.99 * g + 0.01 * error)
        elif rule == "ema":
            g = 0.99 * g + 0.01 * error
        else:
            g = error
        g = max(g, floor**2)
    return g


def warnings_of(caplog):
    """What the callbacks have logged; TensorFlow logs of its own now and then."""
    return [
        record.getMessage()
        for record in caplog.records
        if record.name.startswith("callbacks")
    ]
