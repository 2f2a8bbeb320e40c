"""Data sets by name: scikit-learn's digits, the authors' files in a folder, and what
TensorFlow Datasets has or can fetch.
"""

import contextlib
import dataclasses
import functools
import logging
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from twostage.data import archives, celeba
from twostage.data.image_files import Folder, Zip
from twostage.data.numpy_files import split_rows
from twostage.data.splits import Source, limited
from twostage.errors import InputError, first_line


@dataclasses.dataclass(frozen=True)
class Named:
    """A data set that can be fetched.

    Args:
        tfds: What TensorFlow Datasets calls it.
        files: The authors' files.
        page: Where they can be downloaded.
    """

    tfds: str
    files: str
    page: str


MNIST_FILES = (
    "train-images-idx3-ubyte.gz, train-labels-idx1-ubyte.gz, t10k-images-idx3-ubyte.gz"
    " and t10k-labels-idx1-ubyte.gz"
)
FETCHED = {
    "mnist": Named("mnist", MNIST_FILES, "https://yann.lecun.com/exdb/mnist/"),
    "fashion_mnist": Named(
        "fashion_mnist",
        MNIST_FILES,
        "https://github.com/zalandoresearch/fashion-mnist",
    ),
    "cifar10": Named(
        "cifar10",
        "cifar-10-python.tar.gz",
        "https://www.cs.toronto.edu/~kriz/cifar.html",
    ),
    "svhn": Named(
        "svhn_cropped",
        "train_32x32.mat and test_32x32.mat",
        "http://ufldl.stanford.edu/housenumbers/",
    ),
    "celeba": Named(
        "celeb_a",
        f"{celeba.FOLDER}.zip and {celeba.LISTING}.txt",
        "https://mmlab.ie.cuhk.edu.hk/projects/CelebA.html",
    ),
}
NAMES = ("digits", *FETCHED)


def load(
    name: str, split: str, *, data_dir: str | None = None
) -> tuple[np.ndarray, np.ndarray]:
    """(images, labels) of any name but `celeba`, whose images are files:
    `celeba_files`.

    Args:
        name: One of `NAMES`.
        split: `"train"` or `"test"`.
        data_dir: Folder of the authors' files, or of TensorFlow Datasets.

    Raises:
        InputError: there are none, and they cannot be fetched.
    """
    if name == "digits":
        return _digits(split)
    for folder in _folders(name, data_dir):
        found = archives.load(folder, split, name=name)
        if found is not None:
            return found
    try:
        return _load_prepared(name, split, data_dir)
    except InputError:
        raise
    # no disk, no TensorFlow, half a copy: whatever TFDS meets, the user's way out is a
    # file
    except Exception as error:
        raise _by_hand(name, data_dir, error) from error


def celeba_files(data_dir: str | None = None) -> Folder | Zip | None:
    """CelebA's image files in `data_dir`, or None."""
    for folder in _folders("celeba", data_dir):
        for path in (folder / celeba.FOLDER, folder / f"{celeba.FOLDER}.zip"):
            if path.exists():
                return Folder(path) if path.is_dir() else Zip(path)
    return None


def celeba_prepared(
    split: str, limit: int = 0, *, data_dir: str | None = None
) -> Source:
    """A split of the CelebA that TensorFlow Datasets has or fetches: its JPEG files one
    after the other, not decoded there.

    Args:
        split: `"train"`, `"validation"` or `"test"`.
        limit: At most so many images, a fixed random choice. 0: all.
        data_dir: Folder of TensorFlow Datasets.

    Raises:
        InputError: it cannot be fetched.
    """
    try:
        builder = _builder("celeba", data_dir)
        count = builder.info.splits[split].num_examples
    except InputError:
        raise
    except Exception as error:
        raise _by_hand("celeba", data_dir, error) from error
    rows = limited(count, limit) if limit and limit < count else np.arange(count)
    return Source(
        name=f"celeba-{split}",
        where=f"the {split} split of {builder.info.full_name}",
        names=[f"{split} {row}" for row in rows],
        items=functools.partial(_encoded, builder, split, rows),
        read=bytes,
        rule="by TensorFlow Datasets",
        stamp=f"{builder.info.full_name} {count} {limit}",
    )


def _encoded(builder: Any, split: str, rows: np.ndarray, first: int) -> Iterator[bytes]:
    """The JPEG files of some rows of a split, from the `first` of them on."""
    import tensorflow_datasets as tfds

    examples = builder.as_dataset(
        split=split,
        decoders={"image": tfds.decode.SkipDecoding()},
        shuffle_files=False,
    )
    wanted = set(rows[first:].tolist())
    for row, example in enumerate(tfds.as_numpy(examples)):
        if row in wanted:
            yield example["image"]


def _digits(split: str) -> tuple[np.ndarray, np.ndarray]:
    """1,797 handwritten digits of 8x8 with 17 gray levels, stretched to 0..255; a fixed
    random tenth is the test split.
    """
    from sklearn.datasets import load_digits

    digits: Any = load_digits()
    rows = split_rows(len(digits.images), split)
    levels = np.rint(digits.images[rows] * (255 / 16))
    return levels.astype("uint8")[..., None], digits.target[rows]


def _folders(name: str, data_dir: str | None) -> list[Path]:
    if not data_dir:
        return []
    root = Path(data_dir).expanduser()
    return [folder for folder in (root, root / name) if folder.is_dir()]


def _load_prepared(
    name: str, split: str, data_dir: str | None
) -> tuple[np.ndarray, np.ndarray]:
    dataset = _builder(name, data_dir).as_dataset(split=split, batch_size=1_000)
    batches = list(dataset.as_numpy_iterator())
    images = np.concatenate([batch["image"] for batch in batches])
    labels = np.concatenate([batch["label"] for batch in batches])
    return images, labels


def _builder(name: str, data_dir: str | None) -> Any:
    """TensorFlow Datasets' builder of a prepared copy, which is made where there is
    none.
    """
    import tensorflow_datasets as tfds

    # it warns of folders that it has not made yet
    logging.getLogger("absl").setLevel(logging.ERROR)
    folder = Path(data_dir).expanduser() if data_dir else None
    builder = tfds.builder(FETCHED[name].tfds, data_dir=folder)
    if not builder.is_prepared():
        _reach(FETCHED[name].page)
        builder.download_and_prepare()
    return builder


def _reach(page: str) -> None:
    """Asks once whether there is a network, as TensorFlow Datasets asks for three
    minutes.
    """
    with contextlib.suppress(urllib.error.HTTPError):  # which is an answer, too
        urllib.request.urlopen(page, timeout=10).close()


def _by_hand(name: str, data_dir: str | None, error: Exception) -> InputError:
    named = FETCHED[name]
    folder = str(data_dir or "THAT_FOLDER")
    return InputError(
        f"could not get {name} through TensorFlow Datasets ({first_line(error)}): fetch"
        f" {named.files} from {named.page} into a folder and pass"
        f" `data={name!r}, data_dir={folder!r}`"
    )
