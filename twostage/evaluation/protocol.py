"""Which images a distance is measured between, and how: two numbers are comparable
only where they share it.
"""

from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np

from twostage.config import MIN_COMPARED
from twostage.data.splits import limited
from twostage.errors import InputError, check_whole
from twostage.features.extractor import quantized
from twostage.metrics.moments import Moments

SPLITS = {"fid10k_test": ("test", 10_000), "fid50k_train": ("train", 50_000)}
MIN_STD = 1e-6  # of a channel of one color, in [0, 1]
QUIRKS = ("stretch", "contrast", "first10k", "tone")


@dataclasses.dataclass(frozen=True)
class Protocol:
    """The reference, the number of generated images, and how they are preprocessed.

    Where the split is smaller, all of it is the reference.

    Args:
        name: `"fid10k_test"`: 10,000 images against 10,000 of the test split, as the
            papers on autoencoders. `"fid50k_train"`: 50,000 against 50,000 of training.
        quirks: What the papers' code did without saying so, off by default.
            `"stretch"`: each reconstruction and sample is stretched to [0, 1] by
            itself, the reference is not (Dai & Wipf). `"contrast"`: reconstructions get
            the reference's standard deviation around their mean image (Asperti &
            Trentin). `"first10k"`: the reference is the first 10,000 training images.
            `"tone"`, no paper's: each kind of images gets the mean and standard
            deviation of the reference's channels, so that brightness and contrast no
            longer count.
        samples: How many images are generated, and are in the reference at most. 0: as
            the name says. Distances fall with it.

    Raises:
        InputError: another name or quirk, or too few samples.
    """

    name: str = "fid10k_test"
    quirks: tuple[str, ...] = ()
    samples: int = 0

    def __post_init__(self) -> None:
        if self.name not in SPLITS:
            raise InputError(f"protocol {self.name!r}", f"one of {', '.join(SPLITS)}")
        check_whole("samples", self.samples)
        if self.samples and self.samples < MIN_COMPARED:
            raise InputError(
                f"`samples={self.samples}`", f"at least {MIN_COMPARED}, or 0"
            )
        unknown = set(self.quirks) - set(QUIRKS)
        if unknown:
            raise InputError(
                f"quirk {', '.join(sorted(unknown))}", f"some of {', '.join(QUIRKS)}"
            )

    @property
    def split(self) -> str:
        """The split that the reference comes from."""
        return "train" if "first10k" in self.quirks else SPLITS[self.name][0]

    @property
    def count(self) -> int:
        """How many images are generated, and are in the reference at most."""
        if self.samples:
            return self.samples
        return 10_000 if "first10k" in self.quirks else SPLITS[self.name][1]

    @property
    def whole_set(self) -> bool:
        """Whether all images of a kind are preprocessed together."""
        return "contrast" in self.quirks or "tone" in self.quirks

    def reference(self, images: np.ndarray) -> np.ndarray:
        """The reference of a split's images: all, the first 10,000, or a fixed random
        choice, which a folder sorted by class needs.
        """
        if len(images) <= self.count or "first10k" in self.quirks:
            return images[: self.count]
        return images[limited(len(images), self.count)]

    def preprocess(
        self,
        images: np.ndarray,
        *,
        originals: np.ndarray | None = None,
        pixels: Moments | None = None,
    ) -> np.ndarray:
        """Generated images, as the extractor gets them: uint8.

        Args:
            images: Floats in [0, 1], (N, height, width, channels).
            originals: What reconstructions are of, uint8; None for samples.
            pixels: For `"tone"`: `Moments` of the reference's pixels, 0 to 255.
        """
        if "contrast" in self.quirks and originals is not None:
            images = match_contrast(images, originals / np.float32(255))
        if "stretch" in self.quirks:
            images = stretch_contrast(images)
        if "tone" in self.quirks:
            if pixels is None:
                raise InputError(
                    "no `pixels`", "the moments of the reference's pixels for 'tone'"
                )
            images = match_moments(images, pixels)
        return quantized(images)

    def manifest(self) -> dict[str, Any]:
        """In JSON's types."""
        return {
            "name": self.name,
            "split": self.split,
            "count": self.count,
            "quirks": list(self.quirks),
            **({"samples": self.samples} if self.samples else {}),
            "quantization": "uint8, rounded",
        }


def stretch_contrast(images: np.ndarray) -> np.ndarray:
    """Each image (N, ...) by itself to [0, 1]; a flat one becomes 0."""
    axes = tuple(range(1, images.ndim))
    least = images.min(axes, keepdims=True)
    greatest = images.max(axes, keepdims=True)
    return (images - least) / np.maximum(greatest - least, 1e-12)


def match_contrast(images: np.ndarray, reference: np.ndarray) -> np.ndarray:
    """Images around their mean image, scaled so that the pixels' standard deviations
    over the set have the reference's mean; clipped to [0, 1].
    """
    mean = images.mean(0)
    scale = reference.std(0).mean() / images.std(0).mean()
    return np.clip(mean + (images - mean) * scale, 0, 1)


def match_moments(images: np.ndarray, pixels: Moments) -> np.ndarray:
    """Each channel of a set shifted and scaled to the mean and standard deviation of
    `Moments` of pixels, 0 to 255; clipped to [0, 1], which takes a little of both.
    """
    mean = images.mean((0, 1, 2), dtype="float64")
    std = images.std((0, 1, 2), dtype="float64")
    scale = np.sqrt(np.diag(pixels.covariance)) / 255 / np.maximum(std, MIN_STD)
    scale = np.where(std < MIN_STD, 0, scale)  # a channel of one color gets the mean
    shift = pixels.mean / 255 - mean * scale
    matched = images * scale.astype("float32") + shift.astype("float32")
    return np.clip(matched, 0, 1)
