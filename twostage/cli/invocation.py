"""How the user called the program, so that help and advice name it the same way."""

import os
import shlex
import subprocess
import sys
from pathlib import Path

SCRIPTS = {"train-stage1": "train_stage1.py", "train-stage2": "train_stage2.py"}


def program() -> str:
    """`twostage` where it is installed and was called so, else `python -m twostage`."""
    return "twostage" if Path(sys.argv[0]).stem == "twostage" else "python -m twostage"


def command(name: str, *arguments: object) -> str:
    """The shell command of a sub-command: `python train_stage2.py --run runs/mine`
    where the user works with the scripts, else as `program` says.
    """
    by_script = Path(sys.argv[0]).name in SCRIPTS.values()
    first = (
        f"python {SCRIPTS[name]}"
        if by_script and name in SCRIPTS
        else f"{program()} {name}"
    )
    return " ".join([first, *map(quoted, arguments)])


def quoted(argument: object) -> str:
    """An argument as the machine's shell takes it. `cmd.exe` knows no single quotes."""
    if os.name == "nt":
        return subprocess.list2cmdline([str(argument)])
    return shlex.quote(str(argument))
