"""What is done to each image on its way from a file to an array."""

import dataclasses

import numpy as np
from PIL import Image

from twostage.config import CROPS, FILTERS, FITS
from twostage.data import celeba, jpeg
from twostage.data.decode import decode
from twostage.errors import InputError

Size = tuple[int, int]  # width and height


@dataclasses.dataclass(frozen=True)
class Preprocessing:
    """Image files to pixels: decode, scale, crop, resize, JPEG round trip, color, pad.

    The cache's key holds these fields under these names.

    Args:
        crop: `"none"`; `"center"`, the largest square in the middle; or CelebA's
            `"128"`, `"140"`, `"148"`.
        side: Images become side x side. 0: as they are.
        resize: Pillow's filter: `"bilinear"`, `"nearest"` or `"bicubic"`.
        jpeg_roundtrip: Whether they then pass through JPEG of quality 75.
        pad: Zeros around them, up to pad x pad. 0: none.
        channels: 1: color becomes gray by Pillow's "L"; 3: gray gets equal channels. 0:
            as each image is.
        fit: How a side is reached from an image that is not square: `"stretch"`;
            `"crop"`, from its largest square in the middle; `"letterbox"`, with black
            bars.
        scale: Values are multiplied by it before they are rounded to 8 bits. 0: they
            are not.

    Raises:
        InputError: an unknown value; a fit that has no effect.
    """

    crop: str = "none"
    side: int = 0
    resize: str = "bilinear"
    jpeg_roundtrip: bool = False
    pad: int = 0
    channels: int = 0
    fit: str = "stretch"
    scale: float = 0.0

    def __post_init__(self) -> None:
        for name, choices in (
            ("crop", CROPS),
            ("resize", FILTERS),
            ("channels", (0, 1, 3)),
            ("fit", FITS),
        ):
            value = getattr(self, name)
            if value not in choices:
                listed = ", ".join(map(str, choices))
                raise InputError(f"`{name}={value!r}`", f"one of {listed}")
        if not 0 <= self.scale < np.inf:
            raise InputError(f"`scale={self.scale}`", "a number above 0, or 0 for none")
        if self.fit != "stretch" and not self.side:
            raise InputError(
                f"`fit={self.fit!r}` without `side`",
                "both",
                "add `side=64`, for image files; else drop it",
            )
        if self.fit == "letterbox" and self.crop != "none":
            raise InputError(
                f"`crop={self.crop!r}, fit='letterbox'`",
                "one of them",
                "after the crop there is nothing to put bars around",
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
        image = decode(content, name, self.scale)
        size = image.size
        if self.channels == 1:
            image = image.convert("L")
        image = self._cropped(image, name)
        if self.side:
            image = self._resized(image)
        pixels = np.asarray(image)
        if pixels.ndim == 2:
            pixels = pixels[..., None]
        if self.jpeg_roundtrip:
            pixels = jpeg.roundtrip(pixels[None])[0]
        if self.channels == 3:
            pixels = np.broadcast_to(pixels, (*pixels.shape[:2], 3))
        return pad_to(pixels[None], self.pad)[0], size

    def size_of(self, size: Size, name: str = "the image") -> Size:
        """The (width, height) that an image of a size gets.

        Raises:
            InputError: the crop or the padding is not for this size.
        """
        if self.crop in celeba.CROPS:
            celeba.check_size(size, self.crop, name=name)
        width, height = self.cropped_size(size)
        if self.side:
            width = height = self.side
        if self.pad:
            check_pad(self.pad, height, width)
            width = height = self.pad
        return width, height

    def cropped_size(self, size: Size) -> Size:
        """The (width, height) of the part of an image that is resized."""
        if self.crop in celeba.CROPS:
            return int(self.crop), int(self.crop)
        if self.crop == "center" or self.fit == "crop":
            return min(size), min(size)
        return size

    def _cropped(self, image: Image.Image, name: str) -> Image.Image:
        if self.crop in celeba.CROPS:
            return celeba.crop(image, self.crop, name=name)
        if self.cropped_size(image.size) == image.size:
            return image
        side = min(image.size)
        left = (image.width - side) // 2
        top = (image.height - side) // 2
        return image.crop((left, top, left + side, top + side))

    def _resized(self, image: Image.Image) -> Image.Image:
        if self.fit != "letterbox" or image.width == image.height:
            return celeba.resize(image, (self.side, self.side), kind=self.resize)
        scale = self.side / max(image.size)
        width = max(round(image.width * scale), 1)
        height = max(round(image.height * scale), 1)
        resized = celeba.resize(image, (width, height), kind=self.resize)
        square = Image.new(image.mode, (self.side, self.side))  # black
        square.paste(resized, ((self.side - width) // 2, (self.side - height) // 2))
        return square

    def __str__(self) -> str:
        """For a file's name: what differs from a plain decode."""
        parts = []
        if self.scale:
            parts.append(f"scale{self.scale:g}")
        if self.crop != "none":
            parts.append(f"crop{self.crop}")
        if self.fit != "stretch":
            parts.append(self.fit)
        if self.side:
            parts.append(f"{self.resize}{self.side}")
        if self.jpeg_roundtrip:
            parts.append("jpeg75")
        if self.pad:
            parts.append(f"pad{self.pad}")
        return "-".join(parts) or "whole"

    def apply_to_array(self, images: np.ndarray) -> np.ndarray:
        """Gray, JPEG round trip, color and padding of uint8 images (N, height, width, 1
        or 3).
        """
        if self.channels == 1 and images.shape[-1] == 3:
            grays = [np.asarray(Image.fromarray(each).convert("L")) for each in images]
            images = np.stack(grays)[..., None]
        if self.jpeg_roundtrip:
            images = jpeg.roundtrip(images)
        if self.channels == 3 and images.shape[-1] == 1:
            images = np.repeat(images, 3, axis=-1)
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
    check_pad(side, height, width)
    top = (side - height) // 2
    left = (side - width) // 2
    rows = (top, side - height - top)
    columns = (left, side - width - left)
    return np.pad(images, ((0, 0), rows, columns, (0, 0)))


def check_pad(side: int, height: int, width: int) -> None:
    """Raises `InputError` where images are larger than what they are padded to."""
    if max(height, width) > side:
        raise InputError(
            f"`pad={side}` for images of {height}x{width}",
            f"at least {max(height, width)}",
        )
