"""The files in which the authors of MNIST, Fashion-MNIST, CIFAR-10 and SVHN published
them.
"""

import dataclasses
import gzip
import io
import math
import os
import pickle
import tarfile
from collections.abc import Callable, Mapping
from pathlib import Path, PurePosixPath
from typing import Any, ClassVar

import numpy as np

from twostage.errors import InputError, first_line

IDX_STEMS = {
    "train": ("train-images-idx3-ubyte", "train-labels-idx1-ubyte"),
    "test": ("t10k-images-idx3-ubyte", "t10k-labels-idx1-ubyte"),
}
CIFAR_BATCHES = {
    "train": [f"data_batch_{i}" for i in range(1, 6)],
    "test": ["test_batch"],
}
EXTRA = "extra"  # SVHN's further images, which belong to neither split
MNIST_COUNTS = {"train": 60_000, "test": 10_000}  # Fashion-MNIST's, too


@dataclasses.dataclass(frozen=True)
class Format:
    """A file format in which authors published their images.

    Args:
        names: Of the data sets.
        find: `find(path, split)` -> the split's files in a folder, or of a file that is
            one of them; empty where there are none.
        read: `read(paths, split)` -> (images, labels).
    """

    names: tuple[str, ...]
    find: Callable[[Path, str], list[Path]]
    read: Callable[[list[Path], str], tuple[np.ndarray, np.ndarray]]


def is_archive(path: str | os.PathLike[str]) -> bool:
    """Whether a folder, or a file, has authors' files of any split, as of `load`."""
    return any(form.find(Path(path), split) for form in FORMATS for split in IDX_STEMS)


def has_extra(path: str | os.PathLike[str]) -> bool:
    """Whether `load` gives the split `EXTRA`."""
    return any(form.find(Path(path), EXTRA) for form in FORMATS)


def load(
    path: str | os.PathLike[str], split: str, *, name: str | None = None
) -> tuple[np.ndarray, np.ndarray] | None:
    """(images, labels) of a split from the authors' files.

    Args:
        path: A folder with MNIST's four idx files, `.gz` or not;
            `cifar-10-python.tar.gz` or `cifar-10-binary.tar.gz`, or either unpacked;
            SVHN's `train_32x32.mat`, `test_32x32.mat`. Or one of these files.
        split: `"train"` or `"test"`; of SVHN also `EXTRA`.
        name: Of the data set. None: any.

    Returns:
        (images, labels): uint8 (N, height, width, 1 or 3) and integers (N,); None
        where there are none, or only of another set than `name`.

    Raises:
        InputError: a file that is damaged, incomplete, or of another set than its place
            in `name` says.
    """
    for form in FORMATS:
        if name is not None and name not in form.names:
            continue
        paths = form.find(Path(path), split)
        if paths:
            images, labels = _read(form, paths, split, path)
            if name in ("mnist", "fashion_mnist"):
                _check_name(path, split, labels, name)
            return images, labels
    return None


def _read(
    form: Format, paths: list[Path], split: str, where: str | os.PathLike[str]
) -> tuple[np.ndarray, np.ndarray]:
    try:
        return form.read(paths, split)
    except Exception as error:  # gzip, tar, pickle and MATLAB files fail in many ways
        raise InputError(
            f"received {where}, whose {split} files cannot be read"
            f" ({first_line(error)}): fetch them again"
        ) from error


def _check_name(
    where: str | os.PathLike[str], split: str, labels: np.ndarray, name: str
) -> None:
    """Both sets have files of the same names, but only Fashion-MNIST has as many of
    each class.
    """
    counts = np.bincount(labels, minlength=10)
    is_fashion = len(set(counts.tolist())) == 1
    if len(labels) != MNIST_COUNTS[split] or is_fashion != (name == "fashion_mnist"):
        title = "Fashion-MNIST" if is_fashion else "MNIST"
        raise InputError(
            f"{len(labels)} {split} images in {where}, which look like {title}'s",
            f"{MNIST_COUNTS[split]} of {name}",
            "check the folder",
        )


def _find_idx(path: Path, split: str) -> list[Path]:
    if not path.is_dir() and "-ubyte" not in path.name:
        return []
    folder = path if path.is_dir() else path.parent
    found = []
    for stem in IDX_STEMS.get(split, ()):
        candidates = (folder / stem, folder / f"{stem}.gz")
        found += [file for file in candidates if file.is_file()][:1]
    return found


def _read_idx(paths: list[Path], split: str) -> tuple[np.ndarray, np.ndarray]:
    if len(paths) < 2:
        raise ValueError(
            f"{paths[0].name} without the other of {' and '.join(IDX_STEMS[split])}"
        )
    images = _idx_array(paths[0])
    labels = _idx_array(paths[1])
    if images.ndim != 3 or labels.shape != images.shape[:1]:
        raise ValueError(f"images {images.shape} and labels {labels.shape}")
    return images[..., None], labels.astype("int64")


