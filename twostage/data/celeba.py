"""CelebA's partition, crop and resize. The authors' figures need exactly these: a
nearest-neighbour resize went unnoticed once.
"""

from pathlib import PurePosixPath

from PIL import Image

from twostage.errors import InputError

SIZE = (178, 218)  # of an aligned picture, width and height
CROPS = {  # left, top, right, bottom
    "128": (25, 45, 153, 173),  # Dai & Wipf; Asperti & Trentin
    "140": (19, 39, 159, 179),  # Wasserstein and regularised autoencoders
    "148": (15, 35, 163, 183),  # Beta-Sigma VAE: the centre
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


def partition(names, listing, split, where):
    """(names, rule) of a split of all of CelebA: by the text of the authors' listing,
    or without it (None) by the order of the names.

    Raises:
        InputError: the counts are not CelebA's.
    """
    if len(names) != sum(COUNTS.values()):
        raise InputError(
            f"received {len(names)} pictures in {where}, CelebA has"
            f" {sum(COUNTS.values())}: complete them, take a part with --partial, or"
            " use --crop center for other pictures"
        )
    ordered = sorted(names, key=lambda name: PurePosixPath(name).name)
    number = list(COUNTS).index(split)
    if listing is None:
        start = sum(list(COUNTS.values())[:number])
        return (
            ordered[start : start + COUNTS[split]],
            "CelebA's official partition, by the order of the names",
        )
    of = dict(
        parts[:2]
        for line in listing.splitlines()
        if len(parts := line.replace(",", " ").split()) > 1
    )
    chosen = [
        name
        for name in ordered
        if of.get(f"{PurePosixPath(name).stem}.jpg") == str(number)
    ]
    if len(chosen) != COUNTS[split]:
        raise InputError(
            f"{LISTING} names {len(chosen)} of the pictures in {where} as {split},"
            f" expected {COUNTS[split]}: fetch it again, or move it away"
        )
    return chosen, f"CelebA's official partition, by {LISTING}"


def crop(image, side, name="the picture"):
    """The centred square of an aligned CelebA picture (a Pillow image), side `"128"`,
    `"140"` or `"148"`.
    """
    if image.size != SIZE:
        raise InputError(
            f"received {name} of {image.width}x{image.height}, --crop {side} is for"
            f" CelebA's {SIZE[0]}x{SIZE[1]}: use --crop center --side 64"
        )
    return image.crop(CROPS[side])


def resize(image, side, kind="bilinear"):
    """As Pillow does, antialiased but for `nearest`. Bilinear at half the side has the
    taps (1, 3, 3, 1) / 8.
    """
    return image.resize((side, side), FILTERS[kind])
