"""Images in NumPy files."""

import contextlib
import math
import os
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import IO

import numpy as np

from twostage.data.array_names import Header, listed, roles
from twostage.errors import InputError, reading
from twostage.system.files import NPZ_DAMAGE

HELD_OUT = 10  # one of so many images is for testing where no array is
UNLABELED = "unlabeled"  # the split of images that lie outside the splits
PLAIN = {"x_train", "y_train", "x_test", "y_test"}
SINGLE = "images"  # what the array of a `.npy` file is called


class NumpyFile:
    """The images of a `.npy` file, one array, or of an `.npz` file, arrays by name.

    Only headers are read until `load`, then only the arrays that are asked for, and
    never a pickle. Where no array is for testing, a fixed random tenth of the training
    images is.

    Args:
        path: The file.
        key: Of an `.npz` file: the name of its array of images, or several names, see
            `array_names.KEY_SPLITS`. "": by their names, such as x_train and x_test,
            train_images, imgs.

    Attributes:
        headers: {name: `Header`} of the arrays.
        roles: Which of them are used.

    Raises:
        InputError: the file cannot be read; it is not clear which arrays are images; or
            there are too few for a test split.
    """

    def __init__(self, path: str | os.PathLike[str], key: str = ""):
        self.path = Path(path)
        self.key = key
        with _readable(self.path):
            self.headers = _headers(self.path)
        if key and not _is_zip(self.path):
            raise InputError(
                f"`key={key!r}` for {self.path}, which is a single array",
                "an .npz file with arrays by name",
                "drop `key`",
            )
        self.roles = roles(self.headers, key, self.path)

    def splits(self) -> tuple[str, ...]:
        """The names of the splits, in order."""
        inner = ("validation",) if "validation" in self.roles.images else ()
        return ("train", *inner, "test")

    def load(self, split: str) -> tuple[np.ndarray, np.ndarray | None]:
        """(images, labels) of a split, or of `UNLABELED`.

        Returns:
            (images, labels): numbers of any type (N, height, width, 1 or 3), and
            integers (N,) or None.

        Raises:
            InputError: they are no images, or there are not as many labels.
        """
        own = {**self.roles.images, UNLABELED: self.roles.unlabeled}
        source = split if split in own else "train"
        images = self._images(own[source])
        labels = self._labels(source, own[source], len(images))
        if "test" in own or source != "train":
            return images, labels
        rows = split_rows(len(images), split)
        if not len(rows):
            raise InputError(
                f"{_images_in_words(len(images))} in {self.path}, too few to keep a"
                " tenth for testing",
                f"at least {HELD_OUT}",
                "add some, or save x_train and x_test",
            )
        return images[rows], None if labels is None else labels[rows]

    @property
    def is_plain(self) -> bool:
        """Whether there is nothing but what the names of Keras's own sets say."""
        return {"x_train", "x_test"} <= set(self.headers) <= PLAIN

    def summary(self, use_unlabeled: bool = False) -> str:
        """Which array is which split, and what is not used, in one line."""
        images = dict(self.roles.images)
        texts = []
        if "test" not in images:
            texts.append(self._counted(images.pop("train")))
            texts.append("a fixed random tenth of them the test split")
        texts += [f"{split} {self._counted(name)}" for split, name in images.items()]
        others = self.roles.others(self.headers)
        aside = [listed({name: self.headers[name] for name in others})]
        extra = self.roles.unlabeled
        if extra and use_unlabeled:
            texts.append(f"{self._counted(extra)} added to train")
        elif extra:
            aside.insert(0, f"{self._counted(extra)} (`use_unlabeled` adds them)")
        left = ", ".join(filter(None, aside))
        return f"{self.path}: {', '.join(texts)}{'; not used: ' * bool(left)}{left}"

    def _counted(self, name: str) -> str:
        """Such as "5,000 images of x_train"."""
        of = f" of {name}" if _is_zip(self.path) else ""
        return f"{_images_in_words(math.prod(self.headers[name].shape[:1]))}{of}"

    def _images(self, name: str) -> np.ndarray:
        header = self.headers[name]
        where = f"{self.path} ({name})" if len(self.headers) > 1 else str(self.path)
        _check(header, where)
        images = self._read(name)
        # (N, height, width) -> one channel
        return images[..., None] if images.ndim == 3 else images

    def _labels(self, split: str, images: str, count: int) -> np.ndarray | None:
        """Class numbers (N,) of labels of any kind, the same in all splits; None where
        there are none.
        """
        name = self.roles.labels.get(split)
        if name is None:
            return None
        labels = self._read(name).reshape(-1)
        if labels.size != count:
            if self.key:  # they are of other images
                return None
            raise InputError(
                f"{self.path} with {count} images in {images} and {labels.size} labels"
                f" in {name}",
                "as many of both",
            )
        everything = [
            self._read(each).reshape(-1) for each in self.roles.labels.values()
        ]
        if all(map(_are_class_numbers, everything)):
            return labels
        return np.searchsorted(np.unique(np.concatenate(everything)), labels)

    def _read(self, name: str) -> np.ndarray:
        with _readable(self.path):
            mode = "r" if self.path.suffix.lower() == ".npy" else None
            content = np.load(self.path, mmap_mode=mode, allow_pickle=False)
            if not isinstance(content, np.lib.npyio.NpzFile):
                return content
            with content:
                return content[name]


