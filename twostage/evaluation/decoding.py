"""Images of a stage 1 as NumPy arrays."""

import numpy as np

from twostage.models.tensors import to_numpy
from twostage.models.vae import VAE
from twostage.own_callbacks import callbacks
from twostage.sampling import generate


def decoded(stage1: VAE, z: np.ndarray) -> np.ndarray:
    """The images of latents (n, k): float32 (n, height, width, channels) in [0, 1]."""
    with callbacks.model_calls.no_gradients():
        return to_numpy(generate.decode(stage1, z))


def reconstructed(stage1: VAE, images: np.ndarray) -> np.ndarray:
    """The reconstructions of uint8 images: float32 of their shape, in [0, 1]."""
    with callbacks.model_calls.no_gradients():
        return to_numpy(generate.reconstruct(stage1, images))
