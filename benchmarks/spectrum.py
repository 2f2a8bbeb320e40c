"""Power of images by spatial frequency, and reconstructions batch by batch: shared by
overfitting.py and sharpened.py.
"""

import numpy as np

from twostage.evaluation.image_metrics import BATCH
from twostage.sampling.decoding import reconstructed


def radii(side):
    """The rounded radius of each frequency, in cycles per image, (side, side)."""
    frequency = np.fft.fftfreq(side, 1 / side)
    return np.rint(np.hypot(frequency[:, None], frequency)).astype(int)


def transform(images):
    """Fourier transform of images (N, side, side, channels)."""
    return np.fft.fft2(images, axes=(1, 2))


def radial_power(images):
    """Power of all the images at each radius."""
    power = (np.abs(transform(images)) ** 2).sum((0, 3))
    return np.bincount(radii(images.shape[1]).ravel(), power.ravel())


def reconstructions(vae, images):
    """The images' reconstructions in [0, 1], batch by batch."""
    for start in range(0, len(images), BATCH):
        yield reconstructed(vae, images[start : start + BATCH])
