"""A first stage whose decoder begins at the mean color of its images."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from twostage.models.tensors import to_numpy

if TYPE_CHECKING:
    from twostage.models.vae import VAE

OUTPUT = "image"  # the layer before the decoder's sigmoid
MARGIN = 0.01  # a sigmoid that is nearer to 0 or 1 hardly has a gradient


def initialize_at_mean(vae: VAE, images: np.ndarray) -> None:
    """Sets the bias of the decoder's last layer to the logit of the images' mean color.

    Otherwise the first steps at a high learning rate push the output of nearly white,
    or nearly black, images so far that the sigmoid saturates: all images become white,
    and there is no gradient to bring them back.

    Args:
        vae: Of a network whose decoder has a layer `image`, changed in place.
        images: uint8 (N, height, width, channels), some of the training images.
    """
    mean = images.mean((0, 1, 2), dtype="float64") / 255
    mean = np.clip(mean, MARGIN, 1 - MARGIN)
    layer = vae.decoder.get_layer(OUTPUT)
    bias = np.array(to_numpy(layer.bias))
    bias[: len(mean)] = np.log(mean / (1 - mean))
    layer.bias.assign(bias)
