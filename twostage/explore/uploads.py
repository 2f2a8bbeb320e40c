"""A user's image file, prepared as the run's training images were."""

import dataclasses
from pathlib import Path

import numpy as np

from twostage.config import Stage1Config
from twostage.data.datasets import NUMPY_SUFFIXES
from twostage.data.decode import Broken, decode
from twostage.data.loading import preprocessing_for
from twostage.data.preprocessing import Preprocessing
from twostage.errors import InputError

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
            return self._fitted(content)
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

    def _fitted(self, content: bytes) -> np.ndarray:
        """The largest square in the middle, resized."""
        side = self.preprocessing.side or self.shape[0]
        square = dataclasses.replace(
            self.preprocessing, crop="none", side=side, fit="crop"
        )
        return square(content)[0][None]

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
    is_array = not config.data or Path(config.data).suffix.lower() in NUMPY_SUFFIXES
    preprocessing = dataclasses.replace(
        preprocessing_for(config),
        channels=shape[2],
        scale=0.0 if is_array else config.scale,
    )
    return Uploads(preprocessing, shape)
