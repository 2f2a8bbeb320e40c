"""Preparation of a folder of aligned CelebA JPEGs (crop 128, bilinear to 64) against a
plain Pillow loop in one process, on the same files, alternately.

`python benchmarks/prepare_images.py FOLDER [--rounds 5]` prints images per second of
both in each round, the ratio, and this process's peak memory.
"""

import argparse
import resource
import statistics
import tempfile
import time
from pathlib import Path

import numpy as np
from PIL import Image

from twostage.data.cache import prepared
from twostage.data.image_files import Folder
from twostage.data.preprocessing import Preprocessing
from twostage.data.splits import split_of


def plain(paths: list[Path]) -> np.ndarray:
    """What one would write: decode, crop, resize, one image after the other."""
    images = np.empty((len(paths), 64, 64, 3), "uint8")
    for row, path in enumerate(paths):
        with Image.open(path) as image:
            images[row] = np.asarray(
                image.convert("RGB")
                .crop((25, 45, 153, 173))
                .resize((64, 64), Image.Resampling.BILINEAR)
            )
    return images


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder")
    parser.add_argument("--rounds", type=int, default=5)
    options = parser.parse_args()
    source = split_of(Folder(options.folder), "train")
    paths = [Path(options.folder) / name for name in source.names]
    ratios = []
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    for number in range(options.rounds):
        with tempfile.TemporaryDirectory() as folder:
            begun = time.perf_counter()
            images, _ = prepared(source, Preprocessing("128", 64), folder)
            ours = time.perf_counter() - begun
            if number == 0:
                ours_memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
            begun = time.perf_counter()
            theirs_images = plain(paths)
            theirs = time.perf_counter() - begun
            assert np.array_equal(images, theirs_images)
        ratios.append(theirs / ours)
        print(
            f"ours {len(paths) / ours:,.0f} per second, plain loop"
            f" {len(paths) / theirs:,.0f} per second, ratio {ratios[-1]:.2f}",
            flush=True,
        )
    print(
        f"{len(paths)} images: ratio {statistics.median(ratios):.2f} (median of"
        f" {len(ratios)})"
    )
    print(
        f"peak memory: {before / 1024:.0f} MiB before,"
        f" {ours_memory / 1024:.0f} MiB after the first preparation"
    )


if __name__ == "__main__":
    main()
