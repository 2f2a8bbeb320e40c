"""The ResNet encoder and decoder of stage 1 (Dai & Wipf; Asperti & Trentin's code)."""

import math

import keras
from keras import layers, regularizers

from twostage.errors import InputError
from twostage.models.layers.batch_normalization import BatchNormalization
from twostage.models.layers.convolution import Conv2D, Conv2DTranspose
from twostage.models.networks.heads import activated, gaussian_heads

SIDES = (8, 16, 32, 64, 128)


WIDEST = 1024  # no decoder layer has more channels


def check_image_shape(shape):
    """Raises `InputError` unless `shape` = (height, width, channels) suits the ResNet;
    the message names the padding that would.
    """
    height, width, channels = shape
    if channels not in (1, 3):
        raise InputError(
            f"received images with {channels} channels, the ResNet takes 1 or 3:"
            " convert them to grey or RGB"
        )
    if height == width and height in SIDES:
        return
    fitting = [side for side in SIDES if side >= max(height, width)]
    mend = (
        f"pad them with --pad {fitting[0]}"
        if fitting
        else f"make them at most {SIDES[-1]} pixels wide and high with --side"
    )
    raise InputError(
        f"received images of {height}x{width}, the ResNet takes squares of side"
        f" {', '.join(map(str, SIDES))}: {mend}"
    )


def resnet_encoder(
    image_shape,
    latent_dim=64,
    num_scale=3,
    block_per_scale=1,
    base_dim=32,
    fc_dim=512,
    pooling="average",
    l2=0.0,
):
    """Encoder: images (batch, side, side, channels), float in [0, 1] -> (mean,
    log_var), each (batch, latent_dim).

    Args:
        image_shape: (side, side, channels); side a power of two from 8 to 128, 1 or 3
            channels.
        latent_dim: Number of latents.
        num_scale: Scales; between two of them a strided convolution halves the side and
            doubles the width.
        block_per_scale: Residual blocks a scale.
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
    check_image_shape(image_shape)
    if pooling not in ("average", "flatten"):
        raise InputError(
            f"received pooling {pooling!r}, expected 'average' or 'flatten'"
        )
    if image_shape[0] < 2 ** (num_scale - 1):
        raise InputError(
            f"received num_scale {num_scale} for side {image_shape[0]}: at most"
            f" {int(math.log2(image_shape[0])) + 1} fit"
        )
    inputs = keras.Input(image_shape, name="images")
    x = Conv2D(base_dim, 3, padding="same")(inputs)
    for scale in range(num_scale):
        width = base_dim * 2**scale
        x = _scale_block(x, width, block_per_scale)
        if (
            scale < num_scale - 1
        ):  # the paper's figure also halves after the last scale; the code does not
            x = Conv2D(
                2 * width,
                3,
                strides=2,
                padding="same",
                kernel_regularizer=_l2(l2),
                name=f"down_{scale}",
            )(x)
    x = (
        layers.GlobalAveragePooling2D()(x)
        if pooling == "average"
        else layers.Flatten()(x)
    )
    h = x
    for _ in range(2):
        h = layers.Dense(fc_dim)(layers.ReLU()(h))
    x = layers.Add()([h, layers.Dense(fc_dim)(x)])
    return keras.Model(inputs, gaussian_heads(x, latent_dim), name="encoder")


def resnet_decoder(
    image_shape,
    latent_dim=64,
    block_per_scale=1,
    base_dim=32,
    l2=0.0,
    heads=("sigmoid",),
    scale_l2=0.0,
):
    """Decoder: z (batch, latent_dim) -> parameters of the likelihood (batch, side,
    side, channels x heads), float32; the mean images, in [0, 1], with one sigmoid head.

    It starts at 2x2 whatever the encoder's number of scales; widths double from
    `base_dim` at the full side to at most 1024. `l2` weighs the squared kernels of the
    transposed convolutions, `scale_l2` those of the residual blocks; `heads` are the
    likelihood's. Other arguments and errors as for `resnet_encoder`.
    """
    check_image_shape(image_shape)
    doublings = int(math.log2(image_shape[0])) - 1
    widths = [min(base_dim * 2**i, WIDEST) for i in range(doublings, -1, -1)]
    inputs = keras.Input((latent_dim,), name="z")
    x = layers.Dense(2 * 2 * widths[0])(inputs)
    x = layers.Reshape((2, 2, widths[0]))(x)  # (batch, 2, 2, widths[0])
    for i, width in enumerate(widths[1:]):
        x = Conv2DTranspose(
            width,
            3,
            strides=2,
            padding="same",
            kernel_regularizer=_l2(l2),
            name=f"up_{i}",
        )(x)
        x = _scale_block(x, width, block_per_scale, scale_l2)
    x = Conv2D(
        image_shape[-1] * len(heads), 3, padding="same", dtype="float32", name="image"
    )(x)
    return keras.Model(inputs, activated(x, heads), name="decoder")


def _scale_block(x, width, blocks, l2=0.0):
    def convolution():
        return Conv2D(width, 3, padding="same", kernel_regularizer=_l2(l2))

    for _ in range(blocks):
        h = x
        for _ in range(2):
            h = convolution()(layers.ReLU()(BatchNormalization()(h)))
        x = layers.Add()(
            [h, convolution()(x)]
        )  # the shortcut is a 3x3 convolution, always
    return x


def _l2(weight):
    return regularizers.L2(weight) if weight else None
