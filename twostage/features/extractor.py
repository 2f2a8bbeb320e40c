"""What turns images into features, and what a distance over them may be called."""

import dataclasses
import hashlib
from collections.abc import Callable

import numpy as np

from twostage.errors import InputError


@dataclasses.dataclass(frozen=True)
class Extractor:
    """Images to features, with what a reader of the figures must know.

    Args:
        name: Of the extractor.
        function: uint8 images (n, height, width, 1 or 3), 0 to 255 -> features (n, d).
            Anything callable.
        digest: Checksum of its weights: two distances with different ones may not be
            compared.
        metric: What a Frechet distance over its features is called. None: `FD` and its
            name. `FID` is that of the 2015 Inception graph alone.
        notes: What else belongs into the manifest, in JSON's types.
    """

    name: str
    function: Callable
    digest: str
    metric: str | None = None
    notes: dict = dataclasses.field(default_factory=dict)

    def __call__(self, images, batch_size=250):
        """Features (N, d), float64, of images (N, height, width, channels): uint8, or
        floats in [0, 1], which are rounded to 8 bits first.
        """
        parts = [
            np.asarray(self.function(quantised(images[i : i + batch_size])), "float64")
            for i in range(0, len(images), batch_size)
        ]
        return np.concatenate([part.reshape(len(part), -1) for part in parts])

    @property
    def frechet_name(self):
        return self.metric or f"FD ({self.name})"

    def manifest(self):
        """In JSON's types."""
        return {
            "name": self.name,
            "digest": self.digest,
            "frechet": self.frechet_name,
            **self.notes,
        }


def quantised(images):
    """uint8 as they are; floats in [0, 1] rounded to 255 levels, as a file would hold
    them.
    """
    images = np.asarray(images)
    if images.dtype == np.uint8:
        return images
    if not np.issubdtype(images.dtype, np.floating) or (
        images.size and (images.min() < -0.01 or images.max() > 1.01)
    ):
        span = f", {images.min():.3g} to {images.max():.3g}" if images.size else ""
        raise InputError(
            f"received images of type {images.dtype}{span}, expected uint8, or floats"
            " in [0, 1]"
        )
    return np.rint(np.clip(images, 0, 1) * 255).astype("uint8")


def coloured(images):
    """Grey images as three equal channels."""
    return np.repeat(images, 3, axis=-1) if images.shape[-1] == 1 else images


def digest_of(arrays):
    """A checksum of a network's weights."""
    found = hashlib.sha256()
    for array in arrays:
        found.update(np.ascontiguousarray(array))
    return found.hexdigest()[:16]
