"""The errors that a caller can fix.

Messages speak Python: code stands in backquotes, as `pad=32` or
`train_stage1(run="runs/mine", resume=True)`. The command line turns it into its own
flags and commands (twostage/cli/errors.py).
"""

import contextlib
import numbers
from collections.abc import Iterator


class InputError(ValueError):
    """Bad input: what was received, what was expected, and how to fix it.

    Commands print it as one line and exit with status 2.

    Args:
        received: What came in, such as "images of 28x28"; the whole message where the
            other two are missing.
        expected: What would have been right, such as "squares of side 8, 16 or 32".
        fix: What to do, such as "pad them with `pad=32`".

    The attribute `problem` is the message without the fix.

    Example:
        >>> str(InputError("`epochs=0`", "at least 1", "leave it out"))
        'received `epochs=0`, expected at least 1: leave it out'
    """

    def __init__(
        self, received: str, expected: str | None = None, fix: str | None = None
    ):
        self.received, self.expected, self.fix = received, expected, fix
        self.problem = received
        if expected is not None:
            self.problem = f"received {received}, expected {expected}"
        super().__init__(f"{self.problem}: {fix}" if fix else self.problem)


class DivergedError(InputError):
    """The loss or a weight of a training is not finite."""


class Interrupted(Exception):
    """A signal stopped the training after everything was saved.

    Commands exit with status 128 + `signal`.

    Args:
        text: What happened, and where the work is saved.
        signal: The signal's number.
        resume: The call that resumes, in Python.
    """

    def __init__(self, text: str, signal: int, resume: str):
        super().__init__(text)
        self.signal, self.resume = signal, resume


def check_whole(name: str, value: object, least: int = 0) -> None:
    """Raises `InputError` unless an argument is a whole number, Python's or NumPy's, of
    at least `least`.

    Example:
        >>> check_whole("n", 3, 1)
    """
    if isinstance(value, bool) or not isinstance(value, numbers.Integral):
        raise InputError(f"`{name}={value!r}`", "a whole number")
    if value < least:
        raise InputError(f"`{name}={value}`", f"at least {least}")


def first_line(error: BaseException) -> str:
    """The first line of a library's error, at most 120 characters; its class's name
    where it has no text.
    """
    # TensorFlow names a node in double braces first
    text = str(error).split("}} ", 1)[-1].strip()
    return (text or type(error).__name__).splitlines()[0][:120]


@contextlib.contextmanager
def reading() -> Iterator[None]:
    """Within: a file or folder without read permission is an input error."""
    try:
        yield
    except PermissionError as error:
        raise InputError(
            f"received {error.filename}, which cannot be read ({error.strerror}): make"
            " it readable, or remove it"
        ) from error
