"""The headers of image files, read before anything is decoded. Their content is kept in
the cache's folder.
"""

import hashlib
import os
import warnings
from collections.abc import Iterable
from pathlib import Path

import PIL

from twostage.data import celeba
from twostage.data.cache import home
from twostage.data.decode import Broken, HeaderInfo, decode, read_header
from twostage.data.image_sizes import ImageSizes, SizeCount
from twostage.data.splits import Source
from twostage.system import files
from twostage.system.locks import held

SECONDS_BEFORE_BAR = 2.0
MAX_SINGLE = 20  # with more, images are of many sizes
FORM = 1  # of what is kept; with another number headers are read again


def image_sizes(
    sources: Iterable[Source], cache: str | os.PathLike[str] | None = None
) -> ImageSizes:
    """The sizes of all images of some sources; files that cannot be read do not count.

    Args:
        sources: The image files.
        cache: The cache's folder; None: `home()`.
    """
    counts: dict[HeaderInfo, SizeCount] = {}
    for source in sources:
        for size in _kept(source, Path(cache or home())):
            earlier = counts.get(HeaderInfo(*size[:3]))
            if earlier is not None:
                size = earlier._replace(count=earlier.count + size.count)
            counts[HeaderInfo(*size[:3])] = size
    return ImageSizes(list(counts.values()))


def _kept(source: Source, cache: Path) -> list[SizeCount]:
    """Those of one source, from the cache's folder or read now."""
    if source.open is None:
        return [SizeCount(*celeba.SIZE, 3, len(source.names), source.names[0])]
    key = {"stamp": source.stamp, "form": FORM, "pillow": PIL.__version__}
    digest = hashlib.sha256(repr(key).encode()).hexdigest()
    place = cache / f"{source.name}-headers-{digest[:8]}"
    place.mkdir(parents=True, exist_ok=True)
    with held(place):
        kept = files.read_json(place / "headers.json")
        if kept.get("key") != key:
            kept = {"key": key, "sizes": _read(source)}
            files.write_json(place / "headers.json", kept)
    return [SizeCount(*size) for size in kept["sizes"]]


def _read(source: Source) -> list[SizeCount]:
    from tqdm.auto import tqdm

    counts: dict[HeaderInfo, SizeCount] = {}
    names = tqdm(
        source.names,
        desc=f"reading sizes of {source.where}",
        unit="image",
        disable=None,
        delay=SECONDS_BEFORE_BAR,
    )
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of odd metadata
        for name in names:
            found = _header(source, name)
            if found is not None:
                size = counts.get(found, SizeCount(*found, 0, name))
                counts[found] = size._replace(count=size.count + 1)
    return _without_broken(source, list(counts.values()))


def _without_broken(source: Source, sizes: list[SizeCount]) -> list[SizeCount]:
    """Without the sizes that a single image has which cannot be decoded: it is reported
    as such, and not as one of another size.
    """
    single = [size for size in sizes if size.count == 1]
    if len(single) > MAX_SINGLE:
        return sizes
    broken = [size for size in single if not _is_whole(source, size.first)]
    return [size for size in sizes if size not in broken]


def _is_whole(source: Source, name: str) -> bool:
    item = next(source.items(source.names.index(name)))
    try:
        decode(source.read(item), name)
    except Broken:
        return False
    return True


def _header(source: Source, name: str) -> HeaderInfo | None:
    """What a header says; None of a file that cannot be read, which is reported when it
    is decoded.
    """
    try:
        with source.open(name) as file:  # type: ignore[misc]
            return read_header(file, name)
    except (Broken, OSError):
        return None
