"""The files in which MNIST, Fashion-MNIST, CIFAR-10 and SVHN were given out by their
authors.
"""

import gzip
import io
import pickle
import tarfile
from pathlib import Path, PurePosixPath
from typing import ClassVar

import numpy as np

from twostage.errors import InputError

IDX = {
    "train": ("train-images-idx3-ubyte", "train-labels-idx1-ubyte"),
    "test": ("t10k-images-idx3-ubyte", "t10k-labels-idx1-ubyte"),
}
BATCHES = {"train": [f"data_batch_{i}" for i in range(1, 6)], "test": ["test_batch"]}
COUNTS = {"train": 60_000, "test": 10_000}  # of MNIST and Fashion-MNIST


def find(place, split):
    """[(reader, paths)] of a split's original files in a folder, or of a file that is
    one of them.

    MNIST's four idx files, `.gz` or not; `cifar-10-python.tar.gz` or
    `cifar-10-binary.tar.gz`, or either unpacked; SVHN's `train_32x32.mat`,
    `test_32x32.mat`.
    """
    place = Path(place)
    if place.is_file() and place.name.startswith("cifar-10") and ".tar" in place.name:
        return [(_cifar_archive, [place])]
    folder, found = place if place.is_dir() else place.parent, []
    idx = [
        there[0]
        for stem in IDX[split]
        if (
            there := [
                path
                for path in (folder / stem, folder / f"{stem}.gz")
                if path.is_file()
            ]
        )
    ]
    if idx and (place.is_dir() or "-ubyte" in place.name):
        found.append((_idx, idx))
    mat = folder / f"{split}_32x32.mat"
    if mat.is_file() and (place.is_dir() or place.suffix == ".mat"):
        found.append((_mat, [mat]))
    for inner in (place, place / "cifar-10-batches-py", place / "cifar-10-batches-bin"):
        batches = [
            path
            for name in BATCHES[split]
            for path in (inner / name, inner / f"{name}.bin")
            if path.is_file()
        ]
        if batches:
            found.append((_cifar_files, batches))
    return [
        *found,
        *[
            (_cifar_archive, [path])
            for kind in ("python", "binary")
            if (path := place / f"cifar-10-{kind}.tar.gz").is_file()
        ],
    ]


def load(place, split, name=None):
    """(images, labels) of a split from the original files, as `find` finds them; None
    where there are none, or only another set's than `name`.

    Raises:
        InputError: a file that is damaged, incomplete, or of another set than its place
            in `name` says.
    """
    readers = {
        "mnist": (_idx,),
        "fashion_mnist": (_idx,),
        "cifar10": (_cifar_archive, _cifar_files),
        "svhn": (_mat,),
    }
    found = [
        (reader, paths)
        for reader, paths in find(place, split)
        if name is None or reader in readers[name]
    ]
    if not found:
        return None
    reader, paths = found[0]
    try:
        images, labels = reader(paths, split)
    except Exception as error:  # gzip, tar, pickle and MATLAB files fail in many ways
        reason = (str(error).splitlines() or [type(error).__name__])[0][:100]
        raise InputError(
            f"received {place}, whose {split} files cannot be read ({reason}): fetch"
            " them again"
        ) from error
    if name in ("mnist", "fashion_mnist"):
        _check_name(place, split, labels, name)
    return images, labels


def _check_name(place, split, labels, name):
    """Both sets have files of the same names, but only Fashion-MNIST has as many of
    each class.
    """
    is_fashion = len(set(np.bincount(labels, minlength=10).tolist())) == 1
    if len(labels) != COUNTS[split] or is_fashion != (name == "fashion_mnist"):
        held = "Fashion-MNIST" if is_fashion else "MNIST"
        raise InputError(
            f"received {len(labels)} {split} images in {place}, which look like"
            f" {held}'s, expected {COUNTS[split]} of {name}: check the folder"
        )


