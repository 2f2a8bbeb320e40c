"""Folders in which one process works at a time.

A lock vanishes with its process, however that ends.
"""

import contextlib
import logging
import os
from collections.abc import Iterator
from pathlib import Path

from filelock import FileLock, Timeout

logger = logging.getLogger(__name__)


@contextlib.contextmanager
def held(folder: str | os.PathLike[str], name: str = ".lock") -> Iterator[None]:
    """Holds the lock `name` of a folder; waits while another process holds it."""
    lock = _lock(Path(folder) / name)
    try:
        lock.acquire(blocking=False)
    except Timeout:
        logger.warning("waiting for another process that works in %s", folder)
        lock.acquire()
    try:
        yield
    finally:
        lock.release()


def acquire_now(path: str | os.PathLike[str]) -> FileLock:
    """Locks the file `path`, which is created where there is none.

    Returns:
        FileLock: held until its `release()`, which any thread may call any number of
        times, or until the process ends.

    Raises:
        TimeoutError: another holder has it, in this process or in another one.
    """
    lock = _lock(Path(path))
    lock.acquire(blocking=False)
    return lock


def _lock(path: Path) -> FileLock:
    # The soft fallback is a file that a killed process would leave behind.
    return FileLock(path, thread_local=False, fallback_to_soft=False)
