"""Images in NumPy files."""

import zipfile
import zlib

import numpy as np

from twostage.errors import InputError, reading


def load(path, split):
    """`.npy`: one array. `.npz`: x_train and x_test (and y_train, y_test), as Keras
    writes them, or images of one name. Of one array a tenth is the test set.
    """
    try:
        with reading():
            found = np.load(
                path,
                mmap_mode="r" if path.suffix == ".npy" else None,
                allow_pickle=False,
            )
        arrays = (
            {key: found[key] for key in found.files}
            if isinstance(found, np.lib.npyio.NpzFile)
            else {"images": found}
        )
    except InputError:
        raise
    except (ValueError, OSError, EOFError, zipfile.BadZipFile, zlib.error) as error:
        raise InputError(
            f"received {path}, which NumPy cannot read ({error}): save it again with"
            " numpy.save or numpy.savez"
        ) from error
    splits = [name for name in ("train", "test") if f"x_{name}" in arrays]
    if not splits and len(arrays) != 1:
        raise InputError(
            f"received {path} with arrays {', '.join(arrays)}, expected x_train and"
            " x_test, or a single array of images"
        )
    name = split if len(splits) == 2 else splits[0] if splits else None
    images, labels = (
        _check(arrays[f"x_{name}"] if name else next(iter(arrays.values())), path),
        _labels(arrays, name),
    )
    if labels is not None and labels.size != len(images):
        raise InputError(
            f"received {path} with {len(images)} images in x_{name} and {labels.size}"
            f" labels in y_{name}, expected as many of both"
        )
    rows = slice(None) if len(splits) == 2 else split_rows(len(images), split)
    return images[rows], None if labels is None else labels[rows]


def split_rows(count, split):
    """Row numbers of a split: a fixed random tenth is the test set, since files are
    often sorted by class.
    """
    order = np.random.default_rng(0).permutation(count)
    held_out = count // 10
    return np.sort(order[:held_out] if split == "test" else order[held_out:])


def _labels(arrays, name):
    """Class numbers (N,) of a split, of labels of any kind, the same in both splits;
    None where there are none.
    """
    if f"y_{name}" not in arrays:
        return None
    labels = arrays[f"y_{name}"].reshape(-1)
    if labels.dtype.kind == "u" or (
        labels.dtype.kind == "i" and not (labels < 0).any()
    ):
        return labels
    every = np.unique(
        np.concatenate(
            [arrays[key].reshape(-1) for key in ("y_train", "y_test") if key in arrays]
        )
    )
    return np.searchsorted(every, labels)


def _conversion(images):
    """What to do with numbers that are not uint8, by their range."""
    least, most = images.min(), images.max()
    if least >= 0 and most <= 1:
        return "convert them with (255 * x).round().astype('uint8')"
    if least >= 0 and most <= 255:
        return "convert them with x.round().astype('uint8')"
    if least >= 0 and most <= 65_535:
        return (
            "where 65535 is white, convert them with (x / 257).round().astype('uint8')"
        )
    if least >= -1 and most <= 1:
        return (
            "where -1 is black, convert them with ((x + 1) *"
            " 127.5).round().astype('uint8')"
        )
    return "bring them to that range, then .round().astype('uint8')"


def _check(images, path):
    if images.ndim == 3:
        images = images[..., None]  # (N, height, width) -> one channel
    if images.dtype.kind not in "biuf":
        raise InputError(
            f"received an array of {images.dtype} in {path}, expected images (N,"
            " height, width, channels) of uint8"
        )
    if images.ndim != 4 or len(images) == 0:
        raise InputError(
            f"received an array of shape {images.shape} in {path}, expected images (N,"
            " height, width, channels)"
        )
    if images.dtype != np.uint8:
        raise InputError(
            f"received {images.dtype} images in {path}, {images.min():g} to"
            f" {images.max():g}, expected uint8, 0 to 255: {_conversion(images)}"
        )
    if images.shape[3] not in (1, 3):
        mend = (
            "move the channels to the end with x.transpose(0, 2, 3, 1)"
            if images.shape[1] in (1, 3)
            else "drop the others with x[..., :3]"
        )
        raise InputError(
            f"received an array of shape {images.shape} in {path}, expected (N, height,"
            f" width, channels) with 1 or 3 channels: {mend}"
        )
    return images