def _idx_array(path: Path) -> np.ndarray:
    """Two zeros, the type (8: uint8), the number of axes; their lengths as big-endian
    32 bits; the values.
    """
    with (gzip.open if path.suffix == ".gz" else open)(path, "rb") as file:
        content = file.read()
    if content[:3] != b"\0\0\x08":
        raise ValueError(f"{path.name} does not begin as an idx file of bytes")
    axes = content[3]
    start = 4 + 4 * axes
    shape = np.frombuffer(content, ">u4", axes, 4).tolist()
    expected = start + math.prod(shape)
    if len(content) != expected:
        raise ValueError(
            f"{path.name} has {len(content):,} bytes, expected {expected:,}"
        )
    return np.frombuffer(content, "uint8", offset=start).reshape(shape)


def _find_mat(path: Path, split: str) -> list[Path]:
    if not path.is_dir() and path.suffix != ".mat":
        return []
    folder = path if path.is_dir() else path.parent
    file = folder / f"{split}_32x32.mat"
    return [file] if file.is_file() else []


def _read_mat(paths: list[Path], split: str) -> tuple[np.ndarray, np.ndarray]:
    from scipy.io import loadmat

    content = loadmat(paths[0], variable_names=["X", "y"])
    images = content["X"]
    labels = content["y"].reshape(-1).astype("int64")
    if images.dtype != np.uint8 or images.shape != (32, 32, 3, len(labels)):
        raise ValueError(
            f"X is {images.dtype} {images.shape}, with {len(labels)} labels"
        )
    # its 10 is the digit 0
    return np.ascontiguousarray(images.transpose(3, 0, 1, 2)), labels % 10


def _find_cifar_files(path: Path, split: str) -> list[Path]:
    for folder in (path, path / "cifar-10-batches-py", path / "cifar-10-batches-bin"):
        candidates = [
            folder / f"{name}{suffix}"
            for name in CIFAR_BATCHES.get(split, ())
            for suffix in ("", ".bin")
        ]
        found = [file for file in candidates if file.is_file()]
        if found:
            return found
    return []


def _read_cifar_files(paths: list[Path], split: str) -> tuple[np.ndarray, np.ndarray]:
    return _cifar({path.name: path.read_bytes() for path in paths}, split)


def _find_cifar_archive(path: Path, split: str) -> list[Path]:
    if split not in CIFAR_BATCHES:
        return []
    if path.is_file() and path.name.startswith("cifar-10") and ".tar" in path.name:
        return [path]
    candidates = [path / f"cifar-10-{kind}.tar.gz" for kind in ("python", "binary")]
    return [file for file in candidates if file.is_file()][:1]


def _read_cifar_archive(paths: list[Path], split: str) -> tuple[np.ndarray, np.ndarray]:
    files = {}
    with tarfile.open(paths[0]) as archive:
        for entry in archive:
            name = PurePosixPath(entry.name).name
            if name.removesuffix(".bin") not in CIFAR_BATCHES[split]:
                continue
            file = archive.extractfile(entry) if entry.isfile() else None
            if file is not None:
                files[name] = file.read()
    return _cifar(files, split)


def _cifar(files: Mapping[str, bytes], split: str) -> tuple[np.ndarray, np.ndarray]:
    """Of {name: bytes}: each image is its red, then its green, then its blue rows."""
    missing = [
        name
        for name in CIFAR_BATCHES[split]
        if name not in files and f"{name}.bin" not in files
    ]
    if missing:
        raise ValueError(f"{', '.join(missing)} missing")
    batches = [_cifar_batch(name, files[name]) for name in sorted(files)]
    rows = np.concatenate([images for images, _ in batches])
    labels = np.concatenate([labels for _, labels in batches])
    images = rows.reshape(-1, 3, 32, 32).transpose(0, 2, 3, 1)
    return np.ascontiguousarray(images), labels


def _cifar_batch(name: str, content: bytes) -> tuple[np.ndarray, np.ndarray]:
    """(rows, labels): uint8 (N, 3072) and integers (N,)."""
    if name.endswith(".bin"):  # a byte for the label, then the image
        rows = np.frombuffer(content, "uint8").reshape(-1, 3073)
        return rows[:, 1:], rows[:, 0].astype("int64")
    batch = _ArraysOnly(io.BytesIO(content), encoding="bytes").load()
    images = np.asarray(batch[b"data"])
    labels = np.asarray(batch[b"labels"], "int64")
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

    def find_class(self, module: str, name: str) -> Any:
        module = module.replace("numpy.core", "numpy._core")  # its name since NumPy 2
        if (module, name) not in self.ALLOWED:
            raise pickle.UnpicklingError(
                f"a pickle that needs {module}.{name}, which CIFAR-10 does not"
            )
        return super().find_class(module, name)


FORMATS = (
    Format(("mnist", "fashion_mnist"), _find_idx, _read_idx),
    Format(("svhn",), _find_mat, _read_mat),
    Format(("cifar10",), _find_cifar_files, _read_cifar_files),
    Format(("cifar10",), _find_cifar_archive, _read_cifar_archive),
)
