"""Images by name or path: uint8 arrays (N, height, width, channels) and, where there are any, labels."""

from pathlib import Path

import numpy as np

from twostage.data import files, folders, named
from twostage.errors import InputError

SPLITS = ("train", "test")


def load(source, split="train", crop=0, side=0, pad=0):
    """Images of one split.

    Args:
        source: A name (`digits`, `mnist`, `fashion_mnist`, `cifar10`), an `.npz` or `.npy` file, or a folder of images.
        split: `"train"` or `"test"`.
        crop: Folders only: 128 cuts rows 45-173, columns 25-153 out of CelebA's 178x218 pictures. 0: the whole picture.
        side: Folders only: pictures become side x side by Pillow's bilinear filter. 0: as they are.
        pad: Zeros around smaller images, so that they are pad x pad. 0: none.

    Returns:
        (images, labels): uint8 (N, height, width, 1 or 3), and an integer array (N,) or None.

    Raises:
        InputError: a name or file that is not there or cannot be used, in one line that says how to mend it.
    """
    if split not in SPLITS:
        raise InputError(f"received split {split!r}, expected one of {', '.join(SPLITS)}")
    path = Path(source).expanduser()
    if str(source) in named.NAMES:
        images, labels = named.load(str(source), split)
    elif path.is_dir():
        images, labels = folders.load(path, split, crop, side)
    elif path.suffix in (".npz", ".npy") and path.is_file():
        images, labels = files.load(path, split)
    elif path.suffix in (".npz", ".npy") or "/" in str(source) or path.exists():
        raise InputError(f"received data {str(source)!r}, which is no folder of images and no .npz or .npy file: check the path")
    else:
        raise InputError(f"received data {str(source)!r}, expected {', '.join(named.NAMES)}, a folder of images, an .npz or an .npy file")
    if (crop or side) and not path.is_dir():
        raise InputError(f"received --crop {crop} --side {side} for {str(source)!r}, but these apply to folders: use --crop 0 --side 0")
    return _pad(images, pad), labels


def _pad(images, side):
    height, width = images.shape[1:3]
    if not side or (height, width) == (side, side):
        return images
    if max(height, width) > side:
        raise InputError(f"received --pad {side} for images of {height}x{width}, expected at least {max(height, width)}")
    top, left = (side - height) // 2, (side - width) // 2
    return np.pad(images, ((0, 0), (top, side - height - top), (left, side - width - left), (0, 0)))
