"""Folders of images."""

import hashlib
import sys
import warnings

import numpy as np
from PIL import Image, ImageOps, UnidentifiedImageError

from twostage.data import celeba
from twostage.errors import InputError

SHOWN = 5  # broken files that are named
SUFFIXES = (".jpg", ".jpeg", ".png", ".webp", ".bmp", ".gif")


def load(folder, split, crop=0, side=0, resize="bilinear", skip_broken=False, partial=False):
    """All images of a split, in order of their names: uint8 (N, height, width, 1 or 3); labels where each class has a folder, else None.

    Grey pictures among coloured ones become coloured. Files that cannot be read are an error that lists them, or left out and told.
    """
    root, paths = find(folder, split, official=crop and not partial)
    images, good, broken = None, [], {}
    for path in paths:
        try:
            image = read(path, crop, side, resize)
        except _Broken as error:
            broken[path.relative_to(root).as_posix()] = str(error)
            continue
        if images is None:
            images = np.empty((len(paths), *image.shape), "uint8")
        if image.shape[:2] != images.shape[1:3]:
            sizes = f"{images.shape[2]}x{images.shape[1]} in {good[0].name} and {image.shape[1]}x{image.shape[0]} in {path.name}"
            raise InputError(f"received images of unequal sizes, {sizes}: make them equal with --side 64, or another side")
        if image.shape[2] > images.shape[3]:
            images = np.repeat(images, 3, axis=3)
        images[len(good)] = image
        good.append(path)
    if broken:
        listed = "; ".join([f"{name} ({reason})" for name, reason in list(broken.items())[:SHOWN]] + ["..."] * (len(broken) > SHOWN))
        text = f"{len(broken)} of {len(paths)} pictures in {root} cannot be read: {listed}"
        if not skip_broken or not good:
            raise InputError(f"{text}: mend or remove them, or leave them out with --skip-broken")
        print(f"{text}: left out", file=sys.stderr)
    return images[: len(good)], _labels(good, root)


def find(folder, split, official=False):
    """(root, image files) of a split: CelebA's where `official`; else those of the folder's own `train`, `test` and `validation` folders; else by
    a hash of the names.

    Hidden files and folders, and links that lead out of the folder, do not count.
    """
    own = (folder / "train").is_dir() and (folder / "test").is_dir() and not official
    if split == "validation" and not (own and (folder / split).is_dir() or official):
        raise InputError(f"received the folder {folder}, which has no validation split: make folders train, validation and test")
    root = folder / split if own else folder
    inside = root.resolve()
    paths = sorted(
        path for path in root.rglob("*")
        if path.suffix.lower() in SUFFIXES and path.is_file() and inside in path.resolve().parents
        and not any(part.startswith(".") for part in path.relative_to(root).parts)
    )  # fmt: skip
    if not paths:
        raise InputError(f"received the folder {root}, which holds no image ({', '.join(SUFFIXES)}): check the path")
    if official:
        return root, celeba.partition(paths, folder, split)
    if not own:
        paths = [path for path in paths if (_held_out(path, root) == (split == "test"))]
        if not paths:
            raise InputError(f"the {split} split of {root} is empty, it holds too few images: add some, or make folders train and test")
    return root, paths


def read(path, crop=0, side=0, resize="bilinear"):
    """One image as uint8 (height, width, 1 or 3): upright as its EXIF says, 16 bits rounded to 8, on white where it is transparent.

    Raises:
        InputError: a file that is no whole picture, or one of another size than `crop` is for.
    """
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error", Image.DecompressionBombWarning)
            with Image.open(path) as image:
                image = _to_8_bits(ImageOps.exif_transpose(image))
    except Exception as error:  # decoders fail in many ways on bytes that nobody foresaw
        raise _Broken("empty file" if path.stat().st_size == 0 else _reason(error)) from error
    if crop:
        image = celeba.crop(image, crop, path)
    if side:
        image = celeba.resize(image, side, resize)
    pixels = np.asarray(image)
    return pixels if pixels.ndim == 3 else pixels[..., None]


class _Broken(InputError):
    """A file that Pillow cannot decode."""


def _reason(error):
    if isinstance(error, UnidentifiedImageError):
        return "no picture"
    return (str(error).splitlines() or [type(error).__name__])[0][:80]


def _labels(paths, root):
    """Class numbers, in the order of the folders' names, where every picture lies in a folder just below root; else None."""
    classes = [path.relative_to(root).parts[:-1] for path in paths]
    names = sorted(set(classes))
    return np.array([names.index(name) for name in classes]) if len(names) > 1 and all(len(name) == 1 for name in names) else None


def _to_8_bits(image):
    """A Pillow image of any mode -> mode L or RGB."""
    if image.mode.startswith("I"):  # 16 bits: Pillow's own conversion would cut everything above 255
        return Image.fromarray(np.rint(np.asarray(image).astype("float64") / 257).astype("uint8"))
    kind = "L" if image.mode in ("1", "L", "LA", "La") else "RGB"
    if image.has_transparency_data:
        image = Image.alpha_composite(Image.new("RGBA", image.size, "white"), image.convert("RGBA"))
    return image.convert(kind)


def _held_out(path, root):
    """A tenth by a hash of the name, so that the split depends neither on the file system nor on the other files."""
    name = path.relative_to(root).as_posix()
    return hashlib.sha256(name.encode()).digest()[0] < 26  # 26 / 256, about a tenth
