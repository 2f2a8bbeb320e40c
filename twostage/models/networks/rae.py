"""The convolutional networks of the regularized autoencoders (Ghosh et al. 2020), after
their code; RAE, AE and their VAE share them.
"""

from collections.abc import Callable
from typing import Any

import keras
from keras import layers

from twostage.models.layers.batch_normalization import BatchNormalization
from twostage.models.layers.convolution import Conv2D, Conv2DTranspose
from twostage.models.networks.heads import activated
from twostage.models.networks.image_shapes import ImageShape, check_squares

KERNELS = {32: 4, 64: 5}  # MNIST (padded) and CIFAR-10; CelebA
WIDTHS = (128, 256, 512, 1024)

Wrap = Callable[[keras.layers.Layer], Any]


def no_wrap(layer: keras.layers.Layer) -> keras.layers.Layer:
    return layer


def rae_encoder(
    image_shape: ImageShape,
    latent_dim: int = 128,
    *,
    variational: bool = False,
    wrap: Wrap = no_wrap,
) -> keras.Model:
    """Encoder: images (batch, side, side, channels), float in [0, 1] -> z (batch,
    latent_dim); with `variational`, (mean, log_var).

    Args:
        image_shape: (side, side, channels), side 32 (k 16 for MNIST, 128 for CIFAR-10)
            or 64 (CelebA, k 64).
        latent_dim: Number of latents.
        variational: Adds the head of their VAE: log sigma = 5 tanh(.).
        wrap: What each convolution and dense layer is passed through:
            `SpectralNormalization` for RAE-SN.

    Raises:
        InputError: another side.
    """
    kernel = _kernel_size(image_shape)
    inputs = keras.Input(image_shape, name="images")
    x = layers.Rescaling(2.0, offset=-1.0)(inputs) if image_shape[0] == 32 else inputs
    for width in WIDTHS:
        x = wrap(Conv2D(width, kernel, strides=2, padding="same"))(x)
        x = layers.ReLU()(_norm()(x))
    x = layers.Flatten()(x)
    mean = wrap(layers.Dense(latent_dim, dtype="float32", name="mean"))(x)
    if not variational:
        return keras.Model(inputs, mean, name="encoder")
    log_sd = layers.Dense(latent_dim, dtype="float32", name="log_sd")(x)
    log_sd = layers.Activation("tanh", dtype="float32")(log_sd)
    log_var = layers.Rescaling(2.0 * 5.0, dtype="float32", name="log_var")(log_sd)
    return keras.Model(inputs, [mean, log_var], name="encoder")


def rae_decoder(
    image_shape: ImageShape,
    latent_dim: int = 128,
    *,
    heads: tuple[str, ...] = ("sigmoid",),
    wrap: Wrap = no_wrap,
    l2: float = 0.0,
) -> keras.Model:
    """Decoder: z (batch, latent_dim) -> parameters (batch, side, side, channels x
    heads), float32.

    `wrap` as for the encoder, but the transposed convolutions only; `l2` weighs the
    squares of their kernels and, at side 64, of the dense layer's (RAE-L2).
    """
    kernel, large = _kernel_size(image_shape), image_shape[0] == 64
    regularizer = {"kernel_regularizer": keras.regularizers.L2(l2)} if l2 else {}
    inputs = keras.Input((latent_dim,), name="z")
    x = layers.Dense(8 * 8 * 1024, **(regularizer if large else {}))(inputs)
    x = layers.Reshape((8, 8, 1024))(x)
    for width in (512, 256, 128)[: 3 if large else 2]:
        x = wrap(
            Conv2DTranspose(width, kernel, strides=2, padding="same", **regularizer)
        )(x)
        x = layers.ReLU()(_norm()(x))
    x = wrap(
        Conv2DTranspose(
            image_shape[-1] * len(heads),
            kernel,
            padding="same",
            dtype="float32",
            name="image",
            **regularizer,
        )
    )(x)
    return keras.Model(inputs, activated(x, heads), name="decoder")


def _norm() -> BatchNormalization:
    """With the defaults of TensorFlow, which the code has."""
    return BatchNormalization(momentum=0.99, epsilon=1e-3)


def _kernel_size(image_shape: ImageShape) -> int:
    check_squares(image_shape, KERNELS, resize=64)
    return KERNELS[image_shape[0]]
