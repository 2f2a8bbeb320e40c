"""The last layers of encoders and decoders."""

from typing import Any

from keras import layers

from twostage.models.layers.bounded_log_variance import BoundedLogVariance


def activated(x: Any, heads: tuple[str, ...]) -> Any:
    """The last axis of x in as many blocks as there are heads, each through its
    activation, float32.
    """
    if len(heads) == 1:
        return layers.Activation(heads[0], dtype="float32")(x)
    width = x.shape[-1] // len(heads)
    blocks = []
    for i, head in enumerate(heads):
        block = layers.Activation(head, dtype="float32")
        blocks.append(block(x[..., i * width : (i + 1) * width]))
    return layers.Concatenate(dtype="float32")(blocks)


def gaussian_heads(features: Any, latent_dim: int) -> list[Any]:
    """Two linear heads: mean, and log_var as twice the log standard deviation that the
    authors' code predicts, bounded softly above.
    """
    mean = layers.Dense(latent_dim, dtype="float32", name="mean")(features)
    log_sd = layers.Dense(latent_dim, dtype="float32", name="log_sd")(features)
    linear = layers.Rescaling(2.0, dtype="float32", name="linear_log_var")(log_sd)
    return [mean, BoundedLogVariance(name="log_var")(linear)]
