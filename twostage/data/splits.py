"""The image files of one split of a data set."""

import dataclasses
import functools
import hashlib
import logging
import os
import re
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import PurePosixPath
from typing import IO, Any

import numpy as np

from twostage.data import celeba, image_files
from twostage.data.image_files import Folder, Zip
from twostage.data.split_word import split_word
from twostage.errors import InputError

logger = logging.getLogger(__name__)

# "trainA", "a_train", "test-2"; not "contest", "testimonials" or "valley"
LOOKALIKE = re.compile(
    r"(?i:(^|[^a-z])(train|training|test|testing|val|valid|validation))([^a-z]|$)"
)
MAX_HELD_OUT = 2_000  # images: their mean loss is known to a few hundredths of a nat
FEWEST = 4  # images of which some are held out
MAX_PLACES = 5  # that are named
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
        open: `open(name)` -> a file, of which a header is read. None: all are CelebA's,
            of one size.
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
    open: Callable[[str], IO[bytes]] | None = None


def split_of(
    files: Folder | Zip,
    split: str,
    *,
    official: bool = False,
    limit: int = 0,
    held_out: float = 0.0,
    use_unlabeled: bool = False,
) -> Source:
    """The image files of a split.

    CelebA's partition where `official`; else the folders `train`, `test` and
    `validation` in it; else by a hash of the names. Where there is no validation split,
    `held_out` takes one from the training images.

    Args:
        files: Where the image files lie.
        split: `"train"`, `"validation"` or `"test"`.
        official: Whether it must be all of CelebA.
        limit: At most so many, a fixed random choice. 0: all.
        held_out: Fraction of the training images; see `divided_rows`.
        use_unlabeled: Whether images outside of the splits' folders are trained on.

    Raises:
        InputError: there is no such split, or nothing in it, or not all of CelebA.
    """
    folders = splits(files, official=official)
    divided = held_out > 0 and "validation" not in folders
    of_train = divided and split == "validation"
    if split not in folders and not of_train:
        raise InputError(
            f"received {files.path}, which has no {split} split: make folders train,"
            " validation and test"
        )
    whole = "train" if of_train else split
    names, rule = _chosen(files, whole, official=official)
    others = files.others
    left = outside(files, official=official) if whole == "train" else []
    if left and use_unlabeled:
        names = sorted([*names, *left])
        rule += ", and the images outside of them"
    elif left:
        others = ", ".join(filter(None, [_places(left, folders["train"]), others]))
    if not names:
        raise InputError(
            f"the {split} split of {files.path} is empty, it holds too few images: add"
            " some, or make folders train and test"
        )
    if limit and limit < len(names):
        names = [names[row] for row in limited(len(names), limit)]
    if divided and whole == "train":
        rows = divided_rows(len(names), held_out)[split]
        names = [names[row] for row in rows]
        rule += f"; {len(names):,} of its images for {split}"
    return _source(files, split, names, rule=rule, others=others, official=official)


def _source(
    files: Folder | Zip,
    split: str,
    names: list[str],
    *,
    rule: str,
    others: str,
    official: bool,
) -> Source:
    """The chosen names of a split, with how to read them."""
    folders = splits(files, official=official)
    return Source(
        f"{files.name}-{split}",
        f"the {split} split of {files.path}",
        names,
        functools.partial(files.items, names),
        files.read,
        rule,
        image_files.stamp(files, names),
        None if official else _labels(files, names, folders),
        others,
        None if official else files.open,
    )


def splits(files: Folder | Zip, *, official: bool = False) -> dict[str, str]:
    """{split: its folder, "" without one} of the splits that there are. The folders are
    named as `split_word` knows them, and may lie in one that holds all images.

    Raises:
        InputError: two folders for one split.
    """
    if official:
        return dict.fromkeys(celeba.COUNTS, "")
    wrapper = _wrapper(files.files)
    own: dict[str, str] = {}
    tops = {name.removeprefix(wrapper).partition("/")[:2] for name in files.files}
    for folder in sorted(folder for folder, separator in tops if separator):
        split = split_word(folder)
        if split in own:
            raise InputError(
                f"received {files.path}, whose folders {own[split]} and"
                f" {wrapper}{folder} both look like the {split} split: rename or join"
                " them"
            )
        if split:
            own[split] = wrapper + folder
    alone = all(name.startswith(f"{own.get('train')}/") for name in files.files)
    if "train" in own and (len(own) > 1 or alone):
        return own
    return {"train": "", "test": ""}


