"""The image files of one split of a data set."""

import dataclasses
import functools
import hashlib
import os
from collections.abc import Callable, Iterator, Sequence
from pathlib import PurePosixPath
from typing import Any

import numpy as np

from twostage.data import celeba, image_files
from twostage.data.image_files import Folder, Zip
from twostage.errors import InputError

SPLIT_FOLDERS = {
    "train": ("train",),
    "validation": ("validation", "valid", "val"),
    "test": ("test",),
}
MAX_TEST_BYTE = 26  # of 256, exclusive: about a tenth
HASH_RULE = (
    "by a hash of the names: test where the first byte of SHA-256 is below"
    f" {MAX_TEST_BYTE} of 256"
)


@dataclasses.dataclass(frozen=True)
class Source:
    """The image files of one split.

    Args:
        name: Short, for the cache's name, with the split's.
        where: For messages.
        names: Of the images, in order.
        items: `items(first)` -> an iterator from row `first` on, in order: paths, or
            what the files contain.
        read: `read(item)` -> bytes of a file, in any process.
        rule: How the split was made.
        stamp: Changes when a file does.
        labels: Class numbers (N,), or None.
        others: What else lies there, in words.
    """

    name: str
    where: str
    names: Sequence[str]
    items: Callable[[int], Iterator[Any]]
    read: Callable[[Any], bytes]
    rule: str
    stamp: str
    labels: np.ndarray | None = None
    others: str = ""


def split_of(
    files: Folder | Zip, split: str, *, official: bool = False, limit: int = 0
) -> Source:
    """The image files of a split.

    CelebA's partition where `official`; else the folders `train`, `test` and
    `validation` in it; else by a hash of the names.

    Args:
        files: Where the image files lie.
        split: `"train"`, `"validation"` or `"test"`.
        official: Whether it must be all of CelebA.
        limit: At most so many, a fixed random choice. 0: all.

    Raises:
        InputError: there is no such split, or nothing in it, or not all of CelebA.
    """
    folders = splits(files, official=official)
    if split not in folders:
        raise InputError(
            f"received {files.path}, which has no {split} split: make folders train,"
            " validation and test"
        )
    names, rule = _chosen(files, split, official=official)
    if not names:
        raise InputError(
            f"the {split} split of {files.path} is empty, it holds too few images: add"
            " some, or make folders train and test"
        )
    if limit and limit < len(names):
        names = [names[row] for row in limited(len(names), limit)]
    return Source(
        f"{files.name}-{split}",
        f"the {split} split of {files.path}",
        names,
        functools.partial(files.items, names),
        files.read,
        rule,
        image_files.stamp(files.files, names),
        None if official else _labels(files, names, folders),
        files.others,
    )


def splits(files: Folder | Zip, *, official: bool = False) -> dict[str, str]:
    """{split: its folder's name, "" without one} of the splits that there are."""
    if official:
        return dict.fromkeys(celeba.COUNTS, "")
    tops = {name.split("/")[0] for name in files.files if "/" in name}
    own = {}
    for split, folders in SPLIT_FOLDERS.items():
        for folder in folders:
            if folder in tops:
                own[split] = folder
    alone = all(name.startswith("train/") for name in files.files)
    if "train" in own and (len(own) > 1 or alone):
        return own
    return {"train": "", "test": ""}


def limited(count: int, limit: int) -> np.ndarray:
    """Row numbers (limit,), a fixed random choice in order."""
    return np.sort(np.random.default_rng(0).choice(count, limit, replace=False))


def _chosen(
    files: Folder | Zip, split: str, *, official: bool
) -> tuple[list[str], str]:
    """(names, rule) of a split."""
    if official:
        listing = files.text(celeba.LISTING)
        names = list(files.files)
        return celeba.partition(names, listing, split=split, where=files.path)
    folders = splits(files)
    own = folders[split]
    if own:
        names = [name for name in files.files if name.startswith(f"{own}/")]
        return names, f"by its folders {', '.join(folders.values())}"
    is_test = split == "test"
    names = [name for name in files.files if _held_out(name) == is_test]
    return names, HASH_RULE


def _held_out(name: str) -> bool:
    """By a hash of the name, so that the split depends neither on the file system nor
    on the other files.
    """
    return hashlib.sha256(os.fsencode(name)).digest()[0] < MAX_TEST_BYTE


def _labels(
    files: Folder | Zip, names: Sequence[str], folders: dict[str, str]
) -> np.ndarray | None:
    """Class numbers of images, in the order of the class folders' names, the same in
    all splits; None unless every image of the splits lies in one such folder.
    """
    tops = set(folders.values()) - {""}
    depth = 1 if tops else 0
    classes = {}
    for name in files.files:
        if not tops or name.split("/")[0] in tops:
            classes[name] = PurePosixPath(name).parts[depth:-1]
    distinct = sorted(set(classes.values()))
    if len(distinct) < 2 or any(len(folder) != 1 for folder in distinct):
        return None
    numbers = {folder: number for number, folder in enumerate(distinct)}
    return np.array([numbers[classes[name]] for name in names])
