"""Images of a stage 1 as NumPy arrays."""

import numpy as np

from twostage.models.tensors import to_numpy
from twostage.models.vae import VAE
from twostage.sampling import generate


def decoded(stage1: VAE, z: np.ndarray) -> np.ndarray:
    """The images of one batch of latents (n, k): float32 (n, height, width, channels)
    in [0, 1].
    """
    return to_numpy(generate.clipped(stage1.decode_on_batch(z)))


def reconstructed(stage1: VAE, images: np.ndarray) -> np.ndarray:
    """The reconstructions of one batch of uint8 images: float32 of their shape, in [0,
    1].
    """
    mean, _ = stage1.posterior_on_batch(images)
    return decoded(stage1, mean)
