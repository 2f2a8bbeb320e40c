"""Data sets by name: scikit-learn's digits, and what TensorFlow Datasets can fetch."""

import numpy as np

from twostage.data.files import split_rows
from twostage.errors import InputError

NAMES = ("digits", "mnist", "fashion_mnist", "cifar10")


def load(name, split):
    return _digits(split) if name == "digits" else _fetch(name, split)


def _digits(split):
    """1,797 handwritten digits of 8x8 with 17 grey levels, stretched to 0..255; a fixed random tenth is the test split."""
    from sklearn.datasets import load_digits

    digits = load_digits()
    rows = split_rows(len(digits.images), split)
    images = np.rint(digits.images[rows] * (255 / 16)).astype("uint8")[..., None]
    return images, digits.target[rows]


def _fetch(name, split):
    try:
        import tensorflow_datasets as tfds

        examples = list(tfds.as_numpy(tfds.load(name, split=split)))
    except Exception as error:  # no network, no disk, no TensorFlow: whatever TFDS meets, the user's way out is a file
        reason = (str(error).strip().splitlines() or [type(error).__name__])[0][:120]
        raise InputError(
            f"could not get {name} from TensorFlow Datasets ({reason}): give a file that you have with --data {name}.npz (x_train, x_test)"
        ) from error
    return np.stack([example["image"] for example in examples]), np.array([example["label"] for example in examples])
