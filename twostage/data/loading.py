"""Images by name or path: uint8 arrays (N, height, width, channels) and, where there
are any, labels.
"""

import dataclasses
import sys
from pathlib import Path

from twostage.data import archives, celeba, jpeg, numpy_files, registry
from twostage.data.cache import prepared
from twostage.data.image_files import Folder, Zip
from twostage.data.preprocessing import Preparation, pad_to
from twostage.data.splits import limited, split_of, splits
from twostage.errors import InputError, reading

SPLITS = ("train", "validation", "test")
KINDS = "folder or zip of pictures, or an .npz or .npy file"
BROKEN_FILES_NAMED = 5  # broken files that are named


def load_for(config, split="train"):
    """`load` as a `Stage1Config` says."""
    how = {
        name: getattr(config, name)
        for name in (
            "crop",
            "side",
            "pad",
            "resize",
            "limit",
            "jpeg_roundtrip",
            "skip_broken",
            "partial",
            "data_dir",
            "cache",
        )
    }
    return load(config.data, split, **how)


def load_splits(config):
    """{split: (images, labels)} of all splits that a `Stage1Config`'s data have, so
    that what is wrong with the test images is told before training.

    Raises:
        InputError: as of `load`; or the splits' images have unequal shapes.
    """
    found = {split: load_for(config, split) for split in splits_for(config)}
    shapes = {
        split: "x".join(map(str, images.shape[1:]))
        for split, (images, _) in found.items()
    }
    if len(set(shapes.values())) > 1:
        listed = ", ".join(f"{shape} in {split}" for split, shape in shapes.items())
        raise InputError(
            f"received images of unequal shapes, {listed} (height, width, channels):"
            " make all of one size, all grey or all coloured"
        )
    return found


def load(
    source,
    split="train",
    *,
    crop="none",
    side=0,
    pad=0,
    resize="bilinear",
    limit=0,
    jpeg_roundtrip=False,
    skip_broken=False,
    partial=False,
    data_dir=None,
    cache=None,
):
    """Images of one split.

    Args:
        source: A name (`digits`, `mnist`, `fashion_mnist`, `cifar10`, `svhn`,
            `celeba`); a folder or a zip of pictures; an `.npz` or `.npy` file; or the
            files in which the authors gave out MNIST, Fashion-MNIST, CIFAR-10 or SVHN.
        split: `"train"` or `"test"`; CelebA, and folders that have one, also
            `"validation"`.
        crop: Pictures only: `"none"`; `"center"`, the largest square in the middle; or
            the face in CelebA's 178x218: `"128"` (rows 45-173, columns 25-153), `"140"`
            (39-179, 19-159) or `"148"` (35-183, 15-163).
        side: Pictures only: they become side x side by Pillow's filter of the name
            `resize`. 0: as they are.
        pad: Zeros around smaller images, so that they are pad x pad. 0: none.
        resize: `"bilinear"`, `"nearest"` or `"bicubic"`.
        limit: At most so many images, a fixed random choice in the split's order. 0:
            all.
        jpeg_roundtrip: Whether they pass through JPEG files of quality 75, before
            padding.
        skip_broken: Pictures only: leave out files that cannot be read, and tell which,
            instead of raising.
        partial: Pictures only: a part of CelebA is all right. Its own `train` and
            `test` folders, or a hash, are the splits then.
        data_dir: Names only: a folder with the authors' files, or with TensorFlow
            Datasets' prepared copies. None: TensorFlow Datasets' own.
        cache: Where pictures are kept once they are decoded, cropped and resized. None:
            `~/.cache/two-stage-vae`.

    Returns:
        (images, labels): uint8 (N, height, width, 1 or 3), of pictures a read-only
        memory map; and an integer array (N,) or None.

    Raises:
        InputError: a name or file that is not there or cannot be used, in one line that
            says how to mend it.
    """
    if split not in SPLITS:
        raise InputError(
            f"received split {split!r}, expected one of {', '.join(SPLITS)}"
        )
    preparation = Preparation(str(crop), side, resize, jpeg_roundtrip, pad)
    if str(source) not in registry.NAMES and not Path(source).expanduser().exists():
        names = (
            ""
            if "/" in str(source) or Path(source).suffix
            else f"expected {', '.join(registry.NAMES)}, a "
        )
        raise InputError(
            f"received data {str(source)!r}, {names or 'which is no '}{KINDS}: check"
            f" the path, from {Path.cwd()}"
        )
    if data_dir and not Path(data_dir).expanduser().is_dir():
        raise InputError(
            f"received --data-dir {data_dir}, which is no folder, from {Path.cwd()}:"
            " check the path"
        )
    pictures = pictures_of(source, data_dir)
    if pictures is not None or str(source) == "celeba":
        if pictures is None:
            found = registry.celeba_prepared(split, limit, data_dir)
        else:
            found = split_of(
                pictures,
                split,
                not partial and is_celeba(source, pictures, preparation.crop),
                limit,
            )
        return _prepare(found, preparation, skip_broken, cache)
    if split == "validation":
        raise InputError(
            f"{str(source)!r} has no validation split: expected train or test"
        )
    images, labels = _arrays(source, split, data_dir)
    if preparation.crop != "none" or side:
        raise InputError(
            f"received --crop {crop} --side {side} for {str(source)!r}, but these apply"
            " to pictures: use --crop none --side 0"
        )
    if limit and limit < len(images):
        rows = limited(len(images), limit)
        images, labels = images[rows], None if labels is None else labels[rows]
    if jpeg_roundtrip:
        images = jpeg.roundtrip(images)
    return pad_to(images, pad), labels


