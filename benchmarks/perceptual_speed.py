"""How fast are EfficientNet-Lite0's features? `KERAS_BACKEND=jax python
benchmarks/perceptual_speed.py [--images 500] [--rounds 5]`.

Alternates between the network as it is used and one with the backend's own depthwise
and pointwise convolutions, and prints images per second and the ratio of medians.
"""

import argparse

import numpy as np
from interleaved import medians
from keras import ops

from twostage.features import efficientnet
from twostage.features.torch_weights import read_torch_weights
from twostage.models.compilation import compiled


class Plain(efficientnet._Convolution):
    """The backend's convolution, whatever its size."""

    def __call__(self, x):
        convolve = ops.depthwise_conv if self.is_depthwise else ops.conv
        same = {"padding": "same", "data_format": "channels_last"}
        return convolve(x, self.kernel, strides=self.strides, **same) + self.bias


def network(kind):
    """The network of EfficientNet-Lite0 with convolutions of a kind."""
    original = efficientnet._Convolution
    efficientnet._Convolution = kind
    try:
        weights = read_torch_weights(efficientnet._packaged())
        return compiled(efficientnet._Network(weights))
    finally:
        efficientnet._Convolution = original


def main(options):
    """Prints a line per network, then the ratio."""
    shape = (options.images, efficientnet.SIDE, efficientnet.SIDE, 3)
    images = np.random.default_rng(0).uniform(-1, 1, shape).astype("float32")
    networks = {"own": network(efficientnet._Convolution), "plain": network(Plain)}

    def side(features):
        return lambda: ops.convert_to_numpy(features(images))

    taken = medians([side(features) for features in networks.values()], options.rounds)
    seconds = dict(zip(networks, taken, strict=True))
    for name, median in seconds.items():
        print(f"{name}: {options.images / median:.0f} images per second")
    print(f"plain / own: {seconds['plain'] / seconds['own']:.2f}")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--images", type=int, default=500)
    parser.add_argument("--rounds", type=int, default=5)
    main(parser.parse_args())
