"""What ends a command in one line."""

import contextlib


class InputError(ValueError):
    """Bad input, told in one line: what was received, what was expected, how to mend
    it. Commands exit with status 2.
    """


class Diverged(InputError):
    """A training whose loss is no number any more."""


class Stopped(Exception):
    """A signal was obeyed and everything is saved; the command `again` goes on.
    Commands exit with status 128 + `signal`.
    """

    def __init__(self, text, signal, again):
        super().__init__(text)
        self.signal, self.again = signal, again


def first_line(error):
    """What a library's error says, short enough to stand within a line of ours; the
    name of its kind where it says nothing.
    """
    said = (
        str(error).split("}} ", 1)[-1].strip()
    )  # TensorFlow names a node in double braces first
    return (said or type(error).__name__).splitlines()[0][:120]


@contextlib.contextmanager
def reading():
    """Within: a file or folder that may not be read is told as input, not as a place to
    write to.
    """
    try:
        yield
    except PermissionError as error:
        raise InputError(
            f"received {error.filename}, which cannot be read ({error.strerror}): make"
            " it readable, or remove it"
        ) from error
