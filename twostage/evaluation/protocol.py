"""Which images a distance is measured between, and how: what two figures must share to
be compared.
"""

import dataclasses

import numpy as np

from twostage.data.splits import limited
from twostage.errors import InputError
from twostage.features.extractor import quantised

SPLITS = {"fid10k_test": ("test", 10_000), "fid50k_train": ("train", 50_000)}
QUIRKS = ("stretch", "contrast", "first10k", "tone")


@dataclasses.dataclass(frozen=True)
class Protocol:
    """Args:
        name: `"fid10k_test"`: 10,000 images against 10,000 of the test split, as the papers on autoencoders. `"fid50k_train"`: 50,000 against 50,000 of training.
        quirks: What the papers' code did and did not say, off by default. `"stretch"`: each reconstruction and sample is stretched to [0, 1] by itself, the reference is not
            (Dai & Wipf). `"contrast"`: reconstructions get the reference's deviation around their mean image (Asperti & Trentin). `"first10k"`: the reference is the
            first 10,000 training images. `"tone"`, no paper's: each kind of images gets the mean and deviation of the reference's channels, so that brightness and contrast
            no longer count.

    Where the split is smaller, all of it is the reference.
    """

    name: str = "fid10k_test"
    quirks: tuple = ()

    def __post_init__(self):
        if self.name not in SPLITS:
            raise InputError(
                f"received protocol {self.name!r}, expected one of {', '.join(SPLITS)}"
            )
        unknown = set(self.quirks) - set(QUIRKS)
        if unknown:
            raise InputError(
                f"received quirk {', '.join(sorted(unknown))}, expected some of"
                f" {', '.join(QUIRKS)}"
            )

    @property
    def split(self):
        return "train" if "first10k" in self.quirks else SPLITS[self.name][0]

    @property
    def count(self):
        """Images that are generated, and of the reference at most."""
        return 10_000 if "first10k" in self.quirks else SPLITS[self.name][1]

    @property
    def whole_set(self):
        """Whether all images of a kind are prepared together."""
        return "contrast" in self.quirks or "tone" in self.quirks

    def reference(self, images):
        """The reference of a split's images: all, the first 10,000, or a fixed random
        choice, which a folder sorted by class needs.
        """
        if len(images) <= self.count or "first10k" in self.quirks:
            return images[: self.count]
        return images[limited(len(images), self.count)]

    def prepared(self, images, reference=None, pixels=None):
        """Generated images, floats in [0, 1], as the extractor gets them: uint8.
        `reference` for reconstructions only; `pixels` for `"tone"`: `Moments` of the
        reference's, 0 to 255.
        """
        if "contrast" in self.quirks and reference is not None:
            images = contrast_of(images, reference / np.float32(255))
        images = stretched(images) if "stretch" in self.quirks else images
        return quantised(toned(images, pixels) if "tone" in self.quirks else images)

    def manifest(self):
        return {
            "name": self.name,
            "split": self.split,
            "count": self.count,
            "quirks": list(self.quirks),
            "quantisation": "uint8, rounded",
        }


def stretched(images):
    """Each image (N, ...) by itself to [0, 1]; a flat one becomes 0."""
    axes = tuple(range(1, images.ndim))
    least, most = images.min(axes, keepdims=True), images.max(axes, keepdims=True)
    return (images - least) / np.maximum(most - least, 1e-12)


def contrast_of(images, reference):
    """Images around their mean image, scaled so that the pixels' deviations over the
    set have the reference's mean; clipped to [0, 1].
    """
    mean = images.mean(0)
    return np.clip(
        mean + (images - mean) * (reference.std(0).mean() / images.std(0).mean()), 0, 1
    )


def toned(images, pixels):
    """Each channel of a set shifted and scaled to the mean and deviation of `Moments`
    of pixels, 0 to 255; clipped to [0, 1], which takes a little of both.
    """
    mean, deviation = (
        images.mean((0, 1, 2), dtype="float64"),
        np.maximum(images.std((0, 1, 2), dtype="float64"), 1e-12),
    )
    scale = np.sqrt(np.diag(pixels.covariance)) / 255 / deviation
    return np.clip(
        images * scale.astype("float32")
        + (pixels.mean / 255 - mean * scale).astype("float32"),
        0,
        1,
    )
