"""What is in a data set before training, and what a resize does to it."""

import logging
import os

import numpy as np

from twostage.config import Stage1Config
from twostage.data import celeba, loading, summary
from twostage.data.datasets import image_files_at
from twostage.data.image_files import Folder, Zip
from twostage.data.preprocessing import Preprocessing
from twostage.data.splits import limited
from twostage.errors import InputError
from twostage.reporting.png import save_png, tile

logger = logging.getLogger(__name__)

GRID_IMAGES = 64
ROWS = ("nearest", "bilinear", "bicubic")  # of the comparison, from the top


def show(config: Stage1Config, grid: str | os.PathLike[str]) -> None:
    """Logs three lines for each split of a config's data, and writes a grid of training
    images (PNG).
    """
    for split, (images, labels) in loading.load_splits(config).items():
        logger.info("%s", "\n".join(summary.lines(images, labels, split)))
        if split == "train":
            rows = limited(len(images), min(GRID_IMAGES, len(images)))
            save_png(grid, tile(images[rows] / 255))
    logger.info("wrote %s", grid)


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
