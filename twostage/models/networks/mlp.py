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
) -> keras.Model:
    """Encoder: vectors (batch, input_dim) -> (mean, log_var), each (batch, latent_dim);
    latent_dim is input_dim unless given.
    """
    inputs = keras.Input((input_dim,), name="vectors")
    heads = gaussian_heads(_tower(inputs, width, depth), latent_dim or input_dim)
    return keras.Model(inputs, heads, name="encoder")


def dense_decoder(
    output_dim: int,
    width: int = 1024,
    depth: int = 3,
    *,
    latent_dim: int | None = None,
) -> keras.Model:
    """Decoder: u (batch, latent_dim) -> mean vectors (batch, output_dim), float32,
    unbounded.
    """
    inputs = keras.Input((latent_dim or output_dim,), name="u")
    outputs = layers.Dense(output_dim, dtype="float32", name="vectors")(
        _tower(inputs, width, depth)
    )
    return keras.Model(inputs, outputs, name="decoder")


def _tower(inputs: Any, width: int, depth: int) -> Any:
    h = inputs
    for _ in range(depth):
        h = Dense(width, activation="relu")(h)
    return layers.Concatenate()([inputs, h])  # (batch, input + width)
