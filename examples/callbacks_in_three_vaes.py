"""The callbacks in three VAEs that were not written for them.

    python examples/callbacks_in_three_vaes.py
    KERAS_BACKEND=jax python examples/callbacks_in_three_vaes.py

1. The VAE of keras.io, with a `train_step` of its own. It is only watched, so nothing
   in it changes. Its `train_step` is TensorFlow's; other backends skip it.
2. A functional model whose last layer adds the loss. `ComputedGamma` sets that layer's
   gamma.
3. A convolutional VAE with `compute_loss`. `KLWarmup` raises its KL weight while
   `ComputedGamma` sets gamma.

Each is trained on scikit-learn's digits and prints a table of what the callbacks
logged. Then a VAE meets a NaN in its data, and `NaNDiagnosis` reports it. All of it
takes under a minute on two cores. The guide is docs/reference/callbacks.md.
"""

import argparse
import math
from collections.abc import Sequence

import keras
import numpy as np
from keras import layers, ops
from sklearn.datasets import load_digits

from callbacks import ActiveLatents, ComputedGamma, KLWarmup, NaNDiagnosis, VarianceLaw

SHAPE = (8, 8, 1)
DIMENSIONS = math.prod(SHAPE)  # numbers per image
LATENTS = 8
BATCH = 100
EPOCHS = 15
WARMUP_EPOCHS = 5
COLUMNS = ("loss", "gamma", "kl_weight", "variance_law", "active_latents")  # printed


class Sampling(layers.Layer):
    """z = mean + sigma * noise."""

    def __init__(self, **options):
        super().__init__(**options)
        self.seed = keras.random.SeedGenerator(0)

    def call(self, mean, log_var):
        noise = keras.random.normal(ops.shape(mean), seed=self.seed)
        return mean + ops.exp(log_var / 2) * noise


def kl_per_image(mean, log_var):
    """KL(q(z|x) || N(0, I)), nats: (batch,)."""
    return ops.sum(mean**2 + ops.exp(log_var) - log_var - 1, axis=-1) / 2


def dense_encoder() -> keras.Model:
    """Images -> [mean, log_var, z], three outputs as on keras.io."""
    images = keras.Input(SHAPE)
    hidden = layers.Dense(128, "relu")(layers.Flatten()(images))
    mean, log_var = layers.Dense(LATENTS)(hidden), layers.Dense(LATENTS)(hidden)
    return keras.Model(images, [mean, log_var, Sampling()(mean, log_var)])


def dense_decoder() -> keras.Model:
    """z -> images in [0, 1]."""
    z = keras.Input((LATENTS,))
    pixels = layers.Dense(DIMENSIONS, "sigmoid")(layers.Dense(128, "relu")(z))
    return keras.Model(z, layers.Reshape(SHAPE)(pixels))


# 1. ---------------------------------------------------------------------------------


class KerasIoVAE(keras.Model):
    """As in the example of keras.io: cross entropy, and TensorFlow's gradient tape."""

    def __init__(self, encoder, decoder, **options):
        super().__init__(**options)
        self.encoder, self.decoder = encoder, decoder
        self.loss_tracker = keras.metrics.Mean(name="loss")
        self.kl_tracker = keras.metrics.Mean(name="kl_loss")

    @property
    def metrics(self):
        return [self.loss_tracker, self.kl_tracker]

    def train_step(self, data):
        import tensorflow as tf

        with tf.GradientTape() as tape:
            mean, log_var, z = self.encoder(data)
            entropy = keras.losses.binary_crossentropy(data, self.decoder(z))
            reconstruction = ops.mean(ops.sum(entropy, axis=(1, 2)))
            kl = ops.mean(kl_per_image(mean, log_var))
            loss = reconstruction + kl
        gradients = tape.gradient(loss, self.trainable_weights)
        self.optimizer.apply_gradients(
            zip(gradients, self.trainable_weights, strict=True)
        )
        self.loss_tracker.update_state(loss)
        self.kl_tracker.update_state(kl)
        return {metric.name: metric.result() for metric in self.metrics}


