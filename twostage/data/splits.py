"""The picture files of one split of a data set."""

import dataclasses
import functools
import hashlib
import os
from collections.abc import Callable, Sequence
from pathlib import PurePosixPath

import numpy as np

from twostage.data import celeba, image_files
from twostage.errors import InputError

OWN = {
    "train": ("train",),
    "validation": ("validation", "valid", "val"),
    "test": ("test",),
}  # folders that are splits
TEST_BYTES = 26  # of 256: about a tenth


@dataclasses.dataclass(frozen=True)
class Source:
    """Args: name: Short, for the cache's name, with the split's. where: For messages.
    names: Of the pictures, in order. items: `items(first)` -> an iterator from row
    `first` on, in order: names, or what the files contain. read: `read(item)` -> bytes
    of a file, in any process. rule: How the split was made. stamp: Changes when a file
    does. labels: Class numbers (N,), or None. others: What else lies there, in words.
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

    CelebA's partition where `official`; else the folders `train`, `test` and
    `validation` in it; else by a hash of the names.

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
        raise InputError(
            f"received {files.path}, which has no {split} split: make folders train,"
            " validation and test"
        )
    own = found[split]
    if official:
        names, rule = celeba.partition(
            list(files.files), files.text(celeba.LISTING), split, files.path
        )
    elif own:
        names, rule = (
            [name for name in files.files if name.startswith(f"{own}/")],
            f"by its folders {', '.join(found.values())}",
        )
    else:
        names = [name for name in files.files if _held_out(name) == (split == "test")]
        rule = (
            "by a hash of the names: test where the first byte of SHA-256 is below"
            f" {TEST_BYTES} of 256"
        )
    if not names:
        raise InputError(
            f"the {split} split of {files.path} is empty, it holds too few images: add"
            " some, or make folders train and test"
        )
    if limit and limit < len(names):
        names = [names[row] for row in limited(len(names), limit)]
    within = [
        name for name in files.files if not own or name.split("/")[0] in found.values()
    ]
    labels = None if official else _labels(names, within, bool(own))
    return Source(
        f"{files.name}-{split}",
        f"the {split} split of {files.path}",
        names,
        functools.partial(files.items, names),
        files.read,
        rule,
        image_files.stamp(files.files, names),
        labels,
        files.others,
    )


def splits(files, official=False):
    """{split: its folder's name, "" without one} of the splits that a `Folder` or `Zip`
    has.
    """
    if official:
        return dict.fromkeys(celeba.COUNTS, "")
    tops = {name.split("/")[0] for name in files.files if "/" in name}
    own = {
        split: folder
        for split, folders in OWN.items()
        for folder in folders
        if folder in tops
    }
    alone = all(name.startswith("train/") for name in files.files)
    return (
        own if "train" in own and (len(own) > 1 or alone) else {"train": "", "test": ""}
    )


def limited(count, limit):
    """Row numbers, a fixed random choice in order."""
    return np.sort(np.random.default_rng(0).choice(count, limit, replace=False))


def _held_out(name):
    """By a hash of the name, so that the split depends neither on the file system nor
    on the other files.
    """
    return hashlib.sha256(os.fsencode(name)).digest()[0] < TEST_BYTES


def _labels(names, within, depth):
    """Class numbers of pictures, in the order of the folders' names at that depth, the
    same in all splits; None unless every picture `within` the splits lies in one such
    folder.
    """
    classes = {name: PurePosixPath(name).parts[depth:-1] for name in within}
    numbers = {
        folder: number for number, folder in enumerate(sorted(set(classes.values())))
    }
    return (
        np.array([numbers[classes[name]] for name in names])
        if len(numbers) > 1 and all(len(folder) == 1 for folder in numbers)
        else None
    )
