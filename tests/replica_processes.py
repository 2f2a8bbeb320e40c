"""Processes that train under MirroredStrategy."""

import os
import signal
import subprocess
import sys
from pathlib import Path

TESTS = Path(__file__).parent


def environment():
    """That of this process, in which the project and the tests can be imported."""
    paths = os.pathsep.join([str(TESTS.parent), str(TESTS)])
    return {**os.environ, "PYTHONPATH": paths}


def on_replicas(*arguments):
    """What Python prints with these arguments.

    Rarely TensorFlow 2.21 crashes there in a thread of its own (`tf_Compute`, a jump to
    an address that is no code); the iterator over two devices has just ended. Such a
    process runs again, once; every other failure is one.
    """
    for _ in range(2):
        done = subprocess.run(
            [sys.executable, *map(str, arguments)],
            env=environment(),
            capture_output=True,
            text=True,
        )
        if done.returncode != -signal.SIGSEGV:
            break
    assert done.returncode == 0, (
        f"the process ended with {done.returncode}:\n{done.stderr[-3000:]}"
    )
    return done.stdout
