"""An error that a user can fix ends a command with one line, in flags and commands."""

import ast
import contextlib
import dataclasses
import errno
import logging
import re
import sys
from collections.abc import Callable, Iterator

from twostage.cli.invocation import command, quoted
from twostage.config import Stage1Config, Stage2Config
from twostage.errors import InputError, Interrupted, first_line
from twostage.system.output import discard_output, escape_unprintable

_ROOM, _RIGHTS, _PLACE = (
    "make room",
    "make the folder writable, or choose another",
    "choose a folder that exists, or can be made",
)
UNWRITABLE = {
    errno.ENAMETOOLONG: _PLACE,
    errno.ENOSPC: _ROOM,
    getattr(errno, "EDQUOT", errno.ENOSPC): _ROOM,  # Windows has none
    errno.EFBIG: _ROOM,
    errno.EROFS: _RIGHTS,
    errno.EACCES: _RIGHTS,
    errno.EPERM: _RIGHTS,
    errno.ENOTDIR: _PLACE,
    errno.EEXIST: _PLACE,
}
AGAIN = "the same command again"
RESUME = "the same command with --resume (without it if there is no run folder yet)"
# The function that each command calls, as messages of the library name it.
FUNCTIONS = {
    "train_stage1": "train-stage1",
    "train_stage2": "train-stage2",
    "evaluate_run": "evaluate",
    "export_run": "export",
}
# Arguments that are flags; those of configs come from their fields.
FLAGS = {
    field.name
    for kind in (Stage1Config, Stage2Config)
    for field in dataclasses.fields(kind)
} | {
    "preset",
    "run",
    "resume",
    "n",
    "out",
    "extractor",
    "weights",
    "protocol",
    "quirk",
    "samples",
    "mixtures",
    "mixture",
    "method",
    "recalibrate",
    "format",
    "grid",
    "half_samples",
    "bound_images",
    "importance_samples",
    "seeds",
    "quick",
    "keras",
    "host",
    "port",
}


def guarded(function: Callable, *arguments: object, again: str = AGAIN) -> None:
    """Calls `function`; an error that a user can fix ends the process with one line on
    standard error and status 2.

    Args:
        again: How one resumes, for the message.
    """
    escape_unprintable()
    try:
        with log_to_terminal():
            function(*arguments)
        sys.stdout.flush()
    except BrokenPipeError:
        discard_output(1)  # the pipe was closed, as by `| head`
    except InputError as error:
        _exit(f"error: {in_flags(str(error))}")
    except OSError as error:
        if error.errno not in UNWRITABLE:
            raise
        where = f"{error.filename} was not written: " if error.filename else ""
        _exit(
            f"error: {where}{error.strerror}: {UNWRITABLE[error.errno]}; everything"
            f" saved before is intact, resume by {again}"
        )
    except Interrupted as stopped:
        resume = in_flags(stopped.resume) if again == RESUME else again
        _exit(f"{stopped}; resume by {resume}", 128 + stopped.signal)
    except KeyboardInterrupt:
        _exit(f"\nstopped; resume by {again}", 130)
    except Exception as error:
        if not _out_of_memory(error):
            raise
        _exit(
            f"error: there is not enough memory ({first_line(error)}): use smaller"
            " images, networks or batches, fewer images at once, or a machine with"
            " more; everything saved before is intact"
        )


class Terminal(logging.Handler):
    """Prints what the library logs: information on standard output, warnings on
    standard error.
    """

    def emit(self, record: logging.LogRecord) -> None:
        from tqdm import tqdm

        stream = sys.stderr if record.levelno >= logging.WARNING else sys.stdout
        try:
            # above the bars that there may be
            tqdm.write(in_flags(self.format(record)), file=stream)
            stream.flush()
        except BrokenPipeError:
            # the pipe was closed, as by `| head`: the command goes on without output
            discard_output(stream.fileno())


@contextlib.contextmanager
def log_to_terminal() -> Iterator[None]:
    """Within, what the library logs is printed."""
    logger, terminal = logging.getLogger("twostage"), Terminal()
    level = logger.level
    logger.setLevel(logging.INFO)
    logger.addHandler(terminal)
    try:
        yield
    finally:
        logger.removeHandler(terminal)
        logger.setLevel(level)


def in_flags(text: str) -> str:
    """A library message with its Python, in backquotes, as flags and commands.

    Example:
        >>> in_flags("pad them with `pad=32`, or drop `partial`")
        'pad them with --pad 32, or drop --partial'
    """
    return re.sub(r"`([^`\n]+)`", lambda code: _translated(code[1]), text)


def _translated(code: str) -> str:
    try:
        parsed = ast.parse(f"_({code})", mode="eval").body
    except SyntaxError:
        return f"`{code}`"
    if not isinstance(parsed, ast.Call):
        return f"`{code}`"
    if not parsed.args:
        flags = _flags(parsed.keywords)
        return f"`{code}`" if flags is None else " ".join(flags)
    first = parsed.args[0]
    if isinstance(first, ast.Name) and first.id in FLAGS:
        return f"--{first.id.replace('_', '-')}"
    if isinstance(first, ast.Call) and isinstance(first.func, ast.Name):
        flags = _flags(first.keywords)
        if first.func.id in FUNCTIONS and flags is not None:
            return f"`{' '.join([command(FUNCTIONS[first.func.id]), *flags])}`"
    return f"`{code}`"


def _flags(keywords: list[ast.keyword]) -> list[str] | None:
    """The flags of keyword arguments; None where one is no flag of ours."""
    flags = []
    for keyword in keywords:
        if keyword.arg not in FLAGS:
            return None
        value = _value(keyword.value)
        flags.append("--" + keyword.arg.replace("_", "-"))
        if isinstance(value, (list, tuple)):
            flags.extend(map(str, value))
        elif value is not True:
            flags.append(quoted(value))
    return flags


def _value(node: ast.expr) -> object:
    """What is written there; what is no literal, such as nan and -inf, as text."""
    try:
        return ast.literal_eval(node)
    except ValueError:
        return ast.unparse(node)


def _exit(line: str, status: int = 2) -> None:
    print(line, file=sys.stderr)
    sys.exit(status)


def _out_of_memory(error: Exception) -> bool:
    """NumPy's, TensorFlow's and JAX's ways to report it, compared by name as neither
    framework may be installed.
    """
    return (
        isinstance(error, MemoryError)
        or type(error).__name__ == "ResourceExhaustedError"
        or "RESOURCE_EXHAUSTED" in str(error)
    )
