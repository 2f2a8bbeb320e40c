"""Stage 2's networks: dense layers each way."""

import keras
from keras import layers

from twostage.models.layers.dense import Dense
from twostage.models.networks.heads import gaussian_heads


def dense_encoder(input_dim, width=1024, depth=3, latent_dim=None):
    """Encoder: vectors (batch, input_dim) -> (mean, log_var), each (batch, latent_dim);
    latent_dim is input_dim unless given.
    """
    inputs = keras.Input((input_dim,), name="vectors")
    return keras.Model(
        inputs,
        gaussian_heads(_tower(inputs, width, depth), latent_dim or input_dim),
        name="encoder",
    )


def dense_decoder(output_dim, width=1024, depth=3, latent_dim=None):
    """Decoder: u (batch, latent_dim) -> mean vectors (batch, output_dim), float32,
    unbounded.
    """
    inputs = keras.Input((latent_dim or output_dim,), name="u")
    outputs = layers.Dense(output_dim, dtype="float32", name="vectors")(
        _tower(inputs, width, depth)
    )
    return keras.Model(inputs, outputs, name="decoder")


def _tower(inputs, width, depth):
    h = inputs
    for _ in range(depth):
        h = Dense(width, activation="relu")(h)
    return layers.Concatenate()([inputs, h])  # (batch, input + width)
