"""Silence for what frameworks print past Python."""

import contextlib
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
    with open(os.devnull, "w") as nowhere:
        os.dup2(nowhere.fileno(), descriptor)
