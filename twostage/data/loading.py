"""Images by name or path: uint8 arrays (N, height, width, channels) and, where there
are any, labels.
"""

import dataclasses
import os
from collections.abc import Callable
from pathlib import Path

from twostage.config import Stage1Config
from twostage.data import levels, registry
from twostage.data.datasets import (
    SPLITS,
    Dataset,
    ImageFileDataset,
    Images,
    Options,
    open_dataset,
)
from twostage.data.preprocessing import Preprocessing
from twostage.errors import InputError


def load(
    source: str | os.PathLike[str],
    split: str = "train",
    *,
    crop: str | int = "none",
    side: int = 0,
    pad: int = 0,
    fit: str = "stretch",
    resize: str = "bilinear",
    channels: int = 0,
    limit: int = 0,
    jpeg_roundtrip: bool = False,
    skip_broken: bool = False,
    partial: bool = False,
    use_unlabeled: bool = False,
    key: str = "",
    scale: float = 0,
    data_dir: str | os.PathLike[str] | None = None,
    cache: str | os.PathLike[str] | None = None,
) -> Images:
    """Images of one split.

    Args:
        source: A name (`digits`, `mnist`, `fashion_mnist`, `cifar10`, `svhn`,
            `celeba`); a folder or a zip of images; an `.npz` or `.npy` file; or the
            files in which the authors published MNIST, Fashion-MNIST, CIFAR-10 or SVHN.
        split: `"train"` or `"test"`; CelebA, and folders and `.npz` files that have
            one, also `"validation"`.
        crop: Image files only: `"none"`; `"center"`, the largest square in the middle;
            or the face in CelebA's 178x218: `"128"` (rows 45-173, columns 25-153),
            `"140"` (39-179, 19-159) or `"148"` (35-183, 15-163).
        side: Image files only: they become side x side by Pillow's filter of the name
            `resize`. 0: as they are.
        pad: Zeros around smaller images, so that they are pad x pad. 0: none.
        fit: Image files only, how `side` is reached from an image that is not square:
            `"stretch"`; `"crop"`, its largest square in the middle; `"letterbox"`, with
            black bars.
        resize: `"bilinear"`, `"nearest"` or `"bicubic"`.
        channels: 1: all become gray; 3: all get three channels. 0: as they are; where
            some of the files are gray and others color, all get three.
        limit: At most so many images, a fixed random choice in the split's order. 0:
            all.
        jpeg_roundtrip: Whether they pass through JPEG files of quality 75, before
            padding.
        skip_broken: Image files only: leave out files that cannot be read, and log
            which, instead of raising.
        partial: Image files only: accept an incomplete CelebA. Its own `train` and
            `test` folders, or a hash, are the splits then.
        use_unlabeled: Training images: also those that lie outside the splits or have
            no label, such as `x_unlabeled` of an `.npz` file.
        key: `.npz` files only: the name of the array of images, or `"TRAIN,TEST"`, or
            `"TRAIN,VALIDATION,TEST"`. "": by their names.
        scale: Values are multiplied by it and rounded, as with 255 where 1 is white;
            those of image files before anything else is done. 0: they stay as they
            are.
        data_dir: Names only: a folder with the authors' files, or with TensorFlow
            Datasets' prepared copies. None: TensorFlow Datasets' own.
        cache: Where images are kept once they are decoded, cropped and resized. None:
            `~/.cache/two-stage-vae`.

    Returns:
        (images, labels): uint8 (N, height, width, 1 or 3), of image files a read-only
        memory map; and an integer array (N,) or None.

    Raises:
        InputError: a name or file that is not there or cannot be used, in one line that
            says how to fix it.
    """
    if split not in SPLITS:
        raise InputError(f"split {split!r}", f"one of {', '.join(SPLITS)}")
    options = Options(
        Preprocessing(
            str(crop), side, resize, jpeg_roundtrip, pad, channels, fit, scale
        ),
        limit=limit,
        skip_broken=skip_broken,
        partial=partial,
        use_unlabeled=use_unlabeled,
        key=key,
        data_dir=str(Path(data_dir).expanduser()) if data_dir else None,
        cache=str(Path(cache).expanduser()) if cache else None,
    )
    return open_dataset(str(source), options).read(split)


def load_for(config: Stage1Config, split: str = "train") -> Images:
    """`load` as a config says."""
    if split not in SPLITS:
        raise InputError(f"split {split!r}", f"one of {', '.join(SPLITS)}")
    return dataset_for(config).read(split)


def load_splits(
    config: Stage1Config, check: Callable[[ImageFileDataset], None] | None = None
) -> dict[str, Images]:
    """{split: (images, labels)} of all splits that a config's data have, so that what
    is wrong with the test images is reported before training.

    Args:
        config: Says what to load, and how.
        check: Called with image files before they are decoded.

    Raises:
        InputError: as of `load`; or the splits' images have unequal shapes, or those
            for training are nearly black.
    """
    dataset = dataset_for(config)
    if check is not None and isinstance(dataset, ImageFileDataset):
        check(dataset)
    loaded = {split: dataset.read(split) for split in dataset.splits()}
    shapes = {
        split: "x".join(map(str, images.shape[1:]))
        for split, (images, _) in loaded.items()
    }
    if len(set(shapes.values())) > 1:
        listed = ", ".join(f"{shape} in {split}" for split, shape in shapes.items())
        raise InputError(
            f"received images of unequal shapes, {listed} (height, width, channels):"
            " make all of one size, all gray or all color, by `channels=1` or"
            " `channels=3`"
        )
    levels.check_levels(loaded["train"][0], config.scale)
    return loaded


def splits_for(config: Stage1Config) -> tuple[str, ...]:
    """The names of the splits of a config's data."""
    return dataset_for(config).splits()


def preprocessing_for(config: Stage1Config) -> Preprocessing:
    """What a config says to do to each image."""
    return Preprocessing(
        config.crop,
        config.side,
        config.resize,
        config.jpeg_roundtrip,
        config.pad,
        config.channels,
        config.fit,
        config.scale,
    )


def dataset_for(config: Stage1Config) -> Dataset:
    """The data set of a config."""
    options = Options(
        preprocessing_for(config),
        limit=config.limit,
        held_out=config.held_out,
        skip_broken=config.skip_broken,
        partial=config.partial,
        use_unlabeled=config.use_unlabeled,
        key=config.key,
        data_dir=config.data_dir or None,
        cache=config.cache or None,
    )
    return open_dataset(config.data, options)


def is_there(config: Stage1Config) -> bool:
    """Whether a config's data are a known data set or a path that exists."""
    return config.data in registry.NAMES or Path(config.data).expanduser().exists()


def with_absolute_paths(config: Stage1Config) -> Stage1Config:
    """A config whose data are found from every working directory: names stay, paths
    become absolute.
    """
    data = config.data if config.data in registry.NAMES else _absolute(config.data)
    return dataclasses.replace(
        config,
        data=data,
        data_dir=_absolute(config.data_dir),
        cache=_absolute(config.cache),
    )


def _absolute(path: str) -> str:
    return str(Path(path).expanduser().absolute()) if path else ""
