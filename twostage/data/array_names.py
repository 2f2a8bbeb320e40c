"""Which array of an `.npz` file holds what, by the arrays' names."""

import dataclasses
import re
from collections.abc import Iterator, Mapping

from twostage.data.split_word import split_word
from twostage.errors import InputError

IMAGE_WORDS = {"x", "image", "images", "img", "imgs", "data"}
LABEL_WORDS = {"y", "label", "labels", "target", "targets"}
UNLABELED_WORDS = {"unlabeled", "unlabelled", "extra"}
MAX_LISTED = 10
KEY_SPLITS = {  # what `key` names, by the number of names
    1: ("train",),
    2: ("train", "test"),
    3: ("train", "validation", "test"),
}


@dataclasses.dataclass(frozen=True)
class Header:
    """What an array is, before it is read.

    Args:
        shape: Its shape.
        kind: Its dtype's `kind`, such as "u"; "O" for Python objects.
        dtype: Its dtype's name.
    """

    shape: tuple[int, ...]
    kind: str
    dtype: str

    @property
    def is_numeric(self) -> bool:
        return self.kind in "biuf"

    @property
    def may_be_images(self) -> bool:
        return self.is_numeric and len(self.shape) in (3, 4)

    def __str__(self) -> str:
        return f"{self.shape} {self.dtype}"


@dataclasses.dataclass(frozen=True)
class Roles:
    """The names of the arrays that are used.

    Args:
        images: {split: name}. Without a test split, a part of the training images is
            it.
        labels: {split: name}, "unlabeled" among the splits.
        unlabeled: Further images, which lie outside the splits; "": none.
    """

    images: dict[str, str]
    labels: dict[str, str]
    unlabeled: str = ""

    def others(self, headers: Mapping[str, Header]) -> list[str]:
        """The names of the arrays that are not used."""
        used = {*self.images.values(), *self.labels.values(), self.unlabeled}
        return [name for name in headers if name not in used]


def roles(headers: Mapping[str, Header], key: str, where: object) -> Roles:
    """What each array of a file is for.

    Args:
        headers: Of the arrays, by name.
        key: The names of the arrays of images, see `KEY_SPLITS`, between commas. "": by
            their names.
        where: The file, for messages.

    Raises:
        InputError: there are no such arrays, or it is not clear which.
    """
    chosen = _chosen(headers, key, where)
    found = dict(_labels(headers))
    labels = {split: _label_of(split, name, found) for split, name in chosen.items()}
    labels["unlabeled"] = found.get("unlabeled")
    unlabeled = [
        name
        for name, header in headers.items()
        if header.may_be_images and _is_unlabeled(name) and name not in chosen.values()
    ]
    return Roles(
        chosen,
        {split: name for split, name in labels.items() if name},
        unlabeled[0] if unlabeled else "",
    )


def listed(headers: Mapping[str, Header]) -> str:
    """The arrays with their shapes and dtypes, for messages."""
    texts = [f"{name} {header}" for name, header in headers.items()]
    more = ["..."] if len(texts) > MAX_LISTED else []
    return ", ".join([*texts[:MAX_LISTED], *more])


def _chosen(headers: Mapping[str, Header], key: str, where: object) -> dict[str, str]:
    """{split: name} of the images, "train" always among them."""
    if key:
        return _by_key(headers, key, where)
    found = _by_split(headers, where)
    if "train" in found:
        return found
    whole = _whole([name for name in headers if name not in found.values()], headers)
    if found and whole and not _is_plain(whole):
        whole = None  # beside a split, which is more likely to be the images
    # a file of nothing but test images is split like one array
    train = whole or found.pop("test", None) or found.pop("validation", None)
    if train is None:
        raise _unclear(headers, where)
    return {"train": train, **found}


def _by_key(headers: Mapping[str, Header], key: str, where: object) -> dict[str, str]:
    names = [key] if key in headers else [name.strip() for name in key.split(",")]
    missing = [name for name in names if name not in headers]
    # one array for two splits would be tested on what it was trained on
    if missing or len(set(names)) < len(names) or len(names) not in KEY_SPLITS:
        raise InputError(
            f"`key={key!r}` for {where}",
            f"one of its arrays, or two, TRAIN,TEST: {listed(headers)}",
        )
    return dict(zip(KEY_SPLITS[len(names)], names, strict=True))


def _by_split(headers: Mapping[str, Header], where: object) -> dict[str, str]:
    """{split: name} of the images whose names name a split, `x_train` before others."""
    found: dict[str, list[str]] = {}
    for name, header in headers.items():
        split = _split_of(name)
        is_index = header.is_numeric and len(header.shape) < 2
        if split and not is_index:
            found.setdefault(split, []).append(name)
    for split, names in found.items():
        if f"x_{split}" in names:
            found[split] = [f"x_{split}"]
        elif len(names) > 1:
            raise _unclear(headers, where)
    return {split: names[0] for split, names in found.items()}


def _whole(names: list[str], headers: Mapping[str, Header]) -> str | None:
    """The array that alone can be the images; None where it is not clear."""
    names = [name for name in names if not _is_unlabeled(name)]
    if len(names) == 1:
        return names[0]
    images = [name for name in names if headers[name].may_be_images]
    plain = [name for name in images or names if _is_plain(name)]
    if len(plain) == 1:
        return plain[0]
    return images[0] if len(images) == 1 else None


def _labels(headers: Mapping[str, Header]) -> Iterator[tuple[str, str]]:
    """(split, name) of the labels; the split is "" where the name has none."""
    for name, header in headers.items():
        words = _words(name)
        rest = [word for word in words if word not in LABEL_WORDS]
        is_class = header.kind != "O" and header.shape in (
            header.shape[:1],
            (*header.shape[:1], 1),
        )
        if len(rest) == len(words) or not is_class:
            continue
        if rest and set(rest) <= UNLABELED_WORDS:
            yield "unlabeled", name
            continue
        split = _split_of("_".join(rest)) if rest else ""
        if split is not None:
            yield split, name


def _label_of(split: str, images: str, labels: Mapping[str, str]) -> str | None:
    """The labels of an array of images: those that name its split as it does."""
    named = _split_of(images)
    if named or split != "train":
        return labels.get(named or split)
    return labels.get("") or labels.get("train")


def _words(name: str) -> list[str]:
    """Of "trainX": train, x."""
    name = re.sub(r"(?<=[a-z])(?=[A-Z])", "_", name)
    return [word for word in re.split(r"[^a-z]+", name.lower()) if word]


def _split_of(name: str) -> str | None:
    return split_word("_".join(_words(name)))


def _is_plain(name: str) -> bool:
    """Whether a name says images, and nothing else."""
    words = _words(name)
    return bool(words) and set(words) <= IMAGE_WORDS


def _is_unlabeled(name: str) -> bool:
    rest = set(_words(name)) - IMAGE_WORDS - {"train"}
    return bool(rest) and rest <= UNLABELED_WORDS


def _unclear(headers: Mapping[str, Header], where: object) -> InputError:
    images = [name for name, header in headers.items() if header.may_be_images]
    fix = "save the images as one of shape (N, height, width, channels)"
    if images:
        fix = f"say which with `key={images[0]!r}`"
    if len(images) > 1:
        fix += f", or of training and test images `key={','.join(images[:2])!r}`"
    return InputError(
        f"{where} with arrays {listed(headers) or 'of no kind'}",
        "x_train and x_test, or a single array of images",
        fix,
    )
