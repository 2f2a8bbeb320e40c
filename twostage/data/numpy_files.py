"""Images in NumPy files."""

import os
import zipfile
import zlib
from collections.abc import Mapping
from pathlib import Path

import numpy as np

from twostage.errors import InputError, reading


def load(
    path: str | os.PathLike[str], split: str
) -> tuple[np.ndarray, np.ndarray | None]:
    """(images, labels) of a split of a NumPy file.

    Args:
        path: `.npy`: one array. `.npz`: x_train and x_test (and y_train, y_test), as
            Keras writes them, or images of one name. Of one array a tenth is the test
            set.
        split: `"train"` or `"test"`.

    Raises:
        InputError: there is no array of uint8 images, or as many labels.
    """
    path = Path(path)
    arrays = _arrays(path)
    splits = [name for name in ("train", "test") if f"x_{name}" in arrays]
    if not splits and len(arrays) != 1:
        raise InputError(
            f"{path} with arrays {', '.join(arrays)}",
            "x_train and x_test, or a single array of images",
        )
    if not splits:
        images = _check(next(iter(arrays.values())), path)
        return images[split_rows(len(images), split)], None
    name = split if len(splits) == 2 else splits[0]
    images = _check(arrays[f"x_{name}"], path)
    labels = _labels(arrays, name)
    if labels is not None and labels.size != len(images):
        raise InputError(
            f"{path} with {len(images)} images in x_{name} and {labels.size} labels in"
            f" y_{name}",
            "as many of both",
        )
    rows = slice(None) if len(splits) == 2 else split_rows(len(images), split)
    return images[rows], None if labels is None else labels[rows]


def split_rows(count: int, split: str) -> np.ndarray:
    """Row numbers of a split: a fixed random tenth is the test set, since files are
    often sorted by class.
    """
    order = np.random.default_rng(0).permutation(count)
    held_out = count // 10
    return np.sort(order[:held_out] if split == "test" else order[held_out:])


def _arrays(path: Path) -> dict[str, np.ndarray]:
    try:
        with reading():
            content = np.load(
                path,
                mmap_mode="r" if path.suffix == ".npy" else None,
                allow_pickle=False,
            )
        if isinstance(content, np.lib.npyio.NpzFile):
            return {key: content[key] for key in content.files}
        return {"images": content}
    except InputError:
        raise
    except (ValueError, OSError, EOFError, zipfile.BadZipFile, zlib.error) as error:
        raise InputError(
            f"received {path}, which NumPy cannot read ({error}): save it again with"
            " numpy.save or numpy.savez"
        ) from error


def _labels(arrays: Mapping[str, np.ndarray], name: str) -> np.ndarray | None:
    """Class numbers (N,) of a split, of labels of any kind, the same in both splits;
    None where there are none.
    """
    if f"y_{name}" not in arrays:
        return None
    labels = arrays[f"y_{name}"].reshape(-1)
    kind = labels.dtype.kind
    if kind == "u" or (kind == "i" and not (labels < 0).any()):
        return labels
    keys = [key for key in ("y_train", "y_test") if key in arrays]
    classes = np.unique(np.concatenate([arrays[key].reshape(-1) for key in keys]))
    return np.searchsorted(classes, labels)


def _check(images: np.ndarray, path: Path) -> np.ndarray:
    """The images (N, height, width, 1 or 3) of uint8 that an array holds."""
    if images.ndim == 3:
        images = images[..., None]  # (N, height, width) -> one channel
    if images.dtype.kind not in "biuf":
        raise InputError(
            f"an array of {images.dtype} in {path}",
            "images (N, height, width, channels) of uint8",
        )
    if images.ndim != 4 or len(images) == 0:
        raise InputError(
            f"an array of shape {images.shape} in {path}",
            "images (N, height, width, channels)",
        )
    if images.dtype != np.uint8:
        raise InputError(
            f"{images.dtype} images in {path}, {images.min():g} to {images.max():g}",
            "uint8, 0 to 255",
            _conversion(images),
        )
    if images.shape[3] not in (1, 3):
        raise InputError(
            f"an array of shape {images.shape} in {path}",
            "(N, height, width, channels) with 1 or 3 channels",
            _channel_fix(images.shape),
        )
    return images


def _conversion(images: np.ndarray) -> str:
    """What to do with numbers that are not uint8, by their range."""
    minimum = images.min()
    maximum = images.max()
    if minimum >= 0 and maximum <= 1:
        return "convert them with (255 * x).round().astype('uint8')"
    if minimum >= 0 and maximum <= 255:
        return "convert them with x.round().astype('uint8')"
    if minimum >= 0 and maximum <= 65_535:
        return (
            "where 65535 is white, convert them with (x / 257).round().astype('uint8')"
        )
    if minimum >= -1 and maximum <= 1:
        return (
            "where -1 is black, convert them with ((x + 1) *"
            " 127.5).round().astype('uint8')"
        )
    return "bring them to that range, then .round().astype('uint8')"


def _channel_fix(shape: tuple[int, ...]) -> str:
    if shape[1] in (1, 3):
        return "move the channels to the end with x.transpose(0, 2, 3, 1)"
    return "drop the others with x[..., :3]"
