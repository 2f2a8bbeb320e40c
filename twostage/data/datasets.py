"""Every kind of data set, behind the same two methods."""

import contextlib
import dataclasses
import functools
import logging
import math
from collections.abc import Callable
from pathlib import Path
from typing import Any, Protocol

import numpy as np

from twostage.data import archives, celeba, levels, registry
from twostage.data.cache import home, prepared
from twostage.data.decode import FORMATS
from twostage.data.headers import image_sizes
from twostage.data.image_files import Folder, Zip
from twostage.data.image_sizes import ImageSizes
from twostage.data.numpy_files import UNLABELED, NumpyFile
from twostage.data.preprocessing import Preprocessing
from twostage.data.splits import (
    Source,
    divided_rows,
    limited,
    outside,
    split_of,
    splits,
    warn_of_lookalikes,
)
from twostage.errors import InputError, reading

logger = logging.getLogger(__name__)

SPLITS = ("train", "validation", "test")
ARRAY_SPLITS = ("train", "test")
SOURCE_KINDS = "folder or zip of images, or an .npz or .npy file"
NUMPY_SUFFIXES = (".npz", ".npy")
MAX_BROKEN_LISTED = 5

Images = tuple[np.ndarray, np.ndarray | None]


@dataclasses.dataclass(frozen=True)
class Options:
    """How images are found and read; the arguments of `loading.load`."""

    preprocessing: Preprocessing = dataclasses.field(default_factory=Preprocessing)
    limit: int = 0
    held_out: float = 0.0
    skip_broken: bool = False
    partial: bool = False
    use_unlabeled: bool = False
    key: str = ""
    data_dir: str | None = None
    cache: str | None = None


class Dataset(Protocol):
    """Images in splits."""

    def splits(self) -> tuple[str, ...]:
        """The names of the splits, in order."""
        ...

    def read(self, split: str) -> Images:
        """(images, labels): uint8 (N, height, width, 1 or 3), and integers (N,) or
        None.

        Raises:
            InputError: there is no such split, or it cannot be read.
        """
        ...


@dataclasses.dataclass(frozen=True)
class ArrayDataset:
    """Images that come as arrays.

    Args:
        source: A name or path.
        options: How they are read.
        load: `load(split)` -> (images, labels), the images of any type of numbers.
        names: Of the splits.
        unlabeled: What `load` takes for the images that lie outside the splits; "":
            there are none.
    """

    source: str
    options: Options
    load: Callable[[str], Images]
    names: tuple[str, ...] = ARRAY_SPLITS
    unlabeled: str = ""

    def splits(self) -> tuple[str, ...]:
        return SPLITS if self._divides else self.names

    def read(self, split: str) -> Images:
        if split not in self.splits():
            raise InputError(
                f"{self.source!r} has no {split} split: expected"
                f" {' or '.join(self.splits())}"
            )
        self._check_options()
        is_part = self._divides and split != "test"
        images, labels = self._whole("train" if is_part else split)
        if is_part:
            rows = divided_rows(len(images), self.options.held_out)[split]
            images, labels = _rows((images, labels), rows)
        return self.options.preprocessing.apply_to_array(images), labels

    @property
    def _divides(self) -> bool:
        """Whether part of the training images is the validation split."""
        return self.options.held_out > 0 and "validation" not in self.names

    def _whole(self, split: str) -> Images:
        """Those of a split, with the unlabeled and within the limit."""
        found = self._loaded(split)
        if split == "train" and self.options.use_unlabeled:
            found = _joined(found, self._loaded(self.unlabeled))
        count, limit = len(found[0]), self.options.limit
        return _rows(found, limited(count, limit)) if 0 < limit < count else found

    def _loaded(self, split: str) -> Images:
        images, labels = self.load(split)
        where = f"{self.source} ({split})"
        scale = self.options.preprocessing.scale
        return levels.to_8_bits(images, scale, where), labels

    def _check_options(self) -> None:
        preprocessing = self.options.preprocessing
        if preprocessing.crop != "none" or preprocessing.side:
            raise InputError(
                f"received `crop={preprocessing.crop!r}, side={preprocessing.side}` for"
                f" {self.source!r}, but these apply to image files: use `crop='none',"
                " side=0`"
            )
        if self.options.use_unlabeled and not self.unlabeled:
            raise InputError(
                f"received `use_unlabeled=True` for {self.source!r}, which has no"
                " images outside its splits: drop it"
            )


