"""Preprocessed images on disk: `images.npy`, uint8 and memory-mapped, and
`manifest.json`, which says what is in it.

There is a folder NAME-OPTIONS-KEY per data set. The images are written by all cores,
each to its row, into a file aside, and renamed when all are there; a preparation that
dies is resumed.
"""

import dataclasses
import hashlib
import json
import logging
import os
import signal
import zlib
from pathlib import Path
from typing import Any

import numpy as np
import PIL

from twostage.data.cache_writer import PartialCache
from twostage.data.image_files import UNREADABLE
from twostage.data.preprocessing import Preprocessing
from twostage.data.splits import Source
from twostage.errors import Interrupted
from twostage.system import files
from twostage.system.locks import held

logger = logging.getLogger(__name__)

# of the format; with another number every data set is prepared again
CACHE_FORMAT_VERSION = 1


def home() -> Path:
    """Where preprocessed images are kept unless said otherwise."""
    root = Path(os.environ.get("XDG_CACHE_HOME") or "~/.cache")
    return root.expanduser() / "two-stage-vae"


def prepared(
    source: Source,
    preprocessing: Preprocessing,
    folder: str | os.PathLike[str] | None = None,
) -> tuple[np.ndarray, dict[str, Any]]:
    """The preprocessed images of a source, from the cache or made now.

    Args:
        source: The image files.
        preprocessing: What is done to each.
        folder: The cache's folder; None: `home()`.

    Returns:
        (images, manifest): a read-only memory map, uint8 (N, height, width, 1 or 3),
        without the files that are broken; and a dict: `key` with what it was made of
        (stamp, split, options, versions), `where`, `count`, `crc32` of the images,
        `sizes` (minimum width and height of the images, maximum), `broken` (name:
        reason).

    Raises:
        InputError: images of unequal shapes, or that do not fit the preprocessing.
        Interrupted: Ctrl-C. What is done is kept.
    """
    key = _key(source, preprocessing)
    digest = hashlib.sha256(json.dumps(key, sort_keys=True).encode()).hexdigest()
    place = Path(folder or home()) / f"{source.name}-{preprocessing}-{digest[:8]}"
    place.mkdir(parents=True, exist_ok=True)
    with held(place):
        manifest = _valid(place, key)
        if manifest is None:
            manifest = _make(source, preprocessing, place, key)
        # also those of a process that died before it came to this
        for name in ("progress.json", "part.npy"):
            (place / name).unlink(missing_ok=True)
    if not manifest["count"]:
        return np.empty((0, 1, 1, 1), "uint8"), manifest
    return np.load(place / "images.npy", mmap_mode="r"), manifest


def _key(source: Source, preprocessing: Preprocessing) -> dict[str, Any]:
    return {
        "stamp": source.stamp,
        "pictures": len(source.names),
        "split": source.rule,
        "options": dataclasses.asdict(preprocessing),
        "form": CACHE_FORMAT_VERSION,
        "pillow": PIL.__version__,
    }


def _valid(place: Path, key: dict[str, Any]) -> dict[str, Any] | None:
    """The manifest, where it is this key's and the images are what it says, or None."""
    manifest = files.read_json(place / "manifest.json")
    images = place / "images.npy"
    reasons = manifest.get("broken", {}).values()
    if any(reason.startswith(UNREADABLE) for reason in reasons):
        return None  # it may be readable now
    if manifest.get("key") != key:
        if images.exists():
            logger.warning("%s has no manifest of its own: preparing it again", place)
        return None
    aside = place / ("closed.npy" if manifest["broken"] else "part.npy")
    if aside.exists() and not images.exists():
        # died between the manifest and the images' name
        os.replace(aside, images)
    if not manifest["count"]:
        return manifest
    if images.exists() and _checksum(images) == manifest["crc32"]:
        return manifest
    logger.warning("%s is damaged: preparing it again", images)
    return None


def _make(
    source: Source, preprocessing: Preprocessing, place: Path, key: dict[str, Any]
) -> dict[str, Any]:
    part = _filled(source, preprocessing, place, key)
    count = len(source.names) - len(part.broken)
    aside = part.path
    if part.broken and count:
        aside = place / "closed.npy"
        part.close_gaps(aside)
    manifest = {
        "key": key,
        "where": source.where,
        "count": count,
        "crc32": _checksum(aside) if count else None,
        "sizes": part.sizes,
        "broken": part.broken,
    }
    files.write_json(place / "manifest.json", manifest)
    if count:
        files.rename(aside, place / "images.npy")
    return manifest


def _filled(
    source: Source, preprocessing: Preprocessing, place: Path, key: dict[str, Any]
) -> PartialCache:
    part = PartialCache(place, source, preprocessing, key)
    try:
        part.fill()
    except KeyboardInterrupt:
        raise Interrupted(
            f"stopped at image {part.rows:,} of {len(source.names):,}",
            signal.SIGINT,
            "the same command again",
        ) from None
    return part


def _checksum(path: Path) -> int:
    """CRC-32 of an .npy file with its header, read in pieces: a map of all of it would
    count as memory.
    """
    checksum = 0
    with open(path, "rb") as file:
        while piece := file.read(2**24):
            checksum = zlib.crc32(piece, checksum)
    return checksum
