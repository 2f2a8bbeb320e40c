"""A fixed random convolutional network: features where there is neither a trained
network nor labels.
"""

import keras
import numpy as np

from twostage.features.extractor import Extractor, coloured, digest_of


def random_network(seed=0, width=32):
    """An `Extractor` of 8 x `width` features: four convolutions of stride 2 with
    He-normal kernels drawn by NumPy from `seed`, then means and deviations over the
    plane.

    The same numbers on every machine and backend, for images of any size from 16 up. It
    sees textures and colours, and no objects.
    """
    generator, channels, kernels = np.random.default_rng(seed), 3, []
    for i in range(4):
        wide = width * 2 ** min(i, 2)
        kernels.append(
            generator.standard_normal((3, 3, channels, wide)).astype("float32")
            * np.float32(np.sqrt(2 / (9 * channels)))
        )
        channels = wide

    def features(images):
        x = keras.ops.cast(coloured(images), "float32") / 127.5 - 1
        for kernel in kernels:
            x = keras.ops.leaky_relu(
                keras.ops.conv(
                    x, kernel, strides=2, padding="same", data_format="channels_last"
                ),
                0.1,
            )
        return keras.ops.convert_to_numpy(
            keras.ops.concatenate(
                [keras.ops.mean(x, (1, 2)), keras.ops.std(x, (1, 2))], axis=-1
            )
        )

    return Extractor(
        "random network",
        features,
        digest_of(kernels),
        notes={"seed": seed, "width": width},
    )
