"""Dai & Wipf's two other networks, after their code: InfoGAN's, which takes any side
that 4 divides, and the Wasserstein autoencoder's, for 64x64.
"""

import keras
from keras import layers

from twostage.models.layers.batch_normalization import BatchNormalization
from twostage.models.layers.spectral_normalization import SpectralNormalization
from twostage.models.networks.heads import activated, gaussian_heads
from twostage.models.networks.image_shapes import (
    ImageShape,
    check_divisible,
    check_squares,
)

_WEIGHTS = {"kernel_initializer": keras.initializers.TruncatedNormal(stddev=0.02)}


def infogan_encoder(image_shape: ImageShape, latent_dim: int = 64) -> keras.Model:
    """Encoder: images (batch, side, side, channels), float in [0, 1] -> (mean,
    log_var), each (batch, latent_dim). Its layers are spectrally normalized.

    The standard deviation is softplus(.) + 1e-6.

    Raises:
        InputError: a side that 4 does not divide.
    """
    check_divisible(image_shape, 4)
    inputs = keras.Input(image_shape, name="images")
    x = layers.LeakyReLU(0.2)(
        SpectralNormalization(
            layers.Conv2D(64, 4, strides=2, padding="same", **_WEIGHTS)
        )(inputs)
    )
    x = SpectralNormalization(
        layers.Conv2D(128, 4, strides=2, padding="same", **_WEIGHTS)
    )(x)
    x = layers.Flatten()(layers.LeakyReLU(0.2)(BatchNormalization()(x)))
    x = layers.LeakyReLU(0.2)(
        BatchNormalization()(SpectralNormalization(layers.Dense(1024, **_WEIGHTS))(x))
    )
    heads = SpectralNormalization(
        layers.Dense(2 * latent_dim, dtype="float32", **_WEIGHTS),
        dtype="float32",
        name="heads",
    )(x)
    log_var = 2.0 * keras.ops.log(keras.ops.softplus(heads[:, latent_dim:]) + 1e-6)
    return keras.Model(inputs, [heads[:, :latent_dim], log_var], name="encoder")


def infogan_decoder(
    image_shape: ImageShape,
    latent_dim: int = 64,
    *,
    heads: tuple[str, ...] = ("sigmoid",),
) -> keras.Model:
    """Decoder: z (batch, latent_dim) -> parameters (batch, side, side, channels x
    heads), float32.
    """
    check_divisible(image_shape, 4)
    height, width, channels = image_shape
    inputs = keras.Input((latent_dim,), name="z")
    x = layers.ReLU()(BatchNormalization()(layers.Dense(1024, **_WEIGHTS)(inputs)))
    x = layers.ReLU()(
        BatchNormalization()(
            layers.Dense(128 * (height // 4) * (width // 4), **_WEIGHTS)(x)
        )
    )
    x = layers.Reshape((height // 4, width // 4, 128))(x)
    x = layers.ReLU()(
        BatchNormalization()(
            layers.Conv2DTranspose(64, 4, strides=2, padding="same", **_WEIGHTS)(x)
        )
    )
    x = layers.Conv2DTranspose(
        channels * len(heads),
        4,
        strides=2,
        padding="same",
        dtype="float32",
        name="image",
        **_WEIGHTS,
    )(x)
    return keras.Model(inputs, activated(x, heads), name="decoder")


def wae_encoder(image_shape: ImageShape, latent_dim: int = 64) -> keras.Model:
    """Encoder: images (batch, 64, 64, channels), float in [0, 1] -> (mean, log_var),
    each (batch, latent_dim).

    Raises:
        InputError: another side.
    """
    check_squares(image_shape, (64,), resize=64)
    inputs = x = keras.Input(image_shape, name="images")
    for width, strides in ((128, 1), (256, 2), (512, 2), (1024, 2)):
        x = layers.ReLU()(
            BatchNormalization()(
                layers.Conv2D(width, 5, strides=strides, padding="same")(x)
            )
        )
    x = layers.Flatten()(x)
    return keras.Model(inputs, gaussian_heads(x, latent_dim), name="encoder")


def wae_decoder(
    image_shape: ImageShape,
    latent_dim: int = 64,
    *,
    heads: tuple[str, ...] = ("sigmoid",),
) -> keras.Model:
    """Decoder: z (batch, latent_dim) -> parameters (batch, 64, 64, channels x heads),
    float32.
    """
    check_squares(image_shape, (64,), resize=64)
    inputs = keras.Input((latent_dim,), name="z")
    x = layers.Reshape((8, 8, 1024))(
        layers.Dense(8 * 8 * 1024, activation="relu")(inputs)
    )
    for width in (512, 256, 128):
        x = layers.ReLU()(
            BatchNormalization()(
                layers.Conv2DTranspose(width, 5, strides=2, padding="same")(x)
            )
        )
    x = layers.Conv2DTranspose(
        image_shape[-1] * len(heads), 5, padding="same", dtype="float32", name="image"
    )(x)
    return keras.Model(inputs, activated(x, heads), name="decoder")