@dataclasses.dataclass(frozen=True)
class ImageFileDataset:
    """Images in files, which are preprocessed once and cached.

    Args:
        options: How they are read.
        names: Of the splits.
        source_of: `source_of(split)` -> its image files.
    """

    options: Options
    names: tuple[str, ...]
    source_of: Callable[[str], Source]

    def splits(self) -> tuple[str, ...]:
        return self.names

    @functools.cached_property
    def sizes(self) -> ImageSizes:
        """The sizes of the images of all splits, by their headers."""
        sources = []
        for split in self.names:
            with contextlib.suppress(InputError):  # which reading it will raise
                sources.append(self.source_of(split))
        return image_sizes(sources, self.options.cache)

    @functools.cached_property
    def shape(self) -> tuple[int, int, int]:
        """(height, width, channels) of the images of all splits.

        Raises:
            InputError: they have unequal sizes, or do not fit the preprocessing.
        """
        return self.sizes.shape(self.options.preprocessing)

    @functools.cached_property
    def _preprocessing(self) -> Preprocessing:
        """With the channels of all splits; what it does to the images is logged once,
        before anything is decoded.
        """
        options = self.options
        if not self.sizes.total:  # all are broken
            return options.preprocessing
        size = self.sizes.total * math.prod(self.shape)
        for remark in self.sizes.remarks(options.preprocessing):
            logger.warning("%s", remark)
        logger.info(
            "%s images of %s are cached in %s: %s on disk, and in memory where there is"
            " room",
            f"{self.sizes.total:,}",
            "x".join(map(str, self.shape)),
            options.cache or home(),
            f"{size / 1e9:.1f} GB" if size >= 1e9 else f"{size / 1e6:.1f} MB",
        )
        return dataclasses.replace(options.preprocessing, channels=self.shape[2])

    def read(self, split: str) -> Images:
        source = self.source_of(split)
        options = self.options
        images, manifest = prepared(source, self._preprocessing, options.cache)
        broken = manifest["broken"]
        if broken:
            self._report_broken(source, broken, is_empty=not len(images))
        _log_summary(source, len(images), manifest)
        whole = [name not in broken for name in source.names]
        return images, None if source.labels is None else source.labels[whole]

    def _report_broken(
        self, source: Source, broken: dict[str, str], *, is_empty: bool
    ) -> None:
        first = list(broken.items())[:MAX_BROKEN_LISTED]
        listed = [f"{name} ({reason})" for name, reason in first]
        if len(broken) > MAX_BROKEN_LISTED:
            listed.append("...")
        text = (
            f"{len(broken)} of {len(source.names)} images in {source.where} cannot be"
            f" read: {'; '.join(listed)}"
        )
        if is_empty and self.options.skip_broken:
            raise InputError(f"{text}; none is left: fix them, or add others")
        if not self.options.skip_broken or is_empty:
            raise InputError(
                f"{text}: fix or remove them, or leave them out with `skip_broken=True`"
            )
        logger.warning("%s: left out", text)


def _rows(found: Images, rows: np.ndarray) -> Images:
    images, labels = found
    return images[rows], None if labels is None else labels[rows]


def open_dataset(source: str, options: Options) -> Dataset:
    """The data set of a name or path; no image is read yet.

    Raises:
        InputError: there is none, or an option does not go with it.
    """
    if source not in registry.NAMES and not Path(source).expanduser().exists():
        is_path = "/" in source or Path(source).suffix
        names = f"expected {', '.join(registry.NAMES)}, a"
        raise InputError(
            f"received data {source!r}, {'which is no' if is_path else names}"
            f" {SOURCE_KINDS}: {_download(source)}check the path, from {Path.cwd()}"
        )
    if source in registry.NAMES and Path(source).exists():
        _warn_of_namesake(source)
    if options.data_dir and not Path(options.data_dir).expanduser().is_dir():
        raise InputError(
            f"received `data_dir={options.data_dir!r}`, which is no folder, from"
            f" {Path.cwd()}: check the path"
        )
    if options.key and Path(source).suffix.lower() not in NUMPY_SUFFIXES:
        raise InputError(
            f"`key={options.key!r}` for {source!r}",
            "an .npz file with arrays by name",
            "drop `key`",
        )
    for open_kind in (_named, _image_files, _numpy_file, _archive):
        dataset = open_kind(source, options)
        if dataset is not None:
            return dataset
    raise _not_a_dataset(source)


@functools.cache  # once, though a training opens its data several times
def _warn_of_namesake(source: str) -> None:
    logger.warning(
        "taking the known data set %r; for the path of that name give ./%s",
        source,
        source,
    )


def image_files_at(source: str) -> Folder | Zip | None:
    """The image files of a path; None where it is something else."""
    path = Path(source).expanduser()
    if path.is_dir():
        with reading():
            is_archive = archives.is_archive(path)
        return None if is_archive else Folder(path)
    if path.suffix.lower() == ".zip" and path.is_file():
        return Zip(path)
    return None


