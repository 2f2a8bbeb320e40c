"""The papers' CIFAR-10 went through JPEG files before training, which changes its
Frechet distances.
"""

import io

import numpy as np
from PIL import Image


def roundtrip(images: np.ndarray, quality: int = 75) -> np.ndarray:
    """Images as they come back from JPEG files.

    Args:
        images: uint8 (N, height, width, 1 or 3).
        quality: Pillow's quality; its chroma is 4:2:0.

    Returns:
        np.ndarray: of the same shape and type.
    """
    decoded = np.empty(images.shape, "uint8")
    for row, image in enumerate(images):
        file = io.BytesIO()
        pixels = image[..., 0] if image.shape[-1] == 1 else image
        Image.fromarray(pixels).save(file, "jpeg", quality=quality)
        with Image.open(file) as reread:
            decoded[row] = np.asarray(reread).reshape(image.shape)
    return decoded
