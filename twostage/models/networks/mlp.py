"""Stage 2's networks: dense layers each way."""

from typing import Any

import keras
from keras import layers

from twostage.models.layers.dense import Dense
from twostage.models.networks.heads import gaussian_heads


def dense_encoder(
    input_dim: int,
    width: int = 1024,
    depth: int = 3,
    *,
    latent_dim: int | None = None,
    whitened: bool = False,
) -> keras.Model:
    """Encoder: vectors (batch, input_dim) -> (mean, log_var), each (batch, latent_dim);
    latent_dim is input_dim unless given.

    With `whitened` the vectors first pass through the layer `whitening`, an affine map
    that is not trained; see models/gaussian_start.py.
    """
    inputs = keras.Input((input_dim,), name="vectors")
    first = _affine(input_dim, "whitening")(inputs) if whitened else inputs
    heads = gaussian_heads(_tower(first, width, depth), latent_dim or input_dim)
    return keras.Model(inputs, heads, name="encoder")


def dense_decoder(
    output_dim: int,
    width: int = 1024,
    depth: int = 3,
    *,
    latent_dim: int | None = None,
    whitened: bool = False,
) -> keras.Model:
    """Decoder: u (batch, latent_dim) -> mean vectors (batch, output_dim), float32,
    unbounded; `whitened` ones pass through the layer `coloring` at the end.
    """
    inputs = keras.Input((latent_dim or output_dim,), name="u")
    outputs = layers.Dense(output_dim, dtype="float32", name="vectors")(
        _tower(inputs, width, depth)
    )
    outputs = _affine(output_dim, "coloring")(outputs) if whitened else outputs
    return keras.Model(inputs, outputs, name="decoder")


def _affine(dimensions: int, name: str) -> layers.Layer:
    """The identity, until its weights are set; never trained."""
    return layers.Dense(
        dimensions,
        kernel_initializer="identity",
        trainable=False,
        dtype="float32",
        name=name,
    )


def _tower(inputs: Any, width: int, depth: int) -> Any:
    h = inputs
    for _ in range(depth):
        h = Dense(width, activation="relu")(h)
    return layers.Concatenate()([inputs, h])  # (batch, input + width)
