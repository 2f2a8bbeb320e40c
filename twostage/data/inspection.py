"""`python -m twostage.data`: what is in a data set before training, and what a resize
does to it.
"""

import numpy as np

from twostage.data import celeba, loading, summary
from twostage.data.preprocessing import Preparation
from twostage.data.splits import limited
from twostage.errors import InputError
from twostage.reporting.png import save_png, tile

MONTAGE_IMAGES = 64


def show(config, montage):
    """Prints three lines for each split of the data of a `Stage1Config`, and writes a
    montage of training images (PNG).
    """
    for split, (images, labels) in loading.load_splits(config).items():
        print("\n".join(summary.lines(images, labels, split)))
        if split == "train":
            rows = limited(len(images), min(MONTAGE_IMAGES, len(images)))
            save_png(montage, tile(images[rows] / 255))
    print(f"wrote {montage}")


def _coloured(image):
    return np.broadcast_to(
        image, (*image.shape[:2], 3)
    )  # a folder may hold grey ones too


def compare_resizing(folder, out, crop="128", side=64, count=8):
    """Draws a few pictures of a folder resized by each filter, a row each (Asperti &
    Trentin, Figure 3), and tells how rough each row is.

    Roughness: the mean absolute difference of neighbouring pixels, in grey levels.
    Nearest neighbours' staircases make it the largest.
    """
    if not side:
        raise InputError(
            "received --side 0, expected the side to resize to, such as 64"
        )
    pictures = loading.pictures_of(folder)
    if pictures is None:
        raise InputError(f"received {folder}, expected a folder or a zip of pictures")
    names = list(pictures.files)
    chosen = [names[row] for row in limited(len(names), min(count, len(names)))]
    contents = [pictures.read(item) for item in pictures.items(chosen)]
    prepare = {kind: Preparation(crop, side, kind) for kind in celeba.FILTERS}
    rows = {
        kind: np.stack(
            [
                _coloured(prepare[kind](content, name)[0])
                for name, content in zip(chosen, contents, strict=True)
            ]
        )
        for kind in prepare
    }
    for kind, images in rows.items():
        floats = images.astype("float64")
        roughness = (
            np.abs(np.diff(floats, axis=1)).mean()
            + np.abs(np.diff(floats, axis=2)).mean()
        ) / 2
        print(f"{kind}: roughness {roughness:.2f}")
    save_png(
        out,
        tile(
            np.concatenate([rows[kind] for kind in ("nearest", "bilinear", "bicubic")])
            / 255,
            columns=len(chosen),
        ),
    )
    print(f"wrote {out}: rows nearest, bilinear, bicubic")
