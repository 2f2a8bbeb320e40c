"""What is done to each image on its way from a file to an array."""

import dataclasses

import numpy as np
from PIL import Image

from twostage.data import celeba, jpeg
from twostage.data.decode import decode
from twostage.errors import InputError

CROPS = ("none", "center", *celeba.CROPS)


@dataclasses.dataclass(frozen=True)
class Preprocessing:
    """Image files to pixels: decode, crop, resize, JPEG round trip, pad.

    The cache's key holds these fields under these names.

    Args:
        crop: `"none"`; `"center"`, the largest square in the middle; or CelebA's
            `"128"`, `"140"`, `"148"`.
        side: Images become side x side. 0: as they are.
        resize: Pillow's filter: `"bilinear"`, `"nearest"` or `"bicubic"`.
        jpeg_roundtrip: Whether they then pass through JPEG of quality 75.
        pad: Zeros around them, up to pad x pad. 0: none.

    Raises:
        InputError: an unknown crop or filter.
    """

    crop: str = "none"
    side: int = 0
    resize: str = "bilinear"
    jpeg_roundtrip: bool = False
    pad: int = 0

    def __post_init__(self) -> None:
        if self.crop not in CROPS:
            raise InputError(f"`crop={self.crop!r}`", f"one of {', '.join(CROPS)}")
        if self.resize not in celeba.FILTERS:
            raise InputError(
                f"`resize={self.resize!r}`", f"one of {', '.join(celeba.FILTERS)}"
            )

    def __call__(
        self, content: bytes, name: str = ""
    ) -> tuple[np.ndarray, tuple[int, int]]:
        """Preprocesses the content of an image file.

        Args:
            content: As for `decode`, with its errors.
            name: As for `decode`.

        Returns:
            (pixels, size): uint8 (height, width, 1 or 3), and the (width, height) of
            the image in the file.
        """
        image = decode(content, name)
        size = image.size
        image = self._cropped(image, name)
        if self.side:
            image = celeba.resize(image, self.side, kind=self.resize)
        pixels = np.asarray(image)
        if pixels.ndim == 2:
            pixels = pixels[..., None]
        if self.jpeg_roundtrip:
            pixels = jpeg.roundtrip(pixels[None])[0]
        return pad_to(pixels[None], self.pad)[0], size

    def _cropped(self, image: Image.Image, name: str) -> Image.Image:
        if self.crop == "none":
            return image
        if self.crop != "center":
            return celeba.crop(image, self.crop, name=name)
        side = min(image.size)
        left = (image.width - side) // 2
        top = (image.height - side) // 2
        return image.crop((left, top, left + side, top + side))

    def __str__(self) -> str:
        """For a file's name: what differs from a plain decode."""
        parts = []
        if self.crop != "none":
            parts.append(f"crop{self.crop}")
        if self.side:
            parts.append(f"{self.resize}{self.side}")
        if self.jpeg_roundtrip:
            parts.append("jpeg75")
        if self.pad:
            parts.append(f"pad{self.pad}")
        return "-".join(parts) or "whole"

    def apply_to_array(self, images: np.ndarray) -> np.ndarray:
        """JPEG round trip and padding of uint8 images (N, height, width, channels)."""
        if self.jpeg_roundtrip:
            images = jpeg.roundtrip(images)
        return pad_to(images, self.pad)


def pad_to(images: np.ndarray, side: int) -> np.ndarray:
    """Images (N, height, width, channels) with zeros around them, side x side.

    Args:
        images: The images.
        side: The side. 0: as they are.

    Raises:
        InputError: they are larger.
    """
    height, width = images.shape[1:3]
    if not side or (height, width) == (side, side):
        return images
    if max(height, width) > side:
        raise InputError(
            f"`pad={side}` for images of {height}x{width}",
            f"at least {max(height, width)}",
        )
    top = (side - height) // 2
    left = (side - width) // 2
    rows = (top, side - height - top)
    columns = (left, side - width - left)
    return np.pad(images, ((0, 0), rows, columns, (0, 0)))
