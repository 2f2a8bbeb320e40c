"""A user's image file, prepared as the run's training images were."""

import dataclasses
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from twostage.config import Stage1Config
from twostage.data import celeba
from twostage.data.datasets import NUMPY_SUFFIXES
from twostage.data.decode import Broken, decode
from twostage.data.preprocessing import Preprocessing
from twostage.errors import InputError

if TYPE_CHECKING:
    from PIL import Image

ANY_SIZE = "Crop and resize an image of any size"  # the checkbox of the page


@dataclasses.dataclass(frozen=True)
class Uploads:
    """Prepares image files for a run.

    Args:
        preprocessing: That of the run's images.
        shape: (height, width, channels) of the images that its networks take.
    """

    preprocessing: Preprocessing
    shape: tuple[int, int, int]

    def pixels(
        self, content: bytes, name: str, *, any_size: bool = False
    ) -> np.ndarray:
        """uint8 (1, height, width, channels) of an image file.

        Args:
            content: The file's bytes.
            name: The file's name, for messages.
            any_size: Whether an image that the run's preprocessing does not bring to
                the networks' size is cropped in the middle and resized.

        Raises:
            InputError: no whole image, or one of another size.
        """
        try:
            image = decode(content, scale=self.preprocessing.scale)
            pixels = self._preprocessed(content)
        except Broken as error:
            raise InputError(
                f"{name} ({error})",
                "a whole JPEG, PNG, WebP, BMP or GIF image",
                "choose another file",
            ) from error
        if pixels is not None:
            return pixels
        if any_size:
            return self._fitted(image)
        raise InputError(
            f"an image of {image.width}x{image.height}",
            self._expected(),
            f'tick "{ANY_SIZE}"',
        )

    def _preprocessed(self, content: bytes) -> np.ndarray | None:
        """As the run's own images; None where that gives another size."""
        try:
            pixels = self.preprocessing(content)[0][None]
        except Broken:
            raise
        except InputError:  # the crop or the padding is not for this size
            return None
        return pixels if pixels.shape[1:] == self.shape else None

    def _fitted(self, image: "Image.Image") -> np.ndarray:
        """The largest part in the middle that has the sides' ratio, resized."""
        side, (height, width, _) = self.preprocessing.side, self.shape
        size = (side, side) if side else (width, height)
        scale = min(image.width / size[0], image.height / size[1])
        part = [max(round(scale * each), 1) for each in size]
        left, top = (image.width - part[0]) // 2, (image.height - part[1]) // 2
        image = image.crop((left, top, left + part[0], top + part[1]))
        image = celeba.resize(image, size, kind=self.preprocessing.resize)
        images = np.asarray(image).reshape(1, size[1], size[0], -1)
        return self.preprocessing.apply_to_array(images)

    def _expected(self) -> str:
        height, width, _ = self.shape
        crop = self.preprocessing.crop
        if self.preprocessing.side and crop not in ("none", "center"):
            return f"one that the run's crop {crop} fits"
        return f"{width}x{height}, as the run's images"


def uploads_for(config: Stage1Config | None, shape: tuple[int, int, int]) -> Uploads:
    """How a run's images were prepared.

    Args:
        config: That of stage 1; None: not known, images must have the networks' size.
        shape: (height, width, channels) of the images that the networks take.
    """
    if config is None:
        return Uploads(Preprocessing(channels=shape[2]), shape)
    # of an array the scale brings its own numbers to 0..255, which a file's are
    is_array = not config.data or Path(config.data).suffix in NUMPY_SUFFIXES
    preprocessing = Preprocessing(
        crop=config.crop,
        side=config.side,
        resize=config.resize,
        jpeg_roundtrip=config.jpeg_roundtrip,
        pad=config.pad,
        channels=shape[2],
        fit=config.fit,
        scale=0.0 if is_array else config.scale,
    )
    return Uploads(preprocessing, shape)