def _idx(paths, split):
    if len(paths) < 2:
        raise ValueError(
            f"{paths[0].name} without the other of {' and '.join(IDX[split])}"
        )
    images, labels = (_idx_array(path) for path in paths)
    if images.ndim != 3 or labels.shape != images.shape[:1]:
        raise ValueError(f"images {images.shape} and labels {labels.shape}")
    return images[..., None], labels.astype("int64")


def _idx_array(path):
    """Two zeros, the type (8: uint8), the number of axes; their lengths as big-endian
    32 bits; the values.
    """
    with (gzip.open if path.suffix == ".gz" else open)(path, "rb") as file:
        content = file.read()
    if content[:3] != b"\0\0\x08":
        raise ValueError(f"{path.name} does not begin as an idx file of bytes")
    first = 4 + 4 * content[3]
    shape = np.frombuffer(content, ">u4", content[3], 4).astype(int)
    if len(content) != first + shape.prod():
        raise ValueError(
            f"{path.name} has {len(content):,} bytes, expected {first + shape.prod():,}"
        )
    return np.frombuffer(content, "uint8", offset=first).reshape(shape)


def _cifar_archive(paths, split):
    with tarfile.open(paths[0]) as archive:
        names = {
            entry.name: PurePosixPath(entry.name).name
            for entry in archive
            if entry.isfile()
        }
        return _cifar(
            {
                name: archive.extractfile(path).read()
                for path, name in names.items()
                if name.removesuffix(".bin") in BATCHES[split]
            },
            split,
        )


def _cifar_files(paths, split):
    return _cifar({path.name: path.read_bytes() for path in paths}, split)


def _cifar(files, split):
    """Of {name: bytes}: each image is its red, then its green, then its blue rows."""
    missing = [
        name for name in BATCHES[split] if not {name, f"{name}.bin"} & files.keys()
    ]
    if missing:
        raise ValueError(f"{', '.join(missing)} missing")
    images, labels = (
        np.concatenate(parts)
        for parts in zip(
            *(_batch(name, files[name]) for name in sorted(files)), strict=True
        )
    )
    return (
        np.ascontiguousarray(images.reshape(-1, 3, 32, 32).transpose(0, 2, 3, 1)),
        labels,
    )


def _batch(name, content):
    if name.endswith(".bin"):  # a byte for the label, then the image
        rows = np.frombuffer(content, "uint8").reshape(-1, 3073)
        return rows[:, 1:], rows[:, 0].astype("int64")
    found = _ArraysOnly(io.BytesIO(content), encoding="bytes").load()
    images, labels = np.asarray(found[b"data"]), np.asarray(found[b"labels"], "int64")
    if images.dtype != np.uint8 or images.shape != (len(labels), 3072):
        raise ValueError(
            f"{name} has data {images.dtype} {images.shape} and {len(labels)} labels"
        )
    return images, labels


class _ArraysOnly(pickle.Unpickler):
    """The authors chose pickle, which can run any code: nothing but NumPy arrays is let
    through.
    """

    ALLOWED: ClassVar = {
        ("numpy._core.multiarray", "_reconstruct"),
        ("numpy", "ndarray"),
        ("numpy", "dtype"),
        ("_codecs", "encode"),
    }

    def find_class(self, module, name):
        module = module.replace("numpy.core", "numpy._core")  # as it is called since
        if (module, name) not in self.ALLOWED:
            raise pickle.UnpicklingError(
                f"a pickle that wants {module}.{name}, which CIFAR-10 does not"
            )
        return super().find_class(module, name)


def _mat(paths, split):
    from scipy.io import loadmat

    found = loadmat(paths[0], variable_names=["X", "y"])
    images, labels = found["X"], found["y"].reshape(-1).astype("int64")
    if images.dtype != np.uint8 or images.shape != (32, 32, 3, len(labels)):
        raise ValueError(
            f"X is {images.dtype} {images.shape}, with {len(labels)} labels"
        )
    return (
        np.ascontiguousarray(images.transpose(3, 0, 1, 2)),
        labels % 10,
    )  # its 10 is the digit 0
