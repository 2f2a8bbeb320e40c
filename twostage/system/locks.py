"""Folders in which one process works at a time.

A lock vanishes with its process, however that ends.
"""

import contextlib
import errno
import logging
import os
from collections.abc import Iterator
from pathlib import Path

from filelock import FileLock, Timeout

from twostage.errors import InputError, first_line

logger = logging.getLogger(__name__)

WITHOUT_LOCKS = (errno.ENOSYS, errno.ENOLCK, errno.EOPNOTSUPP)


@contextlib.contextmanager
def held(folder: str | os.PathLike[str], name: str = ".lock") -> Iterator[None]:
    """Holds the lock `name` of a folder; waits while another process holds it."""
    lock = _lock(Path(folder) / name)
    try:
        _acquire(lock)
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
    _acquire(lock)
    return lock


def _acquire(lock: FileLock) -> None:
    """Acquires a lock that nobody holds."""
    try:
        lock.acquire(blocking=False)
    except (OSError, NotImplementedError) as error:
        # filelock turns ENOSYS into a NotImplementedError
        if isinstance(error, OSError) and error.errno not in WITHOUT_LOCKS:
            raise
        raise InputError(
            f"{Path(lock.lock_file).parent}, on a file system without locks"
            f" ({first_line(error)})",
            "one with them, as a local disk has",
            "choose another folder: `run` for runs, `cache` for prepared images",
        ) from error


def _lock(path: Path) -> FileLock:
    # The soft fallback is a file that a killed process would leave behind.
    return FileLock(path, thread_local=False, fallback_to_soft=False)
