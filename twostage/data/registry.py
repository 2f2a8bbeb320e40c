"""Data sets by name: scikit-learn's digits, the authors' files in a folder, and what
TensorFlow Datasets has or can fetch.
"""

import contextlib
import dataclasses
import logging
import urllib.error
import urllib.request
from pathlib import Path

import numpy as np

from twostage.data import archives, celeba
from twostage.data.image_files import Folder, Zip
from twostage.data.numpy_files import split_rows
from twostage.data.splits import Source, limited
from twostage.errors import InputError


@dataclasses.dataclass(frozen=True)
class Named:
    """What TensorFlow Datasets calls it, the authors' files, and where they are to be
    had.
    """

    tfds: str
    files: str
    page: str


IDX_FILES = (
    "train-images-idx3-ubyte.gz, train-labels-idx1-ubyte.gz, t10k-images-idx3-ubyte.gz"
    " and t10k-labels-idx1-ubyte.gz"
)
FETCHED = {
    "mnist": Named("mnist", IDX_FILES, "https://yann.lecun.com/exdb/mnist/"),
    "fashion_mnist": Named(
        "fashion_mnist", IDX_FILES, "https://github.com/zalandoresearch/fashion-mnist"
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


def load(name, split, data_dir=None):
    """(images, labels) of any name but `celeba`, whose pictures are files:
    `celeba_files`.
    """
    if name == "digits":
        return _digits(split)
    for place in _places(name, data_dir):
        found = archives.load(place, split, name)
        if found is not None:
            return found
    try:
        parts = list(
            _builder(name, data_dir)
            .as_dataset(split=split, batch_size=1_000)
            .as_numpy_iterator()
        )
        return np.concatenate([part["image"] for part in parts]), np.concatenate(
            [part["label"] for part in parts]
        )
    except InputError:
        raise
    # no disk, no TensorFlow, half a copy: whatever TFDS meets, the user's way out is a
    # file
    except Exception as error:
        raise _by_hand(name, data_dir, error) from error


def celeba_files(data_dir=None):
    """CelebA's `Folder` or `Zip` in `data_dir`, or None."""
    for place in _places("celeba", data_dir):
        for path in (place / celeba.FOLDER, place / f"{celeba.FOLDER}.zip"):
            if path.exists():
                return Folder(path) if path.is_dir() else Zip(path)
    return None


def celeba_prepared(split, limit=0, data_dir=None):
    """The `Source` of a split of the CelebA that TensorFlow Datasets has or fetches:
    its JPEG files one after the other, not decoded there.
    """
    try:
        import tensorflow_datasets as tfds

        builder = _builder("celeba", data_dir)
        count = builder.info.splits[split].num_examples
    except InputError:
        raise
    except Exception as error:
        raise _by_hand("celeba", data_dir, error) from error
    rows = limited(count, limit) if limit and limit < count else np.arange(count)

    def items(first):
        coded = builder.as_dataset(
            split=split,
            decoders={"image": tfds.decode.SkipDecoding()},
            shuffle_files=False,
        )
        wanted = set(rows[first:].tolist())
        return (
            example["image"]
            for row, example in enumerate(tfds.as_numpy(coded))
            if row in wanted
        )

    names = [f"{split} {row}" for row in rows]
    stamp = f"{builder.info.full_name} {count} {limit}"
    return Source(
        f"celeba-{split}",
        f"the {split} split of {builder.info.full_name}",
        names,
        items,
        bytes,
        "by TensorFlow Datasets",
        stamp,
    )


def _digits(split):
    """1,797 handwritten digits of 8x8 with 17 grey levels, stretched to 0..255; a fixed
    random tenth is the test split.
    """
    from sklearn.datasets import load_digits

    digits = load_digits()
    rows = split_rows(len(digits.images), split)
    images = np.rint(digits.images[rows] * (255 / 16)).astype("uint8")[..., None]
    return images, digits.target[rows]


def _places(name, data_dir):
    root = data_dir and Path(data_dir).expanduser()
    return [place for place in (root, root / name) if place.is_dir()] if root else []


def _builder(name, data_dir):
    """Of the prepared copy, which is made where there is none."""
    import tensorflow_datasets as tfds

    logging.getLogger("absl").setLevel(
        logging.ERROR
    )  # it warns of folders that it has not made yet
    builder = tfds.builder(
        FETCHED[name].tfds, data_dir=Path(data_dir).expanduser() if data_dir else None
    )
    if not builder.is_prepared():
        _reach(FETCHED[name].page)
        builder.download_and_prepare()
    return builder


def _reach(page):
    """Asks once whether there is a network: TensorFlow Datasets asks for three minutes."""
    with contextlib.suppress(urllib.error.HTTPError):  # which is an answer, too
        urllib.request.urlopen(page, timeout=10).close()


def _by_hand(name, data_dir, error):
    reason = (str(error).strip().splitlines() or [type(error).__name__])[0][:120]
    found = FETCHED[name]
    return InputError(
        f"could not get {name} through TensorFlow Datasets ({reason}): fetch"
        f" {found.files} from {found.page} into a folder and type --data {name}"
        f" --data-dir {data_dir or 'THAT_FOLDER'}"
    )
