"""The ResNet encoder and decoder of stage 1 (Dai & Wipf; Asperti & Trentin's code)."""

import math
from typing import Any

import keras
from keras import layers, regularizers

from twostage.errors import InputError
from twostage.models.layers.batch_normalization import BatchNormalization
from twostage.models.layers.convolution import Conv2D, Conv2DTranspose
from twostage.models.networks.heads import activated, gaussian_heads
from twostage.models.networks.image_shapes import (
    ImageShape,
    check_channels,
    check_squares,
)

SIDES = (8, 16, 32, 64, 128)
MAX_CHANNELS = 1024  # of a decoder's layer


def resnet_encoder(
    image_shape: ImageShape,
    latent_dim: int = 64,
    *,
    num_scale: int = 3,
    block_per_scale: int = 1,
    base_dim: int = 32,
    fc_dim: int = 512,
    pooling: str = "average",
    l2: float = 0.0,
) -> keras.Model:
    """Encoder: images (batch, side, side, channels), float in [0, 1] -> (mean,
    log_var), each (batch, latent_dim).

    Args:
        image_shape: (side, side, channels); side a power of two from 8 to 128, 1 or 3
            channels.
        latent_dim: Number of latents.
        num_scale: Scales; between two of them a strided convolution halves the side and
            doubles the width.
        block_per_scale: Residual blocks per scale.
        base_dim: Width of the first scale.
        fc_dim: Width of the fully connected residual block.
        pooling: `"average"` over the side (the authors' code) or `"flatten"` (their
            text).
        l2: Weight of the sum of squared kernels of the strided convolutions. In the
            authors' code it never entered the loss.

    Raises:
        InputError: a shape, a number of scales or a pooling that the network cannot
            take.
    """
    _check_encoder(image_shape, num_scale, pooling)
    inputs = keras.Input(image_shape, name="images")
    x = Conv2D(base_dim, 3, padding="same")(inputs)
    for scale in range(num_scale):
        width = base_dim * 2**scale
        x = _scale_block(x, width, block_per_scale)
        # the paper's figure also halves after the last scale; the code does not
        if scale < num_scale - 1:
            x = _resampled(Conv2D, x, 2 * width, l2, f"down_{scale}")
    average = pooling == "average"
    x = (layers.GlobalAveragePooling2D() if average else layers.Flatten())(x)
    x = _fully_connected_block(x, fc_dim)
    return keras.Model(inputs, gaussian_heads(x, latent_dim), name="encoder")


def resnet_decoder(
    image_shape: ImageShape,
    latent_dim: int = 64,
    *,
    block_per_scale: int = 1,
    base_dim: int = 32,
    l2: float = 0.0,
    heads: tuple[str, ...] = ("sigmoid",),
    scale_l2: float = 0.0,
) -> keras.Model:
    """Decoder: z (batch, latent_dim) -> parameters of the likelihood (batch, side,
    side, channels x heads), float32; the mean images, in [0, 1], with one sigmoid head.

    It starts at 2x2 whatever the encoder's number of scales; widths double from
    `base_dim` at the full side to at most 1024. `l2` weighs the squared kernels of the
    transposed convolutions, `scale_l2` those of the residual blocks; `heads` are the
    likelihood's. Other arguments and errors as for `resnet_encoder`.
    """
    _check_images(image_shape)
    doublings = int(math.log2(image_shape[0])) - 1
    widths = [min(base_dim * 2**i, MAX_CHANNELS) for i in range(doublings, -1, -1)]
    inputs = keras.Input((latent_dim,), name="z")
    x = layers.Dense(2 * 2 * widths[0])(inputs)
    x = layers.Reshape((2, 2, widths[0]))(x)  # (batch, 2, 2, widths[0])
    for i, width in enumerate(widths[1:]):
        x = _resampled(Conv2DTranspose, x, width, l2, f"up_{i}")
        x = _scale_block(x, width, block_per_scale, scale_l2)
    channels = image_shape[-1] * len(heads)
    x = Conv2D(channels, 3, padding="same", dtype="float32", name="image")(x)
    return keras.Model(inputs, activated(x, heads), name="decoder")


def _check_images(shape: ImageShape) -> None:
    check_channels(shape)
    check_squares(shape, SIDES)


def _check_encoder(image_shape: ImageShape, num_scale: int, pooling: str) -> None:
    _check_images(image_shape)
    if pooling not in ("average", "flatten"):
        raise InputError(
            f"`pooling={pooling!r}`", "'average' or 'flatten'", "choose one of them"
        )
    most = int(math.log2(image_shape[0])) + 1
    if num_scale > most:
        raise InputError(
            f"`num_scale={num_scale}` for side {image_shape[0]}",
            f"at most {most}",
            "choose fewer",
        )


def _resampled(kind: Any, x: Any, width: int, l2: float, name: str) -> Any:
    """The map with `width` channels, at half the side where `kind` is `Conv2D`, at
    twice the side where it is `Conv2DTranspose`.
    """
    layer = kind(
        width,
        3,
        strides=2,
        padding="same",
        kernel_regularizer=_l2(l2),
        name=name,
    )
    return layer(x)


def _fully_connected_block(x: Any, width: int) -> Any:
    h = x
    for _ in range(2):
        h = layers.Dense(width)(layers.ReLU()(h))
    return layers.Add()([h, layers.Dense(width)(x)])


def _scale_block(x: Any, width: int, blocks: int, l2: float = 0.0) -> Any:
    """Residual blocks, whose shortcuts are 3x3 convolutions, always."""

    def convolution() -> Conv2D:
        return Conv2D(width, 3, padding="same", kernel_regularizer=_l2(l2))

    for _ in range(blocks):
        h = x
        for _ in range(2):
            h = convolution()(layers.ReLU()(BatchNormalization()(h)))
        x = layers.Add()([h, convolution()(x)])
    return x


def _l2(weight: float) -> Any:
    return regularizers.L2(weight) if weight else None
