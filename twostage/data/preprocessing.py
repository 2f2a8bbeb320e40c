"""What is done to each picture file on its way into the cache."""

import dataclasses

import numpy as np

from twostage.data import celeba, jpeg
from twostage.data.decode import decode
from twostage.errors import InputError

CROPS = ("none", "center", *celeba.CROPS)


@dataclasses.dataclass(frozen=True)
class Preparation:
    """Picture files to pixels: decode, crop, resize, JPEG round trip, pad.

    Args:
        crop: `"none"`; `"center"`, the largest square in the middle; or CelebA's
            `"128"`, `"140"`, `"148"`.
        side: Pictures become side x side. 0: as they are.
        resize: How: `"bilinear"`, `"nearest"` or `"bicubic"`, as Pillow does.
        jpeg_roundtrip: Whether they then pass through JPEG of quality 75.
        pad: Zeros around them, up to pad x pad. 0: none.
    """

    crop: str = "none"
    side: int = 0
    resize: str = "bilinear"
    jpeg_roundtrip: bool = False
    pad: int = 0

    def __post_init__(self):
        if self.crop not in CROPS:
            raise InputError(
                f"received --crop {self.crop}, expected one of {', '.join(CROPS)}"
            )
        if self.resize not in celeba.FILTERS:
            raise InputError(
                f"received --resize {self.resize}, expected one of"
                f" {', '.join(celeba.FILTERS)}"
            )

    def __call__(self, content, name=""):
        """(pixels, size): uint8 (height, width, 1 or 3), and the picture's own (width,
        height). `content`, `name` and errors as for `decode`.
        """
        image = decode(content, name)
        size = image.size
        if self.crop == "center":
            side = min(size)
            left, top = (size[0] - side) // 2, (size[1] - side) // 2
            image = image.crop((left, top, left + side, top + side))
        elif self.crop != "none":
            image = celeba.crop(image, self.crop, name)
        if self.side:
            image = celeba.resize(image, self.side, self.resize)
        pixels = np.asarray(image)
        pixels = pixels if pixels.ndim == 3 else pixels[..., None]
        if self.jpeg_roundtrip:
            pixels = jpeg.roundtrip(pixels[None])[0]
        return pad_to(pixels[None], self.pad)[0], size

    def __str__(self):
        """For a file's name: what differs from a plain decode."""
        parts = [f"crop{self.crop}"] * (self.crop != "none") + [
            f"{self.resize}{self.side}"
        ] * bool(self.side)
        return (
            "-".join(
                [
                    *parts,
                    *["jpeg75"] * self.jpeg_roundtrip,
                    *[f"pad{self.pad}"] * bool(self.pad),
                ]
            )
            or "whole"
        )


def pad_to(images, side):
    """Images (N, height, width, channels) with zeros around them, side x side. 0: as
    they are.
    """
    height, width = images.shape[1:3]
    if not side or (height, width) == (side, side):
        return images
    if max(height, width) > side:
        raise InputError(
            f"received --pad {side} for images of {height}x{width}, expected at least"
            f" {max(height, width)}"
        )
    top, left = (side - height) // 2, (side - width) // 2
    return np.pad(
        images,
        ((0, 0), (top, side - height - top), (left, side - width - left), (0, 0)),
    )
