"""Prepared pictures on disk: `images.npy`, uint8 and memory-mapped, and
`manifest.json`, which says what is in it.

A folder NAME-OPTIONS-KEY a set. The images are written by all cores, each to its row,
into a file aside, and renamed when all are there; a preparation that dies goes on where
it was.
"""

import dataclasses
import hashlib
import json
import os
import signal
import sys
import zlib
from pathlib import Path

import numpy as np
import PIL

from twostage.data.cache_writer import Coloured, Part
from twostage.errors import Interrupted
from twostage.system import files
from twostage.system.locks import held

FORM = 1  # of what is written here; another number makes every set anew


def home():
    """Where prepared pictures are kept unless said otherwise."""
    return (
        Path(os.environ.get("XDG_CACHE_HOME") or "~/.cache").expanduser()
        / "two-stage-vae"
    )


def prepared(source, preparation, folder=None):
    """The prepared pictures of a `Source`, from the cache or made now.

    Args:
        source: The `Source`.
        preparation: The `Preparation`.
        folder: The cache's folder; None: `home()`.

    Returns:
        (images, manifest): a read-only memory map, uint8 (N, height, width, 1 or 3),
        without the files that are broken; and a dict: `key` with what it was made of
        (stamp, split, options, versions), `where`, `count`, `crc32` of the images,
        `sizes` (least width and height of the pictures, greatest), `broken` (name:
        reason).

    Raises:
        InputError: pictures of unequal sizes, or that do not fit the preparation.
        Interrupted: Ctrl-C. What is done is kept.
    """
    key = {
        "stamp": source.stamp,
        "pictures": len(source.names),
        "split": source.rule,
        "options": dataclasses.asdict(preparation),
        "form": FORM,
        "pillow": PIL.__version__,
    }
    digest = hashlib.sha256(json.dumps(key, sort_keys=True).encode()).hexdigest()
    place = Path(folder or home()) / f"{source.name}-{preparation}-{digest[:8]}"
    place.mkdir(parents=True, exist_ok=True)
    with held(place):
        manifest = _valid(place, key)
        if manifest is None:
            manifest = _make(source, preparation, place, key)
        for name in (
            "progress.json",
            "part.npy",
        ):  # also those of a process that died before it came to this
            (place / name).unlink(missing_ok=True)
    images = (
        np.load(place / "images.npy", mmap_mode="r")
        if manifest["count"]
        else np.empty((0, 1, 1, 1), "uint8")
    )
    return images, manifest


def _valid(place, key):
    """The manifest, where it is this key's and the images are what it says; else None."""
    manifest = files.read_json(place / "manifest.json")
    if manifest.get("key") != key:
        if (place / "images.npy").exists():
            print(
                f"{place} has no manifest of its own: it is made anew", file=sys.stderr
            )
        return None
    images = place / "images.npy"
    aside = place / ("closed.npy" if manifest["broken"] else "part.npy")
    if (
        aside.exists() and not images.exists()
    ):  # died between the manifest and the images' name
        os.replace(aside, images)
    if manifest["count"] and not (
        images.exists() and _checksum(images) == manifest["crc32"]
    ):
        print(f"{images} is damaged: it is made anew", file=sys.stderr)
        return None
    return manifest


def _make(source, preparation, place, key):
    part = Part(place, source, preparation, key)
    try:
        try:
            part.fill()
        except Coloured:
            part = Part(place, source, preparation, key, channels=3)
            part.fill()
    except KeyboardInterrupt:
        raise Interrupted(
            f"stopped at picture {part.rows:,} of {len(source.names):,}",
            signal.SIGINT,
            "the same command again",
        ) from None
    count, aside = len(source.names) - len(part.broken), part.path
    if part.broken and count:
        aside = place / "closed.npy"
        part.close_gaps(aside)
    crc32 = _checksum(aside) if count else None
    manifest = {
        "key": key,
        "where": source.where,
        "count": count,
        "crc32": crc32,
        "sizes": part.sizes,
        "broken": part.broken,
    }
    files.write_json(place / "manifest.json", manifest)
    if count:
        files.rename(aside, place / "images.npy")
    return manifest


def _checksum(path):
    """CRC-32 of an .npy file with its header, read in pieces: a map of all of it would
    count as memory.
    """
    found = 0
    with open(path, "rb") as file:
        while piece := file.read(2**24):
            found = zlib.crc32(piece, found)
    return found
