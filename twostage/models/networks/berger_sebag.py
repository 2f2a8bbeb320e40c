"""Berger & Sebag's networks: residual blocks of dense layers for vectors, convolutions
and residual blocks for images.

The text gives the numbers of blocks and units; activation (ReLU, before each layer of a
block), widths of the convolutions, the places of the strides and the linear output are
ours (a sigmoid saturates at black within ten steps: there is no normalization that
would hold the first steps back).
"""

from typing import Any

import keras
from keras import layers

from twostage.models.networks.heads import activated, gaussian_heads
from twostage.models.networks.image_shapes import ImageShape, check_at_least


def residual_encoder(
    input_dim: int = 2, latent_dim: int = 2, *, width: int = 200, blocks: int = 4
) -> keras.Model:
    """Encoder: vectors (batch, input_dim) -> (mean, log_var), each (batch, latent_dim)
    (section 4.1: 4 blocks of 200 units).
    """
    inputs = keras.Input((input_dim,), name="vectors")
    return keras.Model(
        inputs,
        gaussian_heads(_dense_blocks(inputs, width, blocks), latent_dim),
        name="encoder",
    )


def residual_decoder(
    output_dim: int = 2,
    latent_dim: int = 2,
    *,
    width: int = 200,
    blocks: int = 4,
    heads: tuple[str, ...] = ("linear",),
) -> keras.Model:
    """Decoder: z (batch, latent_dim) -> parameters (batch, output_dim x heads),
    float32. `("linear", "linear")` for a mean and a log sigma of each dimension.
    """
    inputs = keras.Input((latent_dim,), name="z")
    x = layers.Dense(output_dim * len(heads), dtype="float32", name="vector")(
        _dense_blocks(inputs, width, blocks)
    )
    return keras.Model(inputs, activated(x, heads), name="decoder")


def convolutional_encoder(
    image_shape: ImageShape,
    latent_dim: int = 256,
    *,
    widths: tuple[int, ...] = (32, 64, 128),
    blocks: int = 4,
) -> keras.Model:
    """Encoder: images (batch, side, side, channels), float in [0, 1] -> (mean,
    log_var), each (batch, latent_dim).

    Strided convolutions of these widths, then residual blocks (appendix B: 3 and 4 for
    MNIST, k 256; 4 and 5 for CelebA, k 2048).

    Raises:
        InputError: a side that is smaller than the strides together.
    """
    check_at_least(image_shape, 2 ** len(widths))
    inputs = x = keras.Input(image_shape, name="images")
    for width in widths:
        x = layers.ReLU()(layers.Conv2D(width, 4, strides=2, padding="same")(x))
    for _ in range(blocks):
        x = _convolutional_block(x)
    return keras.Model(
        inputs,
        gaussian_heads(layers.Flatten()(layers.ReLU()(x)), latent_dim),
        name="encoder",
    )


def convolutional_decoder(
    image_shape: ImageShape,
    latent_dim: int = 256,
    *,
    widths: tuple[int, ...] = (32, 64, 128),
    blocks: int = 4,
    heads: tuple[str, ...] = ("linear",),
) -> keras.Model:
    """Decoder: z (batch, latent_dim) -> parameters (batch, side, side, channels x
    heads), float32, not kept in [0, 1]; the encoder's mirror, cropped where strides do
    not divide the side.
    """
    check_at_least(image_shape, 2 ** len(widths))
    height, width, channels = image_shape
    factor = 2 ** len(widths)
    rows, columns = -(-height // factor), -(-width // factor)
    inputs = keras.Input((latent_dim,), name="z")
    x = layers.Reshape((rows, columns, widths[-1]))(
        layers.Dense(rows * columns * widths[-1])(inputs)
    )
    for _ in range(blocks):
        x = _convolutional_block(x)
    for out in (*widths[-2::-1], None):
        last = {"dtype": "float32", "name": "image"} if out is None else {}
        x = layers.Conv2DTranspose(
            out or channels * len(heads), 4, strides=2, padding="same", **last
        )(layers.ReLU()(x))
    return keras.Model(inputs, activated(x[:, :height, :width], heads), name="decoder")


def _dense_blocks(inputs: Any, width: int, blocks: int) -> Any:
    x = layers.Dense(width)(inputs)
    for _ in range(blocks):
        h = layers.Dense(width)(layers.ReLU()(x))
        x = layers.Add()([x, layers.Dense(width)(layers.ReLU()(h))])
    return layers.ReLU()(x)


def _convolutional_block(x: Any) -> Any:
    h = x
    for _ in range(2):
        h = layers.Conv2D(x.shape[-1], 3, padding="same")(layers.ReLU()(h))
    return layers.Add()([x, h])
