"""Resumable writer of the cache of preprocessed images: `part.npy`, in which each image
gets its row, and `progress.json`, which says how many rows are done.
"""

import dataclasses
import io
import itertools
import math
import os
import shutil
import time
import warnings
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
from joblib import Parallel, cpu_count, delayed

from twostage.data.decode import Broken
from twostage.data.preprocessing import Preprocessing
from twostage.data.splits import Source
from twostage.errors import InputError
from twostage.system import files

IMAGES_PER_CHUNK = 32
MIN_IMAGES_PER_PROCESS = 500  # fewer would not pay
SECONDS_BETWEEN_SAVES = 2.0
IDLE_WORKER_TIMEOUT = 10  # seconds that a process waits for another split's images
# bytes of an `.npy` file before the pixels, for any numbers of up to five digits
HEADER_BYTES = 128


@dataclasses.dataclass(frozen=True)
class Layout:
    """What all images have in common.

    Args:
        first: Name of the image that set it.
        height: Of each image.
        width: Of each image.
        channels: 1 or 3.
    """

    first: str
    height: int
    width: int
    channels: int

    @property
    def shape(self) -> tuple[int, int, int]:
        return self.height, self.width, self.channels


@dataclasses.dataclass(frozen=True)
class Chunk:
    """Consecutive images, for one task.

    Args:
        first_row: Row of the first one.
        names: Of the images.
        items: What the source's `read` takes, one per image.
        layout: None: as the first image here is.
    """

    first_row: int
    names: Sequence[str]
    items: Sequence[Any]
    layout: Layout | None


@dataclasses.dataclass(frozen=True)
class ChunkResult:
    """The result of a chunk.

    Args:
        count: Images of the chunk.
        sizes: (width, height) in the files, of those that are not broken.
        broken: {name: reason}.
        layout: None where all images so far are broken.
    """

    count: int
    sizes: list[tuple[int, int]]
    broken: dict[str, str]
    layout: Layout | None


@dataclasses.dataclass(frozen=True)
class CacheWriter:
    """Preprocesses images, in any process, and writes them to rows of an `.npy` file.

    Args:
        path: The file, which exists.
        count: Rows of the file.
        preprocessing: What is done to each.
        read: The source's `read`.
    """

    path: Path
    count: int
    preprocessing: Preprocessing
    read: Callable[[Any], bytes]

    def write(self, chunk: Chunk) -> ChunkResult:
        """Writes the images of a chunk.

        Raises:
            InputError: an image of another shape than the others, or one that does not
                go with the preprocessing.
        """
        layout = chunk.layout
        sizes, broken = [], {}
        with open(self.path, "rb+", buffering=0) as file, warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of odd metadata
            for row, name, item in zip(
                itertools.count(chunk.first_row), chunk.names, chunk.items, strict=False
            ):
                try:
                    pixels, size = self.preprocessing(self.read(item), name)
                except Broken as error:
                    broken[name] = str(error)
                    continue
                sizes.append(size)
                if layout is None:
                    layout = Layout(name, *pixels.shape)
                    _write_at(file, 0, header((self.count, *layout.shape)))
                _check_shape(pixels, name, layout)
                content = pixels.tobytes()
                _write_at(file, HEADER_BYTES + row * len(content), content)
        return ChunkResult(len(chunk.items), sizes, broken, layout)


