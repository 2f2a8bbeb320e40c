"""Silence for what frameworks print past Python."""

import contextlib
import os
import sys


@contextlib.contextmanager
def suppress_output(number):
    """Within, nothing comes out of a file descriptor: 1, standard output, or 2,
    standard error.
    """
    (sys.stdout, sys.stderr)[number - 1].flush()
    kept = os.dup(number)
    discard_output(number)
    try:
        yield
    finally:
        os.dup2(kept, number)
        os.close(kept)


def discard_output(number):
    """From now on nothing comes out of a file descriptor."""
    with open(os.devnull, "w") as nowhere:
        os.dup2(nowhere.fileno(), number)
