"""The picture files of one split of a data set."""

import dataclasses
import functools
import hashlib
from collections.abc import Callable, Sequence
from pathlib import PurePosixPath

import numpy as np

from twostage.data import celeba, folders
from twostage.errors import InputError

OWN = {"train": ("train",), "validation": ("validation", "valid", "val"), "test": ("test",)}  # folders that are splits
TEST_BYTES = 26  # of 256: about a tenth


@dataclasses.dataclass(frozen=True)
class Source:
    """Args:
        name: Short, for the cache's name, with the split's.
        where: For messages.
        names: Of the pictures, in order.
        items: `items(first)` -> an iterator from row `first` on, in order: names, or what the files contain.
        read: `read(item)` -> bytes of a file, in any process.
        rule: How the split was made.
        stamp: Changes when a file does.
        labels: Class numbers (N,), or None.
        others: What else lies there, in words.
    """

    name: str
    where: str
    names: Sequence[str]
    items: Callable
    read: Callable
    rule: str
    stamp: str
    labels: np.ndarray | None = None
    others: str = ""


def split_of(files, split, official=False, limit=0):
    """The `Source` of a split of a `Folder` or `Zip`.

    CelebA's partition where `official`; else the folders `train`, `test` and `validation` in it; else by a hash of the names.

    Args:
        files: The `Folder` or `Zip`.
        split: `"train"`, `"validation"` or `"test"`.
        official: Whether it must be all of CelebA.
        limit: At most so many, a fixed random choice. 0: all.

    Raises:
        InputError: there is no such split, or nothing in it, or not all of CelebA.
    """
    found = splits(files, official)
    if split not in found:
        raise InputError(f"received {files.path}, which has no {split} split: make folders train, validation and test")
    own = found[split]
    if official:
        names, rule = celeba.partition(list(files.files), files.text(celeba.LISTING), split, files.path)
    elif own:
        names, rule = [name for name in files.files if name.startswith(f"{own}/")], f"by its folders {', '.join(found.values())}"
    else:
        names = [name for name in files.files if _held_out(name) == (split == "test")]
        rule = f"by a hash of the names: test where the first byte of SHA-256 is below {TEST_BYTES} of 256"
    if not names:
        raise InputError(f"the {split} split of {files.path} is empty, it holds too few images: add some, or make folders train and test")
    if limit and limit < len(names):
        names = [names[row] for row in limited(len(names), limit)]
    labels = None if official else _labels([PurePosixPath(name).parts[bool(own) : -1] for name in names])
    return Source(f"{files.name}-{split}", f"the {split} split of {files.path}", names, functools.partial(files.items, names), files.read, rule, folders.stamp(files.files, names), labels, files.others)


def splits(files, official=False):
    """{split: its folder's name, "" without one} of the splits that a `Folder` or `Zip` has."""
    if official:
        return dict.fromkeys(celeba.COUNTS, "")
    tops = {name.split("/")[0] for name in files.files if "/" in name}
    own = {split: folder for split, folders in OWN.items() for folder in folders if folder in tops}
    alone = all(name.startswith("train/") for name in files.files)
    return own if "train" in own and (len(own) > 1 or alone) else {"train": "", "test": ""}


def limited(count, limit):
    """Row numbers, a fixed random choice in order."""
    return np.sort(np.random.default_rng(0).choice(count, limit, replace=False))


def _held_out(name):
    """By a hash of the name, so that the split depends neither on the file system nor on the other files."""
    return hashlib.sha256(name.encode()).digest()[0] < TEST_BYTES


def _labels(classes):
    """Class numbers, in the order of the folders' names, where every picture lies in a folder just below the root; else None."""
    numbers = {name: number for number, name in enumerate(sorted(set(classes)))}
    return np.array([numbers[name] for name in classes]) if len(numbers) > 1 and all(len(name) == 1 for name in numbers) else None