class PartialCache:
    """`part.npy` and `progress.json` in a folder of the cache; resumes where there are
    files of the same key.

    Args:
        folder: The folder.
        source: The image files.
        preprocessing: What is done to each.
        key: What both are, in JSON's types.

    Attributes:
        path: Of `part.npy`.
        rows: How many images are done.
        layout: Of the images; None before the first one that is not broken.
        broken: {name: reason}.
        sizes: The minimum width and height of the images and the maximum; None before
            the first one that is not broken.
    """

    def __init__(
        self,
        folder: Path,
        source: Source,
        preprocessing: Preprocessing,
        key: dict[str, Any],
    ):
        self.source = source
        self.preprocessing = preprocessing
        self.key = key
        self.path = folder / "part.npy"
        self.rows = 0
        self.layout: Layout | None = None
        self.sizes: list[int] | None = None
        self.broken: dict[str, str] = {}
        self._progress_path = folder / "progress.json"
        self._last_save = 0.0
        progress = files.read_json(self._progress_path)
        if progress.get("key") == key and self.path.exists():
            self._restore(progress)
        else:
            self.path.write_bytes(b"")

    def _restore(self, progress: dict[str, Any]) -> None:
        self.rows = progress["rows"]
        if progress["shape"] is not None:
            self.layout = Layout(progress["first"], *progress["shape"])
        self.sizes = progress["sizes"]
        self.broken = progress["broken"]

    def fill(self) -> None:
        """Prepares what is missing, on all cores.

        Raises:
            InputError: an image that does not go with the others or with the
                preprocessing; a full disk.
        """
        from tqdm.auto import tqdm

        total = len(self.source.names)
        self._last_save = time.monotonic()
        # the first images alone may be too many
        side = self.preprocessing.side
        self._check_room(self.layout.shape if self.layout else (side, side))
        try:
            with tqdm(
                desc=f"preparing {self.source.where}",
                total=total,
                initial=self.rows,
                unit="image",
                disable=None,
                delay=SECONDS_BETWEEN_SAVES,
            ) as progress:
                for result in self._results():
                    self._add(result)
                    progress.update(result.count)
        finally:
            self._save_progress()

    def _results(self) -> Iterator[ChunkResult]:
        """Results of all chunks that are missing, in order."""
        total = len(self.source.names)
        writer = CacheWriter(self.path, total, self.preprocessing, self.source.read)
        chunks = self._chunks()
        # the first image that is not broken says how large all are
        while self.layout is None and self.rows < total:
            yield writer.write(next(chunks))
        missing = total - self.rows
        self._check_room(self.layout.shape if self.layout else (0,))
        # processes, as threads would wait for Python's lock; joblib's, as they do not
        # run the caller's script again
        workers = Parallel(
            n_jobs=min(cpu_count(), missing // MIN_IMAGES_PER_PROCESS + 1),
            return_as="generator",
            idle_worker_timeout=IDLE_WORKER_TIMEOUT,
        )
        results: Any = workers(delayed(writer.write)(chunk) for chunk in chunks)
        yield from results

    def _chunks(self) -> Iterator[Chunk]:
        names = self.source.names
        items = self.source.items(self.rows)
        for row in range(self.rows, len(names), IMAGES_PER_CHUNK):
            yield Chunk(
                row,
                names[row : row + IMAGES_PER_CHUNK],
                list(itertools.islice(items, IMAGES_PER_CHUNK)),
                self.layout,
            )

    def _check_room(self, shape: tuple[int, ...]) -> None:
        missing = len(self.source.names) - self.rows
        needed = missing * math.prod(shape)
        free = shutil.disk_usage(self.path.parent).free
        if needed > free:
            raise InputError(
                f"received {missing:,} images of shape {'x'.join(map(str, shape))},"
                f" which take {needed / 2**30:.1f} GiB in {self.path.parent}, where"
                f" {free / 2**30:.1f} are free: make room, make them smaller with"
                " `side`, or choose another `cache`"
            )

    def _add(self, result: ChunkResult) -> None:
        self.layout = result.layout
        self.rows += result.count
        self.broken |= result.broken
        for width, height in result.sizes:
            self.sizes = _extended(self.sizes, width, height)
        if time.monotonic() - self._last_save > SECONDS_BETWEEN_SAVES:
            self._last_save = time.monotonic()
            self._save_progress()

    def _save_progress(self) -> None:
        """First the pixels, then the word that they are there."""
        with open(self.path, "rb+") as file:
            os.fsync(file.fileno())
        progress = {
            "key": self.key,
            "rows": self.rows,
            "shape": list(self.layout.shape) if self.layout else None,
            "first": self.layout.first if self.layout else "",
            "sizes": self.sizes,
            "broken": self.broken,
        }
        files.write_json(self._progress_path, progress)

    def close_gaps(self, path: Path) -> None:
        """Writes the images that are not broken, in order, to another file."""
        if self.layout is None:
            return
        names = self.source.names
        size = math.prod(self.layout.shape)
        whole = [row for row, name in enumerate(names) if name not in self.broken]
        with open(self.path, "rb") as old, open(path, "wb") as new:
            new.write(header((len(whole), *self.layout.shape)))
            for row in whole:
                old.seek(HEADER_BYTES + row * size)
                new.write(old.read(size))


def header(shape: tuple[int, int, int, int]) -> bytes:
    """The first bytes of an `.npy` file of uint8 in C order.

    Raises:
        InputError: they are more than `HEADER_BYTES`.
    """
    file = io.BytesIO()
    np.lib.format.write_array_header_1_0(
        file, {"descr": "|u1", "fortran_order": False, "shape": shape}
    )
    if len(file.getvalue()) != HEADER_BYTES:
        raise InputError(
            f"received {shape[0]} images of {shape[2]}x{shape[1]}, more than can be"
            " kept: make them smaller with `side`"
        )
    return file.getvalue()


def _check_shape(pixels: np.ndarray, name: str, layout: Layout) -> None:
    """Raises `InputError` unless an image has the shape of the others. Headers were
    looked at before; an odd file may say in its pixels what it does not say there.
    """
    height, width, channels = pixels.shape
    if (height, width) != (layout.height, layout.width):
        raise InputError(
            f"images of unequal sizes, {layout.width}x{layout.height} in"
            f" {layout.first} and {width}x{height} in {name}",
            "equal ones",
            "make them equal with `side=64, fit='crop'`",
        )
    if channels != layout.channels:
        raise InputError(
            f"gray and color images, {layout.first} and {name}",
            "images of one kind",
            "make all of them color with `channels=3`, or gray with `channels=1`",
        )


def _write_at(file: BinaryIO | io.FileIO, position: int, content: bytes) -> None:
    """Writes all of it; a disk that fills up takes a part first, and fails then.

    Each chunk has a file object, so a position, of its own; Windows has no `os.pwrite`.
    """
    file.seek(position)
    left = memoryview(content)
    while left:
        written = file.write(left)
        left = left[written:]


def _extended(sizes: list[int] | None, width: int, height: int) -> list[int]:
    """The minimum width and height and the maximum, with one more image."""
    if sizes is None:
        return [width, height, width, height]
    return [
        min(width, sizes[0]),
        min(height, sizes[1]),
        max(width, sizes[2]),
        max(height, sizes[3]),
    ]