def outside(files: Folder | Zip, *, official: bool = False) -> list[str]:
    """The images that lie in no split's folder, where splits have folders."""
    folders = splits(files, official=official).values()
    own = tuple(f"{folder}/" for folder in folders if folder)
    return [name for name in files.files if own and not name.startswith(own)]


def _wrapper(names: Iterable[str]) -> str:
    """The folders, "a/b/", that hold all images and no split."""
    wrapper: list[str] = []
    parents = [PurePosixPath(name).parts[:-1] for name in names]
    for level in zip(*parents, strict=False):
        if len(set(level)) > 1 or split_word(level[0]):
            break
        wrapper.append(level[0])
    return "".join(f"{folder}/" for folder in wrapper)


def warn_of_lookalikes(files: Folder | Zip) -> None:
    """Warns of folders that look like splits, and are not used as such."""
    if any(splits(files).values()):
        return
    wrapper = _wrapper(files.files)
    tops = {name.removeprefix(wrapper).partition("/")[0] for name in files.files}
    found = sorted(top for top in tops if split_word(top))
    if not found:
        _warn_of_deeper_lookalikes(files)
    else:
        logger.warning(
            "%s has a folder %s, which looks like a split, but none for %s beside"
            " it: its images are trained on like the others. Name the folders train and"
            " test to keep them apart",
            files.path,
            ", ".join(found),
            "testing" if split_word(found[0]) == "train" else "training",
        )


def _warn_of_deeper_lookalikes(files: Folder | Zip) -> None:
    """Warns of folders anywhere whose names contain a split's."""
    folders = {folder for name in files.files for folder in PurePosixPath(name).parents}
    alike = sorted(str(folder) for folder in folders if LOOKALIKE.search(folder.name))
    if alike:
        logger.warning(
            "%s has folders such as %s, which look like splits and are not used as"
            " such: all images are split by a hash of their names. To use your own"
            " splits, put folders train and test beside each other, with nothing else"
            " beside them",
            files.path,
            ", ".join(alike[:3]),
        )


def divided_rows(count: int, fraction: float) -> dict[str, np.ndarray]:
    """Row numbers of `"train"` and `"validation"`, in order: a fixed random fraction of
    `count` training images is held out, at least 2 and at most 2,000.

    Raises:
        InputError: too few remain for training.
    """
    if count < FEWEST:
        raise InputError(
            f"{count} training image{'s' * (count != 1)}, of which 2 would be held out",
            f"at least {FEWEST}",
            "add some, thousands if you can",
        )
    held_out = min(max(2, round(fraction * count)), MAX_HELD_OUT)
    if count - held_out < 2:
        raise InputError(
            f"`held_out={fraction:g}` of {count} training images",
            "at least 2 images to train on",
            "hold fewer out",
        )
    return _rows_of_parts(count, held_out)


def undivided(train: np.ndarray, held_out: np.ndarray) -> np.ndarray:
    """The rows that `divided_rows` divided, images or labels, in their order."""
    rows = _rows_of_parts(len(train) + len(held_out), len(held_out))
    whole = np.empty((len(train) + len(held_out), *train.shape[1:]), train.dtype)
    whole[rows["train"]], whole[rows["validation"]] = train, held_out
    return whole


def _rows_of_parts(count: int, held_out: int) -> dict[str, np.ndarray]:
    order = np.random.default_rng(1).permutation(count)
    return {
        "train": np.sort(order[held_out:]),
        "validation": np.sort(order[:held_out]),
    }


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


def _places(names: Sequence[str], train: str) -> str:
    """Where the images outside of the splits lie, and how many, in words."""
    wrapper = train.rpartition("/")[0]
    tops = [name.removeprefix(wrapper).lstrip("/").partition("/") for name in names]
    counts = Counter(top if separator else "no folder" for top, separator, _ in tops)
    listed = [f"{n} images in {top}" for top, n in counts.most_common(MAX_PLACES)]
    if len(counts) > MAX_PLACES:
        listed.append("...")
    return f"{', '.join(listed)} (`use_unlabeled=True` trains on them)"


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
    own = [f"{folder}/" for folder in folders.values() if folder] or [""]
    classes = {}
    for name in files.files:
        for prefix in own:
            if name.startswith(prefix):
                classes[name] = PurePosixPath(name.removeprefix(prefix)).parts[:-1]
    distinct = sorted(set(classes.values()))
    if not classes.keys() >= set(names):
        return None
    if len(distinct) < 2 or any(len(folder) != 1 for folder in distinct):
        return None
    numbers = {folder: number for number, folder in enumerate(distinct)}
    return np.array([numbers[classes[name]] for name in names])
