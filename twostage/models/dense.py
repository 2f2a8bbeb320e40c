"""The dense networks of stage 2 (Dai & Wipf): a VAE on vectors whose input is
concatenated before the heads.
"""

import keras
from keras import layers, ops

from twostage.models.resnet import gaussian_heads


@keras.saving.register_keras_serializable("twostage")
class Dense(layers.Dense):
    """`keras.layers.Dense`, the same numbers up to rounding.

    In training on TensorFlow its product is that of a batch of one matrix: the gradient
    of its inputs, upstream W^T, then takes half the time, on a CPU in float32.
    """

    def call(self, inputs, training=False):
        if not training or keras.backend.backend() != "tensorflow":
            return super().call(inputs, training=training)
        outputs = ops.squeeze(
            ops.matmul(ops.expand_dims(inputs, 0), ops.expand_dims(self.kernel, 0)), 0
        )
        outputs = ops.add(outputs, self.bias) if self.use_bias else outputs
        return outputs if self.activation is None else self.activation(outputs)


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
