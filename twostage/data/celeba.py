"""CelebA's partition, crop and resize. The authors' numbers need exactly these: a
nearest-neighbor resize once went unnoticed.
"""

from collections.abc import Sequence
from pathlib import Path, PurePosixPath

from PIL import Image

from twostage.errors import InputError

SIZE = (178, 218)  # of an aligned image, width and height
CROPS = {  # left, top, right, bottom
    "128": (25, 45, 153, 173),  # Dai & Wipf; Asperti & Trentin
    "140": (19, 39, 159, 179),  # Wasserstein and regularized autoencoders
    "148": (15, 35, 163, 183),  # Beta-Sigma VAE: the center
}
COUNTS = {
    "train": 162_770,
    "validation": 19_867,
    "test": 19_962,
}  # of the official partition, in the order of the files' names
FOLDER = "img_align_celeba"
LISTING = "list_eval_partition"  # .txt as the authors give it, .csv as on Kaggle
FILTERS = {
    "bilinear": Image.Resampling.BILINEAR,
    "nearest": Image.Resampling.NEAREST,
    "bicubic": Image.Resampling.BICUBIC,
}


def partition(
    names: Sequence[str], listing: str | None, *, split: str, where: Path
) -> tuple[list[str], str]:
    """A split of all of CelebA.

    Args:
        names: Of all images.
        listing: Text of the authors' listing. None: by the order of the names.
        split: `"train"`, `"validation"` or `"test"`.
        where: Where the images are, for messages.

    Returns:
        (names, rule): the names of the split, and how it was made.

    Raises:
        InputError: the counts are not CelebA's.
    """
    if len(names) != sum(COUNTS.values()):
        raise InputError(
            f"received {len(names)} images in {where}, CelebA has"
            f" {sum(COUNTS.values())}: complete them, take a part with `partial=True`,"
            " or use `crop='center'` for other images"
        )
    ordered = sorted(names, key=lambda name: PurePosixPath(name).name)
    number = list(COUNTS).index(split)
    if listing is None:
        start = sum(list(COUNTS.values())[:number])
        chosen = ordered[start : start + COUNTS[split]]
        return chosen, "CelebA's official partition, by the order of the names"
    numbers = _parse(listing)
    chosen = [
        name for name in ordered if numbers.get(_listed_name(name)) == str(number)
    ]
    if len(chosen) != COUNTS[split]:
        raise InputError(
            f"{LISTING} names {len(chosen)} of the images in {where} as {split},"
            f" expected {COUNTS[split]}: fetch it again, or move it away"
        )
    return chosen, f"CelebA's official partition, by {LISTING}"


def _parse(listing: str) -> dict[str, str]:
    """{file name: number of its split}."""
    numbers = {}
    for line in listing.splitlines():
        parts = line.replace(",", " ").split()
        if len(parts) > 1:
            numbers[parts[0]] = parts[1]
    return numbers


def _listed_name(name: str) -> str:
    return f"{PurePosixPath(name).stem}.jpg"


def crop(image: Image.Image, side: str, *, name: str = "the image") -> Image.Image:
    """The centered square of an aligned CelebA image.

    Args:
        image: A Pillow image.
        side: `"128"`, `"140"` or `"148"`.
        name: For the message.

    Raises:
        InputError: the image is not of 178x218.
    """
    check_size(image.size, side, name=name)
    return image.crop(CROPS[side])


def check_size(size: tuple[int, int], side: str, *, name: str) -> None:
    """Raises `InputError` unless the (width, height) is that of an aligned image."""
    if size != SIZE:
        raise InputError(
            f"received {name} of {size[0]}x{size[1]}, `crop={side!r}` is for"
            f" CelebA's {SIZE[0]}x{SIZE[1]}: use `crop='center', side=64`"
        )


def resize(
    image: Image.Image, size: tuple[int, int], *, kind: str = "bilinear"
) -> Image.Image:
    """As Pillow does, antialiased but for `nearest`. Bilinear at half the side has the
    taps (1, 3, 3, 1) / 8.
    """
    return image.resize(size, FILTERS[kind])
