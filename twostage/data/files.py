"""Images in NumPy files."""

import numpy as np

from twostage.errors import InputError


def load(path, split):
    """`.npy`: one array. `.npz`: x_train and x_test (and y_train, y_test), as Keras writes them, or images of one name. Of one array a tenth is the test set."""
    try:
        found = np.load(path, mmap_mode="r" if path.suffix == ".npy" else None, allow_pickle=False)
        arrays = {"images": found} if path.suffix == ".npy" else {key: found[key] for key in found.files}
    except (ValueError, OSError, EOFError) as error:
        raise InputError(f"received {path}, which NumPy cannot read ({error}): save it again with numpy.save or numpy.savez") from error
    splits = [name for name in ("train", "test") if f"x_{name}" in arrays]
    if not splits and len(arrays) != 1:
        raise InputError(f"received {path} with arrays {', '.join(arrays)}, expected x_train and x_test, or a single array of images")
    name = split if len(splits) == 2 else splits[0] if splits else None
    images, labels = _check(arrays[f"x_{name}"] if name else next(iter(arrays.values())), path), arrays.get(f"y_{name}")
    if labels is not None and labels.size != len(images):
        raise InputError(f"received {path} with {len(images)} images in x_{name} and {labels.size} labels in y_{name}, expected as many of both")
    rows = slice(None) if len(splits) == 2 else split_rows(len(images), split)
    return images[rows], None if labels is None else labels.reshape(-1)[rows]


def split_rows(count, split):
    """Row numbers of a split: a fixed random tenth is the test set, since files are often sorted by class."""
    order = np.random.default_rng(0).permutation(count)
    held_out = count // 10
    return np.sort(order[:held_out] if split == "test" else order[held_out:])


def _check(images, path):
    if images.ndim == 3:
        images = images[..., None]  # (N, height, width) -> one channel
    if images.dtype != np.uint8:
        raise InputError(f"received {images.dtype} images in {path}, expected uint8, 0 to 255: convert them with (255 * x).round().astype('uint8')")
    if images.ndim != 4 or len(images) == 0:
        raise InputError(f"received an array of shape {images.shape} in {path}, expected images (N, height, width, channels)")
    if images.shape[3] not in (1, 3):
        mend = "move the channels to the end with x.transpose(0, 2, 3, 1)" if images.shape[1] in (1, 3) else "drop the others with x[..., :3]"
        raise InputError(f"received an array of shape {images.shape} in {path}, expected (N, height, width, channels) with 1 or 3 channels: {mend}")
    return images
