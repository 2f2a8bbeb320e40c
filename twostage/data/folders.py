"""Folders of images."""

import hashlib

import numpy as np
from PIL import Image, UnidentifiedImageError

from twostage.data import celeba
from twostage.errors import InputError

SUFFIXES = (".jpg", ".jpeg", ".png", ".webp", ".bmp", ".gif")


def load(folder, split, crop=0, side=0):
    """All images below `folder` in order of their names, or below its own `train` and `test` folders where it has both."""
    own = (folder / "train").is_dir() and (folder / "test").is_dir()
    root = folder / split if own else folder
    paths = sorted(p for p in root.rglob("*") if p.suffix.lower() in SUFFIXES and p.is_file() and not p.name.startswith("."))
    if not paths:
        raise InputError(f"received the folder {root}, which holds no image ({', '.join(SUFFIXES)}): check the path")
    if not own:
        paths = [path for path in paths if (_held_out(path, root) == (split == "test"))]
        if not paths:
            raise InputError(f"the {split} split of {root} is empty, it holds too few images: add some, or make folders train and test")
    first = _read(paths[0], crop, side)
    images = np.empty((len(paths), *first.shape), "uint8")
    for row, path in enumerate(paths):
        image = _read(path, crop, side)
        if image.shape != first.shape:
            raise InputError(
                f"received images of unequal sizes, {_size(first)} in {paths[0].name} and {_size(image)} in {path.name}: "
                "make them equal with --side 64, or another side"
            )
        images[row] = image
    return images, None


def _read(path, crop, side):
    """One image as uint8 (height, width, 1 or 3)."""
    try:
        with Image.open(path) as image:
            image = image.convert("L" if image.mode in ("1", "L", "LA", "I;16") else "RGB")
    except (UnidentifiedImageError, OSError, Image.DecompressionBombError) as error:
        raise InputError(f"could not read {path} ({error}): mend or remove it") from error
    if crop:
        image = celeba.crop(image, crop, path)
    if side:
        image = celeba.resize(image, side)
    pixels = np.asarray(image)
    return pixels if pixels.ndim == 3 else pixels[..., None]


def _size(image):
    return f"{image.shape[1]}x{image.shape[0]}x{image.shape[2]}"


def _held_out(path, root):
    """A tenth by a hash of the name, so that the split depends neither on the file system nor on the other files."""
    name = path.relative_to(root).as_posix()
    return hashlib.sha256(name.encode()).digest()[0] < 26  # 26 / 256, about a tenth