def _are_class_numbers(labels: np.ndarray) -> bool:
    """Whether labels are whole numbers from 0 on."""
    kind = labels.dtype.kind
    return kind == "u" or (kind == "i" and not (labels < 0).any())


def split_rows(count: int, split: str) -> np.ndarray:
    """Row numbers of a split: a fixed random tenth is the test set, since files are
    often sorted by class.
    """
    order = np.random.default_rng(0).permutation(count)
    held_out = count // HELD_OUT
    return np.sort(order[:held_out] if split == "test" else order[held_out:])


def _images_in_words(count: int) -> str:
    return f"{count:,} image{'s' if count != 1 else ''}"


@contextlib.contextmanager
def _readable(path: Path) -> Iterator[None]:
    try:
        with reading():
            yield
    except InputError:
        raise
    except (OSError, *NPZ_DAMAGE) as error:
        raise InputError(
            f"received {path}, which NumPy cannot read ({error}): save it again with"
            " numpy.save or numpy.savez"
        ) from error


def _is_zip(path: Path) -> bool:
    with open(path, "rb") as file:
        return file.read(2) == b"PK"


def _headers(path: Path) -> dict[str, Header]:
    """{name: header} of the arrays of a file, whatever its suffix."""
    if not _is_zip(path):
        with open(path, "rb") as file:
            return {SINGLE: _header(file)}
    found = {}
    with zipfile.ZipFile(path) as archive:
        for entry in archive.namelist():
            if entry.endswith(".npy"):
                with archive.open(entry) as file:
                    found[entry.removesuffix(".npy")] = _header(file)
    return found


def _header(file: IO[bytes]) -> Header:
    version = np.lib.format.read_magic(file)
    read = (
        np.lib.format.read_array_header_1_0
        if version == (1, 0)
        else np.lib.format.read_array_header_2_0
    )
    shape, _, dtype = read(file)
    return Header(shape, dtype.kind, str(dtype))


def _check(header: Header, where: str) -> None:
    """Raises `InputError` unless an array is (N, height, width[, 1 or 3]) of
    numbers.
    """
    shape = header.shape
    if header.kind == "O":
        raise InputError(
            f"an array of Python objects of shape {shape} in {where}",
            "one array of images (N, height, width, channels)",
            "make them of one size, then save numpy.stack(list(x))",
        )
    if not header.is_numeric:
        raise InputError(
            f"an array of {header.dtype} in {where}",
            "images (N, height, width, channels) of uint8",
        )
    is_one = len(shape) == 3 and shape[2] in (1, 3, 4)
    if len(shape) not in (3, 4) or is_one or 0 in shape:
        raise InputError(
            f"an array of shape {shape} in {where}",
            "images (N, height, width, channels)",
            _shape_fix(shape),
        )
    if len(shape) == 4 and shape[3] not in (1, 3):
        raise InputError(
            f"an array of shape {shape} in {where}",
            "(N, height, width, channels) with 1 or 3 channels",
            _channel_fix(shape),
        )


def _shape_fix(shape: tuple[int, ...]) -> str | None:
    if 0 in shape:
        return "there is no image in it"
    if len(shape) == 3:
        return "this is a single one"
    side = math.isqrt(shape[-1])
    if len(shape) == 2 and side**2 == shape[-1]:
        return f"where rows are images, save x.reshape(-1, {side}, {side})"
    return None


def _channel_fix(shape: tuple[int, ...]) -> str:
    if shape[1] in (1, 3):
        return "move the channels to the end with x.transpose(0, 2, 3, 1)"
    if shape[3] < 3:
        return "keep one with x[..., :1]"
    return "drop the others with x[..., :3]"
