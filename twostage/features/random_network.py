"""A fixed random convolutional network: features where there is neither a trained
network nor labels.
"""

from __future__ import annotations

from typing import Any, cast

import keras
import numpy as np

from twostage.features.extractor import Extractor, digest_of, in_color
from twostage.models.compilation import compiled

NAME = "random network"
LAYERS = 4


def random_network(seed: int = 0, width: int = 32) -> Extractor:
    """An `Extractor` of 8 x `width` features: four convolutions of stride 2 with
    He-normal kernels drawn by NumPy from `seed`, then means and standard deviations
    over the plane.

    The same numbers on every machine and backend, for images of any size from 16 up. It
    detects textures and colors, not objects.
    """
    kernels = _kernels(seed, width)

    @compiled
    def network(images: Any) -> Any:
        x = keras.ops.cast(images, "float32") / 127.5 - 1
        for kernel in kernels:
            x = keras.ops.conv(
                x, kernel, strides=2, padding="same", data_format="channels_last"
            )
            x = keras.ops.leaky_relu(x, 0.1)
        statistics = [keras.ops.mean(x, (1, 2)), keras.ops.std(x, (1, 2))]
        return keras.ops.concatenate(statistics, axis=-1)

    def features(images: np.ndarray) -> np.ndarray:
        return cast(np.ndarray, keras.ops.convert_to_numpy(network(in_color(images))))

    return Extractor(
        NAME,
        features,
        digest_of(kernels),
        notes={"seed": seed, "width": width},
    )


def _kernels(seed: int, width: int) -> list[np.ndarray]:
    """Each (3, 3, channels in, channels out), float32."""
    generator = np.random.default_rng(seed)
    channels, kernels = 3, []
    for i in range(LAYERS):
        wide = width * 2 ** min(i, 2)
        kernel = generator.standard_normal((3, 3, channels, wide)).astype("float32")
        kernels.append(kernel * np.float32(np.sqrt(2 / (9 * channels))))
        channels = wide
    return kernels
