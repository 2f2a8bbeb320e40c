"""Feature extractors, and what a distance over their features may be called."""

from __future__ import annotations

import dataclasses
import hashlib
from collections.abc import Callable, Iterable
from typing import Any

import numpy as np

from twostage.errors import InputError
from twostage.system.progress import progress


@dataclasses.dataclass(frozen=True)
class Extractor:
    """Images to features, with what describes the extractor in a manifest.

    Args:
        name: Of the extractor.
        function: uint8 images (n, height, width, 1 or 3), 0 to 255 -> features (n, d).
            Anything callable.
        digest: Checksum of its weights: two distances with different ones may not be
            compared.
        metric: What a Frechet distance over its features is called. None: `FD` and its
            name. `FID` is that of the 2015 Inception graph alone.
        notes: What else belongs in the manifest, in JSON's types.
    """

    name: str
    function: Callable[[np.ndarray], Any]
    digest: str
    metric: str | None = None
    notes: dict[str, Any] = dataclasses.field(default_factory=dict)

    def __call__(self, images: np.ndarray, batch_size: int = 250) -> np.ndarray:
        """Features (N, d), float64, of images (N, height, width, channels): uint8, or
        floats in [0, 1], which are rounded to 8 bits first.
        """
        starts = range(0, len(images), batch_size)
        label = f"features of {len(images):,} images ({self.name})"
        parts = []
        for i in progress(starts, label):
            features = self.function(quantized(images[i : i + batch_size]))
            part = np.asarray(features, "float64")
            parts.append(part.reshape(len(part), -1))
        return np.concatenate(parts)

    @property
    def frechet_name(self) -> str:
        """What a Frechet distance over its features is called."""
        return self.metric or f"FD ({self.name})"

    def manifest(self) -> dict[str, Any]:
        """In JSON's types."""
        return {
            "name": self.name,
            "digest": self.digest,
            "frechet": self.frechet_name,
            **self.notes,
        }


def quantized(images: np.ndarray) -> np.ndarray:
    """uint8 as they are; floats in [0, 1] rounded to 255 levels, as a file would hold
    them.

    Raises:
        InputError: another type or range.
    """
    images = np.asarray(images)
    if images.dtype == np.uint8:
        return images
    is_float = np.issubdtype(images.dtype, np.floating)
    in_range = not images.size or (images.min() >= -0.01 and images.max() <= 1.01)
    if not is_float or not in_range:
        span = f", {images.min():.3g} to {images.max():.3g}" if images.size else ""
        raise InputError(
            f"images of type {images.dtype}{span}", "uint8, or floats in [0, 1]"
        )
    return np.rint(np.clip(images, 0, 1) * 255).astype("uint8")


def in_color(images: np.ndarray) -> np.ndarray:
    """Gray images as three equal channels."""
    return np.repeat(images, 3, axis=-1) if images.shape[-1] == 1 else images


def enlarged(images: np.ndarray, side: int) -> np.ndarray:
    """uint8 (n, height, width, 3) -> float32 (n, side, side, 3), 0 to 255: bicubic by
    Pillow, which antialiases where it reduces (Parmar et al. 2022).
    """
    return np.stack([_enlarged_image(image, side) for image in images])


def _enlarged_image(image: np.ndarray, side: int) -> np.ndarray:
    """Each channel in 32 bits, so that nothing is rounded on the way."""
    from PIL import Image

    planes = []
    for plane in image.astype("float32").transpose(2, 0, 1):
        resized = Image.fromarray(plane).resize((side, side), Image.Resampling.BICUBIC)
        planes.append(np.asarray(resized))
    return np.stack(planes, axis=-1).clip(0, 255)


def digest_of(arrays: Iterable[np.ndarray]) -> str:
    """A checksum of a network's weights."""
    found = hashlib.sha256()
    for array in arrays:
        found.update(np.ascontiguousarray(array).data)
    return found.hexdigest()[:16]
