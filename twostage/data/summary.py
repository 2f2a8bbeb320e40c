"""A summary of images, before anything is trained on them."""

import collections
import dataclasses
import hashlib
from collections.abc import Mapping

import numpy as np

IMAGES_PER_CHUNK = 1_000  # so that a memory map stays one


@dataclasses.dataclass(frozen=True)
class ImageSummary:
    """What is in uint8 images (N, height, width, channels).

    Args:
        count: N.
        shape: (height, width, channels).
        minimum: 0 to 255.
        maximum: 0 to 255.
        mean: Of each channel, in units of the full range, [0, 1], exact to float64.
        std: Standard deviation of each channel, likewise.
        digests: {digest: count}, the same for images that are equal bit for bit.
        classes: {label: count}, empty without labels.
    """

    count: int
    shape: tuple[int, ...]
    minimum: int
    maximum: int
    mean: list[float]
    std: list[float]
    digests: Mapping[bytes, int]
    classes: dict[int, int]

    @property
    def duplicates(self) -> int:
        """Number of images that equal an earlier one."""
        return self.count - len(self.digests)

    def equal_to(self, other: "ImageSummary") -> int:
        """Number of images that equal one of another set."""
        equal = self.digests.keys() & other.digests.keys()
        return sum(self.digests[digest] for digest in equal)


def describe(images: np.ndarray, labels: np.ndarray | None = None) -> ImageSummary:
    """Summarizes uint8 images (N, height, width, channels)."""
    histograms = np.zeros((images.shape[-1], 256), "int64")
    for start in range(0, len(images), IMAGES_PER_CHUNK):
        chunk = images[start : start + IMAGES_PER_CHUNK]
        for channel, histogram in enumerate(histograms):
            histogram += np.bincount(chunk[..., channel].ravel(), minlength=256)
    present = np.flatnonzero(histograms.sum(0))
    levels = np.arange(256) / 255
    share = histograms / histograms.sum(1, keepdims=True)
    mean = share @ levels
    variance = (share * (levels - mean[:, None]) ** 2).sum(1)
    return ImageSummary(
        count=len(images),
        shape=images.shape[1:],
        minimum=int(present[0]),
        maximum=int(present[-1]),
        mean=mean.tolist(),
        std=np.sqrt(variance).tolist(),
        digests=collections.Counter(map(_digest, images)),
        classes={} if labels is None else _class_counts(labels),
    )


def lines(
    summary: ImageSummary, split: str = "train", training: ImageSummary | None = None
) -> list[str]:
    """A summary in three lines of text; with that of the training images, also how many
    of another split equal one of them.
    """
    counts = summary.classes.values()
    classes = "no labels"
    if counts:
        classes = f"{len(counts)} classes of {min(counts)} to {max(counts)} images"
    shape = "x".join(map(str, summary.shape))
    copies = ""
    if training is not None:
        copies = f"; {summary.equal_to(training)} equal a training image"
    return [
        f"{split}: {summary.count} images of {shape}, {classes}",
        f"values {summary.minimum} to {summary.maximum}; divided by 255: mean"
        f" {_joined(summary.mean)}, standard deviation {_joined(summary.std)}",
        f"{summary.duplicates} of them are duplicates{copies}",
    ]


def _digest(image: np.ndarray) -> bytes:
    pixels = np.ascontiguousarray(image)
    return hashlib.blake2b(pixels, digest_size=16).digest()


def _class_counts(labels: np.ndarray) -> dict[int, int]:
    values, counts = np.unique(labels, return_counts=True)
    return dict(zip(values.tolist(), counts.tolist(), strict=True))


def _joined(values: list[float]) -> str:
    return ", ".join(f"{value:.4f}" for value in values)
