"""What standard output shows: nothing of what frameworks print past Python, and any
character of ours.
"""

import contextlib
import io
import os
import sys
from collections.abc import Iterator


@contextlib.contextmanager
def suppress_output(descriptor: int) -> Iterator[None]:
    """Within: nothing comes out of a file descriptor.

    Args:
        descriptor: 1, standard output, or 2, standard error.
    """
    stream = sys.stdout if descriptor == 1 else sys.stderr
    stream.flush()
    original = os.dup(descriptor)
    discard_output(descriptor)
    try:
        yield
    finally:
        os.dup2(original, descriptor)
        os.close(original)


def discard_output(descriptor: int) -> None:
    """From now on nothing comes out of a file descriptor."""
    with open(os.devnull, "w", encoding="utf-8") as nowhere:
        os.dup2(nowhere.fileno(), descriptor)


def escape_unprintable() -> None:
    """From now on standard output shows a character that its encoding lacks as an
    escape, such as `\\u65e5`. A path may hold any character, and on Windows a pipe
    takes those of one language alone.
    """
    if isinstance(sys.stdout, io.TextIOWrapper):  # a notebook's takes all
        sys.stdout.reconfigure(errors="backslashreplace")
