"""Images by name or path: uint8 arrays (N, height, width, channels) and, where there are any, labels."""

from pathlib import Path

import numpy as np

from twostage.data import files, folders, jpeg, named
from twostage.errors import InputError

SPLITS = ("train", "validation", "test")


def load_for(config, split="train"):
    """`load` as a `Stage1Config` says."""
    return load(config.data, split, config.crop, config.side, config.pad, config.resize, config.limit, config.jpeg_roundtrip, config.skip_broken, config.partial)


def load(source, split="train", crop=0, side=0, pad=0, resize="bilinear", limit=0, jpeg_roundtrip=False, skip_broken=False, partial=False):
    """Images of one split.

    Args:
        source: A name (`digits`, `mnist`, `fashion_mnist`, `cifar10`), an `.npz` or `.npy` file, or a folder of images.
        split: `"train"` or `"test"`; CelebA, and folders that have one, also `"validation"`.
        crop: Folders only, and a folder with a crop is CelebA's: cuts the face out of its 178x218 pictures: 128 (rows 45-173, columns 25-153), 140 (39-179, 19-159) or
            148 (35-183, 15-163). 0: the whole picture.
        side: Folders only: pictures become side x side by Pillow's filter of the name `resize`. 0: as they are.
        pad: Zeros around smaller images, so that they are pad x pad. 0: none.
        limit: At most so many images, a fixed random choice in the split's order. 0: all.
        jpeg_roundtrip: Whether they pass through JPEG files of quality 75, before padding.
        skip_broken: Folders only: leave out files that cannot be read, and tell which, instead of raising.
        partial: Folders with a crop only: a part of CelebA is all right. Its own `train` and `test` folders, or a hash, are the splits then.

    Returns:
        (images, labels): uint8 (N, height, width, 1 or 3), and an integer array (N,) or None.

    Raises:
        InputError: a name or file that is not there or cannot be used, in one line that says how to mend it.
    """
    if split not in SPLITS:
        raise InputError(f"received split {split!r}, expected one of {', '.join(SPLITS)}")
    path = Path(source).expanduser()
    if split == "validation" and not path.is_dir():
        raise InputError(f"{str(source)!r} has no validation split: expected train or test")
    if str(source) in named.NAMES:
        images, labels = named.load(str(source), split)
    elif path.is_dir():
        images, labels = folders.load(path, split, crop, side, resize, skip_broken, partial)
    elif path.suffix in (".npz", ".npy") and path.is_file():
        images, labels = files.load(path, split)
    elif path.suffix in (".npz", ".npy") or "/" in str(source) or path.exists():
        raise InputError(f"received data {str(source)!r}, which is no folder of images and no .npz or .npy file: check the path")
    else:
        raise InputError(f"received data {str(source)!r}, expected {', '.join(named.NAMES)}, a folder of images, an .npz or an .npy file")
    if (crop or side) and not path.is_dir():
        raise InputError(f"received --crop {crop} --side {side} for {str(source)!r}, but these apply to folders: use --crop 0 --side 0")
    if limit and limit < len(images):
        rows = np.sort(np.random.default_rng(0).choice(len(images), limit, replace=False))
        images, labels = images[rows], None if labels is None else labels[rows]
    if jpeg_roundtrip:
        images = jpeg.roundtrip(images)
    return _pad(images, pad), labels


def _pad(images, side):
    height, width = images.shape[1:3]
    if not side or (height, width) == (side, side):
        return images
    if max(height, width) > side:
        raise InputError(f"received --pad {side} for images of {height}x{width}, expected at least {max(height, width)}")
    top, left = (side - height) // 2, (side - width) // 2
    return np.pad(images, ((0, 0), (top, side - height - top), (left, side - width - left), (0, 0)))
