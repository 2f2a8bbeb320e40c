"""A small run of both stages on digits, by the scripts themselves."""

import os
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[1]
SMALL = [
    "--base-dim",
    "4",
    "--fc-dim",
    "16",
    "--latent-dim",
    "4",
    "--epochs",
    "2",
    "--watch-every",
    "1",
]


def python(*arguments, **environment):
    done = subprocess.run(
        [sys.executable, *map(str, arguments)],
        capture_output=True,
        text=True,
        cwd=ROOT,
        env={**os.environ, **environment},
    )
    assert done.returncode == 0, done.stderr[-3000:]
    return done.stdout


def train(folder):
    """What stage 1 and stage 2 printed."""
    run = ["--run", folder]
    second = ["--width", 16, "--epochs", 2, "--watch-every", 1]
    second += ["--sampling", "normalized"]
    return (
        python("train_stage1.py", *run, *SMALL),
        python("train_stage2.py", *run, *second),
    )
