"""What is in a data set before training, and what a resize does to it."""

import logging
import os
from pathlib import Path

import numpy as np
from PIL import Image

from twostage.config import Stage1Config
from twostage.data import celeba, loading, summary
from twostage.data.datasets import image_files_at
from twostage.data.image_files import Folder, Zip
from twostage.data.preprocessing import Preprocessing
from twostage.data.splits import limited
from twostage.errors import InputError
from twostage.reporting.png import check_place, save_png, tile

logger = logging.getLogger(__name__)

GRID_IMAGES, GRID_SIDE = 64, 128
ROWS = ("nearest", "bilinear", "bicubic")  # of the comparison, from the top


def show(config: Stage1Config, grid: str | os.PathLike[str]) -> None:
    """Logs three lines for each split of a config's data, and writes a grid of training
    images (PNG).
    """
    check_place(grid)
    check_outside("grid", grid, config.data)
    splits = loading.load_splits(config)
    found = {split: summary.describe(*content) for split, content in splits.items()}
    for split, each in found.items():
        others = None if split == "train" else found["train"]
        logger.info("%s", "\n".join(summary.lines(each, split, others)))
    training, _ = splits["train"]
    rows = limited(len(training), min(GRID_IMAGES, len(training)))
    small = np.stack([_reduced(training[row]) for row in rows])
    save_png(grid, tile(small / 255))
    logger.info("wrote %s", grid)


def check_outside(name: str, path: str | os.PathLike[str], data: str) -> None:
    """Raises `InputError` for an image file that would become one of the data.

    Args:
        name: Of the argument that gave the file.
        path: Of the file.
        data: The data set, a name or a path.
    """
    folder, place = Path(data).expanduser().resolve(), Path(path).resolve()
    if data and folder.is_dir() and place.is_relative_to(folder):
        raise InputError(
            f"`{name}={str(path)!r}`, in the folder of the images",
            "a place outside it",
            f"give `{name}={str(folder.parent / place.name)!r}`",
        )


def _reduced(image: np.ndarray) -> np.ndarray:
    """A uint8 image (height, width, channels), its longer side at most 128 pixels."""
    height, width, channels = image.shape
    factor = -(-max(height, width) // GRID_SIDE)
    if factor == 1:
        return image
    pixels = Image.fromarray(image[..., 0] if channels == 1 else image)
    return np.asarray(pixels.reduce(factor)).reshape(-1, -(-width // factor), channels)


def compare_resizing(
    folder: str | os.PathLike[str],
    out: str | os.PathLike[str],
    *,
    crop: str = "128",
    side: int = 64,
    count: int = 8,
) -> None:
    """Draws a few images of a folder resized by each filter, a row each (Asperti &
    Trentin, Figure 3), and logs how rough each row is.

    Args:
        folder: Folder or zip of images.
        out: The PNG file.
        crop: As of `Preprocessing`.
        side: As of `Preprocessing`, more than 0.
        count: Of images.

    Raises:
        InputError: there is no image, or no side.
    """
    if not side:
        raise InputError("`side=0`", "the side to resize to, such as 64")
    files = image_files_at(str(folder))
    if files is None:
        raise InputError(str(folder), "a folder or a zip of images")
    names = list(files.files)
    chosen = [names[row] for row in limited(len(names), min(count, len(names)))]
    resized = {
        kind: _preprocessed(files, chosen, Preprocessing(crop, side, kind))
        for kind in celeba.FILTERS
    }
    for kind, images in resized.items():
        logger.info("%s: roughness %.2f", kind, _roughness(images))
    grid = np.concatenate([resized[kind] for kind in ROWS])
    save_png(out, tile(grid / 255, columns=len(chosen)))
    logger.info("wrote %s: rows %s", out, ", ".join(ROWS))


def _preprocessed(
    files: Folder | Zip, names: list[str], preprocessing: Preprocessing
) -> np.ndarray:
    """uint8 (N, side, side, 3); a folder may hold gray ones too."""
    images = []
    for name, item in zip(names, files.items(names), strict=True):
        pixels, _ = preprocessing(files.read(item), name)  # type: ignore[arg-type]
        images.append(np.broadcast_to(pixels, (*pixels.shape[:2], 3)))
    return np.stack(images)


def _roughness(images: np.ndarray) -> float:
    """The mean absolute difference of neighboring pixels, in gray levels. Nearest
    neighbors' staircases make it the largest.
    """
    levels = images.astype("float64")
    down = np.abs(np.diff(levels, axis=1)).mean()
    across = np.abs(np.diff(levels, axis=2)).mean()
    return float((down + across) / 2)