def watch_keras_io_vae(images: np.ndarray, epochs: int) -> dict[str, list[float]]:
    """Trains 1 and returns what was logged. The callbacks find `encoder` themselves."""
    vae = KerasIoVAE(dense_encoder(), dense_decoder())
    vae.compile(keras.optimizers.Adam(2e-3))
    watch = [VarianceLaw(images), ActiveLatents(images), NaNDiagnosis(data=images)]
    return fit(vae, images, epochs, watch)


# 2. ---------------------------------------------------------------------------------


class NegativeBound(layers.Layer):
    """Adds the loss: a Gaussian with standard deviation gamma, and the KL.

    It holds gamma, which the loss reads, and assigns `batch_mse`, which `ComputedGamma`
    reads. These two variables are all that the callback requires.
    """

    def __init__(self, **options):
        super().__init__(**options)
        self.gamma = self.add_weight(
            name="gamma", shape=(), initializer="ones", trainable=False
        )
        self.batch_mse = self.add_weight(
            name="batch_mse", shape=(), initializer="ones", trainable=False
        )

    def call(self, images, decoded, mean, log_var):
        mse = ops.mean((images - decoded) ** 2)
        self.batch_mse.assign(mse)
        nll = DIMENSIONS * (mse / (2 * self.gamma**2) + ops.log(self.gamma))
        self.add_loss(nll + ops.mean(kl_per_image(mean, log_var)))
        return decoded


def train_functional_vae(images: np.ndarray, epochs: int) -> dict[str, list[float]]:
    """Trains 2 and returns what was logged.

    A functional model has no attribute `encoder`, so the callbacks that encode get the
    function `posterior`.
    """
    encoder, decoder = dense_encoder(), dense_decoder()
    inputs = keras.Input(SHAPE)
    mean, log_var, z = encoder(inputs)
    vae = keras.Model(inputs, NegativeBound()(inputs, decoder(z), mean, log_var))
    vae.compile(keras.optimizers.Adam(2e-3))

    def posterior(model, x):
        return encoder(x)[:2]

    watch = [
        ComputedGamma("minimum"),
        VarianceLaw(images, posterior),
        ActiveLatents(images, posterior=posterior),
    ]
    return fit(vae, images, epochs, watch)


# 3. ---------------------------------------------------------------------------------


class ConvolutionalVAE(keras.Model):
    """Two convolutions each way, and `compute_loss`, which works on every backend."""

    def __init__(self):
        super().__init__()
        self.encoder, self.decoder = self._encoder(), self._decoder()
        self.sampling = Sampling()
        self.mse = keras.metrics.Mean(name="mse")  # what ComputedGamma reads
        self.gamma = self.add_weight(
            name="gamma", shape=(), initializer="ones", trainable=False
        )
        self.kl_weight = self.add_weight(
            name="kl_weight", shape=(), initializer="ones", trainable=False
        )

    def _encoder(self):
        images = keras.Input(SHAPE)
        hidden = layers.Conv2D(16, 3, 2, "same", activation="relu")(images)
        hidden = layers.Conv2D(32, 3, 2, "same", activation="relu")(hidden)
        hidden = layers.Flatten()(hidden)
        heads = [layers.Dense(LATENTS)(hidden), layers.Dense(LATENTS)(hidden)]
        return keras.Model(images, heads)

    def _decoder(self):
        z = keras.Input((LATENTS,))
        hidden = layers.Reshape((2, 2, 32))(layers.Dense(128, "relu")(z))
        hidden = layers.Conv2DTranspose(16, 3, 2, "same", activation="relu")(hidden)
        drawn = layers.Conv2DTranspose(1, 3, 2, "same", activation="sigmoid")(hidden)
        return keras.Model(z, drawn)

    def call(self, images):
        mean, log_var = self.encoder(images)
        return self.decoder(self.sampling(mean, log_var)), kl_per_image(mean, log_var)

    def compute_loss(self, x, y, y_pred, sample_weight=None, training=True):
        decoded, kl = y_pred
        mse = ops.mean((x - decoded) ** 2)
        self.mse.update_state(mse, ops.shape(x)[0])
        nll = DIMENSIONS * (mse / (2 * self.gamma**2) + ops.log(self.gamma))
        return nll + self.kl_weight * ops.mean(kl)


