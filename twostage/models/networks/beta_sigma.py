"""The residual networks of the Beta-Sigma VAE, after its authors' code: 28x28 (k 32)
and 64x64 (k 64).
"""

from typing import Any

import keras
from keras import layers

from twostage.models.layers.batch_normalization import BatchNormalization
from twostage.models.networks.heads import activated
from twostage.models.networks.image_shapes import ImageShape, check_squares

WIDTHS = {28: (32, 64, 128), 64: (32, 64, 128, 256)}  # a scale each; the code's
ALPHA = 0.01  # of the leaky ReLU


def beta_sigma_encoder(image_shape: ImageShape, latent_dim: int = 64) -> keras.Model:
    """Encoder: images (batch, side, side, channels), float in [0, 1] -> (mean,
    log_var), each (batch, latent_dim).

    Raises:
        InputError: a side other than 28 or 64.
    """
    inputs = keras.Input(image_shape, name="images")
    x = inputs
    for width in _widths(image_shape):
        x = _block(_block(x, width, 2), width, 1)
    x = layers.Dense(2 * latent_dim)(layers.Flatten()(x))
    x = layers.LeakyReLU(ALPHA)(_norm()(x))
    heads = layers.Dense(2 * latent_dim, dtype="float32", name="heads")(x)
    return keras.Model(
        inputs, [heads[:, :latent_dim], heads[:, latent_dim:]], name="encoder"
    )


def beta_sigma_decoder(
    image_shape: ImageShape,
    latent_dim: int = 64,
    *,
    heads: tuple[str, ...] = ("linear",),
) -> keras.Model:
    """Decoder: z (batch, latent_dim) -> parameters (batch, side, side, channels x
    heads), float32. The authors' output is linear: not kept in [0, 1].
    """
    widths = _widths(image_shape)[::-1]
    inputs = keras.Input((latent_dim,), name="z")
    x = layers.LeakyReLU(ALPHA)(_norm()(layers.Dense(4 * 4 * widths[0])(inputs)))
    x = _block(layers.Reshape((4, 4, widths[0]))(x), widths[0], 1)
    for i, width in enumerate((*widths[1:], widths[-1])):
        odd = image_shape[0] == 28 and i == 0  # 4 -> 7, not 8
        x = layers.Conv2DTranspose(
            width, 3, strides=2, padding="same", output_padding=0 if odd else 1
        )(x)
        x = layers.LeakyReLU(ALPHA)(_norm()(x))
    x = layers.Conv2DTranspose(
        image_shape[-1] * len(heads), 3, padding="same", dtype="float32", name="image"
    )(x)
    return keras.Model(inputs, activated(x, heads), name="decoder")


def _widths(image_shape: ImageShape) -> tuple[int, ...]:
    check_squares(image_shape, WIDTHS, resize=64)
    return WIDTHS[image_shape[0]]


def _block(x: Any, width: int, strides: int) -> Any:
    h = layers.Conv2D(width, 3, strides=strides, padding="same")(x)
    h = _norm()(
        layers.Conv2D(width, 3, padding="same")(layers.LeakyReLU(ALPHA)(_norm()(h)))
    )
    if strides > 1 or x.shape[-1] != width:
        # every other pixel, for the same result: strides of a 1x1 convolution on one
        # channel corrupt memory in TensorFlow 2.21 with oneDNN
        x = _norm()(
            layers.Conv2D(width, 1)(x[:, ::strides, ::strides] if strides > 1 else x)
        )
    return layers.LeakyReLU(ALPHA)(layers.Add()([h, x]))


def _norm() -> BatchNormalization:
    """PyTorch's, whose momentum is written 0.1."""
    return BatchNormalization(momentum=0.9)
