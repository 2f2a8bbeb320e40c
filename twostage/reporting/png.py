"""PNG files: grids of images."""

import math
import os

import numpy as np

from twostage.errors import InputError


def tile(images: np.ndarray, gap: int = 1, columns: int | None = None) -> np.ndarray:
    """Images (n, height, width, channels), float in [0, 1] -> one uint8 image, as
    square as n allows, white between.
    """
    columns = columns or math.isqrt(len(images) - 1) + 1
    missing = -len(images) % columns
    pixels = np.rint(np.clip(images, 0, 1) * 255).astype("uint8")
    pixels = np.pad(pixels, ((0, missing), (0, 0), (0, 0), (0, 0)), constant_values=255)
    pixels = np.pad(pixels, ((0, 0), (0, gap), (0, gap), (0, 0)), constant_values=255)
    _, height, width, channels = pixels.shape
    rows = pixels.reshape(-1, columns, height, width, channels)
    grid = rows.swapaxes(1, 2)  # (rows, height, columns, width, channels)
    return grid.reshape(-1, columns * width, channels)


def check_place(path: str | os.PathLike[str]) -> None:
    """Raises `InputError` where an image's path is empty or that of a folder, or names
    another format.
    """
    if not str(path):
        raise InputError("an empty file name", "a PNG file", "name one, as image.png")
    suffix = os.path.splitext(path)[1].lower()
    if suffix not in ("", ".png"):
        raise InputError(str(path), "a PNG file", "let its name end in .png")
    if os.path.isdir(path) or str(path).endswith(os.sep):
        raise InputError(
            f"received {path}, a folder, expected a file to write:"
            f" {os.path.join(path, 'image.png')}"
        )


def save_png(path: str | os.PathLike[str], pixels: np.ndarray) -> None:
    """Writes a uint8 image (height, width, 1 or 3) so that the file is whole or
    absent. Small images are enlarged.
    """
    from PIL import Image

    check_place(path)
    os.makedirs(os.path.dirname(os.path.abspath(path)), exist_ok=True)
    image = Image.fromarray(pixels[:, :, 0] if pixels.shape[-1] == 1 else pixels)
    factor = max(1, 512 // max(image.size))
    image.resize(
        (image.width * factor, image.height * factor), Image.Resampling.NEAREST
    ).save(f"{path}.part", format="png")
    os.replace(f"{path}.part", path)