def train_convolutional_vae(images: np.ndarray, epochs: int) -> dict[str, list[float]]:
    """Trains 3 and returns what was logged."""
    vae = ConvolutionalVAE()
    vae.compile(keras.optimizers.Adam(2e-3))
    steps = WARMUP_EPOCHS * math.ceil(len(images) / BATCH)
    watch = [
        ComputedGamma("batch"),
        KLWarmup(steps),
        VarianceLaw(images),
        ActiveLatents(images),
        NaNDiagnosis(data=images),
    ]
    return fit(vae, images, epochs, watch)


# ------------------------------------------------------------------------------------


def diagnose_nan(images: np.ndarray) -> str:
    """What `NaNDiagnosis` reports where one pixel of the data is NaN."""
    images = images.copy()
    images[0, 0, 0, 0] = np.nan
    vae = ConvolutionalVAE()
    vae.compile("adam")
    watch = NaNDiagnosis(data=images)
    fit(vae, images, 1, [watch])
    return watch.diagnosis or "no NaN was seen"


def fit(
    vae: keras.Model,
    images: np.ndarray,
    epochs: int,
    watch: list[keras.callbacks.Callback],
) -> dict[str, list[float]]:
    """{name: a value per epoch} of all that Keras and the callbacks logged."""
    history = vae.fit(
        images, batch_size=BATCH, epochs=epochs, verbose=0, callbacks=watch
    )
    return history.history


def print_table(title: str, logged: dict[str, list[float]]) -> None:
    """Prints a column per name of `COLUMNS` that was logged, and a row per epoch."""
    columns = [name for name in COLUMNS if name in logged]
    others = [name for name in logged if name not in columns]
    print(f"\n{title}")
    print("  ".join(["epoch", *(f"{name:>14}" for name in columns)]))
    values = [logged[name] for name in columns]
    for epoch, row in enumerate(zip(*values, strict=True), start=1):
        print("  ".join([f"{epoch:5}", *(f"{value:14.4g}" for value in row)]))
    print(f"also logged: {', '.join(others)}")


def print_meaning() -> None:
    print(
        """
What to see
- variance_law is the mean over latents of Var[mu] + E[sigma^2]. It is 1 where the
  latents of all images together have the prior's variance.
- active_latents counts the latents whose mean posterior variance is below 0.8.
- gamma is the decoder's standard deviation. It falls as reconstructions get better.
- kl_weight rises to 1 within the first epochs, by the same amount at each step."""
    )


def main(argv: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description="Callbacks in three VAEs.")
    parser.add_argument("--epochs", type=int, default=EPOCHS)
    epochs = parser.parse_args(argv).epochs
    keras.utils.set_random_seed(0)
    images = (load_digits().images[..., None] / 16).astype("float32")
    if keras.backend.backend() == "tensorflow":
        logged = watch_keras_io_vae(images, epochs)
        print_table("1. The VAE of keras.io, watched as it is", logged)
    else:
        print("\n1. The VAE of keras.io is skipped: its train_step is TensorFlow's")
    logged = train_functional_vae(images, epochs)
    print_table("2. A functional model whose last layer adds the loss", logged)
    logged = train_convolutional_vae(images, epochs)
    print_table("3. A convolutional VAE with compute_loss", logged)
    print_meaning()
    print(f"\nOne NaN in the data: {diagnose_nan(images)}")


if __name__ == "__main__":
    main()
