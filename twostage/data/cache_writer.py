"""The file in which prepared pictures gather, each at its row, and the note of how far
it is.
"""

import io
import itertools
import math
import os
import shutil
import sys
import time
import warnings

import numpy as np
from joblib import Parallel, cpu_count, delayed  # comes with scikit-learn

from twostage.data.decode import Broken
from twostage.errors import InputError
from twostage.system import files

CHUNK = 32  # pictures a task
FEW = 500  # pictures for which processes would not pay
NOTED = 2.0  # seconds from one note to the next
IDLE = 10  # seconds that a process waits for another split's pictures
# bytes of an `.npy` file before the pixels, for any numbers of up to five digits
HEADER = 128


class Coloured(Exception):
    """A coloured picture after grey ones: all of them need three channels."""


class Part:
    """`part.npy` and `progress.json` in a folder of the cache; what is there of the
    same key goes on.

    Args:
        place: The folder.
        source: The `Source`.
        preparation: The `Preparation`.
        key: What both are, in JSON's types.
        channels: 3 where grey pictures are to become coloured; 0: as the first one is.

    Attributes: `rows`, how many are done; `broken` {name: reason}; `sizes`, the least
    width and height of the pictures and the greatest.
    """

    def __init__(self, place, source, preparation, key, channels=0):
        self.source, self.preparation, self.key = source, preparation, key
        self.path, self._noted = place / "part.npy", place / "progress.json"
        note = files.read_json(self._noted)
        if note.get("key") != key or channels or not self.path.exists():
            note = {
                "rows": 0,
                "shape": None,
                "channels": channels,
                "first": "",
                "sizes": None,
                "broken": {},
            }
            self.path.write_bytes(b"")
        self.rows, self.shape, self.channels, self.first = (
            note["rows"],
            note["shape"],
            note["channels"],
            note["first"],
        )
        self.sizes, self.broken = note["sizes"], note["broken"]

    def fill(self):
        """Prepares what is missing, on all cores.

        Raises:
            Coloured: begin again with 3 channels.
            InputError: a picture that does not go with the others or with the
                preparation.
        """
        self._begun, self._before, self._last = (
            time.monotonic(),
            self.rows,
            time.monotonic(),
        )
        tasks = self._tasks()
        self._check_room(
            self.shape or [self.preparation.side] * 2
        )  # the first pictures alone may be too many
        try:
            while self.shape is None and self.rows < len(
                self.source.names
            ):  # the first picture that is not broken says how large all are
                self._take(_prepare(*next(tasks)))
            missing = len(self.source.names) - self.rows
            self._check_room(self.shape or [0])
            # processes, as threads would wait for Python's lock; joblib's, as they do
            # not run the caller's script again
            workers = Parallel(
                n_jobs=min(cpu_count(), missing // FEW + 1),
                return_as="generator",
                idle_worker_timeout=IDLE,
            )
            for found in workers(delayed(_prepare)(*task) for task in tasks):
                self._take(found)
        finally:
            self._note()
        self._tell(end="\n")

    def _check_room(self, shape):
        missing = len(self.source.names) - self.rows
        needed, free = (
            missing * math.prod(shape),
            shutil.disk_usage(self.path.parent).free,
        )
        if needed > free:
            told = (
                f"{needed / 2**30:.1f} GiB in {self.path.parent}, where"
                f" {free / 2**30:.1f} are free"
            )
            raise InputError(
                f"received {missing:,} pictures of shape {'x'.join(map(str, shape))},"
                f" which take {told}: make room, make them smaller with --side, or"
                " choose another --cache"
            )

    def _tasks(self):
        names, items = self.source.names, self.source.items(self.rows)
        for row in range(self.rows, len(names), CHUNK):
            some = names[row : row + CHUNK]
            layout = self.shape and (len(names), self.first, *self.shape)
            yield (
                self.path,
                layout or (len(names), "", 0, 0, self.channels),
                self.preparation,
                self.source.read,
                some,
                list(itertools.islice(items, CHUNK)),
                row,
            )

    def _take(self, found):
        done, sizes, broken, self.first, *self.shape = found
        self.shape = self.shape if self.shape[0] else None
        self.rows += done
        self.broken |= broken
        for width, height in sizes:
            least_width, least_height, most_width, most_height = self.sizes or (
                width,
                height,
                width,
                height,
            )
            self.sizes = [
                min(width, least_width),
                min(height, least_height),
                max(width, most_width),
                max(height, most_height),
            ]
        if time.monotonic() - self._last > NOTED:
            self._last = time.monotonic()
            self._note()
            self._tell()

    def _note(self):
        """First the pixels, then the word that they are there."""
        with open(self.path, "rb+") as file:
            os.fsync(file.fileno())
        note = {
            "key": self.key,
            "rows": self.rows,
            "shape": self.shape,
            "channels": self.channels,
            "first": self.first,
        }
        files.write_json(
            self._noted, {**note, "sizes": self.sizes, "broken": self.broken}
        )

    def _tell(self, end=""):
        seconds = time.monotonic() - self._begun
        if seconds < NOTED:
            return
        speed, total = (self.rows - self._before) / seconds, len(self.source.names)
        bar = "=" * (20 * self.rows // total)
        start, end = ("\r", end) if sys.stderr.isatty() else ("", "\n")
        left = (
            f"{(total - self.rows) / max(speed, 1e-9):.0f} s left"
            if self.rows < total
            else f"{seconds:.0f} s"
        )
        print(
            f"{start}preparing {self.source.where}: [{bar:20}] {self.rows:,} of"
            f" {total:,}, {speed:,.0f} a second, {left}   ",
            end=end,
            file=sys.stderr,
            flush=True,
        )

    def close_gaps(self, path):
        """Writes the pictures that are not broken, in order, to another file."""
        names, size = self.source.names, int(np.prod(self.shape))
        good = [row for row, name in enumerate(names) if name not in self.broken]
        with open(self.path, "rb") as old, open(path, "wb") as new:
            new.write(header((len(good), *self.shape)))
            for row in good:
                old.seek(HEADER + row * size)
                new.write(old.read(size))


def _prepare(path, layout, preparation, read, names, items, row):
    """Prepares a few pictures, in any process, and writes them to the file.

    `layout`: number of all pictures, name of the first, height, width, channels; zeros:
    as the first picture here is. Returns (number done, sizes, broken, name of the
    first, height, width, channels).
    """
    total, first, height, width, channels = layout
    sizes, broken = [], {}
    with open(path, "rb+", buffering=0) as file, warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of odd metadata
        for offset, (name, item) in enumerate(zip(names, items, strict=False)):
            try:
                pixels, size = preparation(read(item), name)
            except Broken as error:
                broken[name] = str(error)
                continue
            sizes.append(size)
            if not height:
                first, (height, width), channels = (
                    name,
                    pixels.shape[:2],
                    channels or pixels.shape[2],
                )
                file.write(header((total, height, width, channels)))
            if pixels.shape[:2] != (height, width):
                both = (
                    f"{width}x{height} in {first} and"
                    f" {pixels.shape[1]}x{pixels.shape[0]} in {name}"
                )
                raise InputError(
                    f"received pictures of unequal sizes, {both}: make them equal with"
                    " --side 64, or another side, and --crop center or none"
                )
            if pixels.shape[2] > channels:
                raise Coloured
            if pixels.shape[2] < channels:
                pixels = np.repeat(pixels, channels, axis=2)
            content = memoryview(np.ascontiguousarray(pixels)).cast("B")
            place = HEADER + (row + offset) * len(content)
            while content:  # a disk that fills up takes a part first, and fails then
                written = os.pwrite(file.fileno(), content, place)
                content, place = content[written:], place + written
    return len(items), sizes, broken, first, height, width, channels


def header(shape):
    """The first bytes of an `.npy` file of uint8 in C order."""
    found = io.BytesIO()
    np.lib.format.write_array_header_1_0(
        found, {"descr": "|u1", "fortran_order": False, "shape": tuple(shape)}
    )
    if len(found.getvalue()) != HEADER:
        raise InputError(
            f"received {shape[0]} pictures of {shape[2]}x{shape[1]}, more than can be"
            " kept: make them smaller with --side"
        )
    return found.getvalue()