def is_celeba(source, pictures, crop):
    """Whether the pictures must be all of CelebA and split as its authors did: by its
    name, its list of the splits, or a crop that is for its faces.
    """
    called_so = str(source) == "celeba" or pictures.name.lower() in (
        "celeba",
        celeba.FOLDER,
    )
    return (
        called_so or crop in celeba.CROPS or pictures.text(celeba.LISTING) is not None
    )


def lasting(config):
    """A `Stage1Config` whose data are found from every working directory: names stay,
    paths become absolute.
    """

    def here(path):
        return (
            str(Path(path).expanduser().absolute())
            if path and path not in registry.NAMES
            else path
        )

    return dataclasses.replace(
        config, data=here(config.data), data_dir=here(config.data_dir)
    )


def splits_for(config):
    """The names of the splits of a `Stage1Config`'s data."""
    pictures = pictures_of(config.data, config.data_dir)
    if pictures is None:
        return SPLITS if config.data == "celeba" else SPLITS[::2]
    return tuple(
        splits(
            pictures,
            not config.partial and is_celeba(config.data, pictures, config.crop),
        )
    )


def pictures_of(source, data_dir=None):
    """The `Folder` or `Zip` of a source that is one; None for another kind."""
    if str(source) in registry.NAMES:
        return registry.celeba_files(data_dir) if str(source) == "celeba" else None
    path = Path(source).expanduser()
    if path.is_dir():
        with reading():
            original = any(archives.find(path, split) for split in SPLITS[::2])
        return None if original else Folder(path)
    return Zip(path) if path.suffix.lower() == ".zip" and path.is_file() else None


def _arrays(source, split, data_dir):
    if str(source) in registry.NAMES:
        return registry.load(str(source), split, data_dir)
    path = Path(source).expanduser()
    if path.suffix in (".npz", ".npy") and path.is_file():
        return numpy_files.load(path, split)
    found = archives.load(path, split) if path.exists() else None
    if found is not None:
        return found
    raise InputError(
        f"received data {str(source)!r}, which is no {KINDS}: check the path"
    )


def _prepare(source, preparation, skip_broken, cache):
    """The prepared pictures of a `Source` and their labels; tells where they come from,
    and raises or tells what is broken.
    """
    images, manifest = prepared(source, preparation, cache or None)
    broken = manifest["broken"]
    if broken:
        listed = "; ".join(
            [
                f"{name} ({reason})"
                for name, reason in list(broken.items())[:BROKEN_FILES_NAMED]
            ]
            + ["..."] * (len(broken) > BROKEN_FILES_NAMED)
        )
        text = (
            f"{len(broken)} of {len(source.names)} pictures in {source.where} cannot be"
            f" read: {listed}"
        )
        if not skip_broken or not len(images):
            raise InputError(
                f"{text}: mend or remove them, or leave them out with --skip-broken"
            )
        print(f"{text}: left out", file=sys.stderr)
    width, height, most_width, most_height = manifest["sizes"]
    sizes = f"{width}x{height}" + (
        f" to {most_width}x{most_height}"
        if (width, height) != (most_width, most_height)
        else ""
    )
    others = f"; left aside: {source.others}" if source.others else ""
    print(
        f"{source.where}: {len(images)} pictures of {sizes}, split"
        f" {source.rule}{others}",
        file=sys.stderr,
    )
    good = [name not in broken for name in source.names]
    return images, None if source.labels is None else source.labels[good]
