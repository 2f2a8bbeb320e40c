"""What a user can mend ends a command in one line."""

import errno
import sys

from twostage.errors import InputError, Interrupted, first_line

_ROOM, _RIGHTS, _PLACE = (
    "make room",
    "make the folder writable, or choose another",
    "choose a folder that is there, or can be made",
)
RESUME = "the same command and --resume (without it where there is no run folder yet)"
UNWRITABLE = {
    errno.ENAMETOOLONG: _PLACE,
    errno.ENOSPC: _ROOM,
    errno.EDQUOT: _ROOM,
    errno.EFBIG: _ROOM,
    errno.EROFS: _RIGHTS,
    errno.EACCES: _RIGHTS,
    errno.EPERM: _RIGHTS,
    errno.ENOTDIR: _PLACE,
    errno.EEXIST: _PLACE,
}


def guarded(command, *arguments, again="the same command again"):
    """Calls a command; what a user can mend ends the process with one line on standard
    error and status 2. `again`: by what one goes on.
    """
    try:
        command(*arguments)
    except InputError as error:
        print(f"error: {error}", file=sys.stderr)
        sys.exit(2)
    except OSError as error:
        if error.errno not in UNWRITABLE:
            raise
        where = f"{error.filename} was not written: " if error.filename else ""
        print(
            f"error: {where}{error.strerror}: {UNWRITABLE[error.errno]}; what was saved"
            f" before is whole, go on by {again}",
            file=sys.stderr,
        )
        sys.exit(2)
    except Interrupted as stopped:
        told = f"{stopped}; go on by {stopped.again if again == RESUME else again}"
        print(
            f"\n{told}" if sys.stdout.isatty() else told, file=sys.stderr
        )  # after a progress bar
        sys.exit(128 + stopped.signal)
    except KeyboardInterrupt:
        print(f"\nstopped; go on by {again}", file=sys.stderr)
        sys.exit(130)
    except Exception as error:
        if not _out_of_memory(error):
            raise
        print(
            f"error: there is not enough memory ({first_line(error)}): take smaller"
            " images, networks or batches, or a machine with more; what was saved"
            " before is whole",
            file=sys.stderr,
        )
        sys.exit(2)


def _out_of_memory(error):
    """NumPy's, TensorFlow's and JAX's ways to say so, known by name as neither
    framework may be there.
    """
    return (
        isinstance(error, MemoryError)
        or type(error).__name__ == "ResourceExhaustedError"
        or "RESOURCE_EXHAUSTED" in str(error)
    )