def _named(source: str, options: Options) -> Dataset | None:
    if source not in registry.NAMES:
        return None
    if source != "celeba":
        load = functools.partial(registry.load, source, data_dir=options.data_dir)
        extra = archives.EXTRA if source == "svhn" else ""
        return ArrayDataset(source, options, load, unlabeled=extra)
    files = registry.celeba_files(options.data_dir)
    if files is not None:
        return _dataset_of(files, options, official=not options.partial)
    source_of = functools.partial(
        registry.celeba_prepared, limit=options.limit, data_dir=options.data_dir
    )
    return ImageFileDataset(options, SPLITS, source_of)


def _image_files(source: str, options: Options) -> Dataset | None:
    files = image_files_at(source)
    if files is None:
        return None
    official = not options.partial and _is_celeba(files, options)
    return _dataset_of(files, options, official=official)


def _numpy_file(source: str, options: Options) -> Dataset | None:
    path = Path(source).expanduser()
    if path.suffix.lower() not in NUMPY_SUFFIXES or not path.is_file():
        return None
    file = NumpyFile(path, options.key)

    def load(split: str) -> Images:
        images = file.load(split)
        if split == "train" and not file.is_plain:
            _log_once(file.summary(options.use_unlabeled))
        return images

    unlabeled = UNLABELED if file.roles.unlabeled else ""
    return ArrayDataset(source, options, load, file.splits(), unlabeled)


def _archive(source: str, options: Options) -> Dataset | None:
    path = Path(source).expanduser()
    if not archives.is_archive(path):
        return None
    extra = archives.EXTRA if archives.has_extra(path) else ""

    def load(split: str) -> Images:
        found = archives.load(path, split)
        if found is None:
            raise _not_a_dataset(source)
        if extra and split == "train" and not options.use_unlabeled:
            aside = f"{extra} images not used: `use_unlabeled` adds them"
            _log_once(f"{path}: {aside}")
        return found

    return ArrayDataset(source, options, load, unlabeled=extra)


@functools.cache
def _log_once(text: str) -> None:
    """For what several splits of a file, or several readings, would repeat."""
    logger.info("%s", text)


def _joined(first: Images, second: Images) -> Images:
    """Both sets of images; labels only where all have one.

    Raises:
        InputError: they have unequal shapes.
    """
    shapes = [images.shape[1:] for images, _ in (first, second)]
    if shapes[0] != shapes[1]:
        raise InputError(
            f"images without a split of {shapes[1]}",
            f"those of the training images, {shapes[0]}",
            "drop `use_unlabeled`",
        )
    images = np.concatenate([first[0], second[0]])
    if first[1] is None or second[1] is None:
        return images, None
    return images, np.concatenate([first[1], second[1]])


def _download(source: str) -> str:
    return "download it first, then " if "://" in source else ""


def _not_a_dataset(source: str) -> InputError:
    is_image = Path(source).suffix.lower() in FORMATS
    fix = "name the folder that the image is in" if is_image else "check the path"
    return InputError(f"received data {source!r}, which is no {SOURCE_KINDS}: {fix}")


def _dataset_of(
    files: Folder | Zip, options: Options, *, official: bool
) -> ImageFileDataset:
    source_of = functools.partial(
        split_of,
        files,
        official=official,
        limit=options.limit,
        held_out=options.held_out,
        use_unlabeled=options.use_unlabeled,
    )
    found = splits(files, official=official)
    is_needed = options.held_out and "validation" not in found
    names = (*found, "validation") if is_needed else tuple(found)
    if not official:
        warn_of_lookalikes(files)
    if options.use_unlabeled and not outside(files, official=official):
        raise InputError(
            f"received `use_unlabeled=True` for {str(files.path)!r}, which has no"
            " images outside its splits: drop it"
        )
    return ImageFileDataset(options, names, source_of)


def _is_celeba(files: Folder | Zip, options: Options) -> bool:
    """Whether the images must be all of CelebA and split as its authors did: by their
    name, their list of the splits, or a crop that is for its faces.
    """
    return (
        files.name.lower() in ("celeba", celeba.FOLDER)
        or options.preprocessing.crop in celeba.CROPS
        or files.text(celeba.LISTING) is not None
    )


def _log_summary(source: Source, count: int, manifest: dict[str, Any]) -> None:
    width, height, max_width, max_height = manifest["sizes"]
    sizes = f"{width}x{height}"
    if (width, height) != (max_width, max_height):
        sizes += f" to {max_width}x{max_height}"
    others = f"; not used: {source.others}" if source.others else ""
    logger.warning(
        "%s: %d images of %s, split %s%s",
        source.where,
        count,
        sizes,
        source.rule,
        others,
    )
