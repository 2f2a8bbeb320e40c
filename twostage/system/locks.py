"""Folders in which one process works at a time."""

import contextlib
import fcntl
import sys


@contextlib.contextmanager
def held(place, name=".lock"):
    """Holds a folder, or a thing in it that has a lock of its own; waits until another
    process has let go of it.
    """
    with open(place / name, "w") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            print(f"waiting for another process that works in {place}", file=sys.stderr)
            fcntl.flock(file, fcntl.LOCK_EX)
        yield
