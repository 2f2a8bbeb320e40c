"""Training on several devices and by several processes: what one would find."""

import csv
import os
import shutil
import socket
import subprocess
import sys
from pathlib import Path

import keras
import numpy as np
import pytest

from twostage.cli.main import COMMANDS
from twostage.data.batches import Batches, flip
from twostage.errors import InputError
from twostage.models.posterior import draw_latents
from twostage.training import distribution, fit

ROOT = Path(__file__).parents[1]
FLAGS = [
    "--base-dim",
    "4",
    "--fc-dim",
    "16",
    "--latent-dim",
    "4",
    "--watch-every",
    "1",
    "--flip",
    "--epochs",
    "2",
    "--limit",
    "400",
]
SCRIPT = (  # the SavedModel has tests of its own
    "from twostage.cli import train; from twostage.training import fit;"
    " train._export = lambda run, number: None; fit.EPSILON = {epsilon};"
    " train.stage{stage}()"
)
# A bias before a batch normalization has no gradient but rounding. With its own
# epsilon Adam makes a whole step of it, and moving averages, so validation, follow.
LARGE_EPSILON = 1.0
BACKEND = keras.backend.backend()


def started(script, arguments, environment):
    environment = {
        **os.environ,
        "PYTHONPATH": str(ROOT),
        "JAX_PLATFORMS": "cpu",
        **environment,
    }
    return subprocess.Popen(
        [sys.executable, "-c", script, *arguments],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=environment,
    )


def history(run, stage=1):
    with open(run / f"stage{stage}" / "history.csv", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    return [
        {
            name: float(value)
            for name, value in row.items()
            if name != "seconds_per_step"
        }
        for row in rows
    ]


def by_two(stage, run, arguments, scratch):
    """What two processes over the loopback say that train a stage of a run together."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        address = f"127.0.0.1:{free.getsockname()[1]}"
    names = (distribution.ADDRESSES, distribution.COUNT, distribution.NUMBER)
    processes = [
        started(
            SCRIPT.format(stage=stage, epsilon=LARGE_EPSILON),
            ["--run", str(run), "--distribute", *arguments],
            {
                "TMPDIR": str(scratch),
                **dict(zip(names, (address, "2", str(number)), strict=True)),
            },
        )
        for number in (0, 1)
    ]
    said = [process.communicate(timeout=300) for process in processes]
    assert [process.returncode for process in processes] == [0, 0], said
    assert "on 2 devices, 50 examples each" in said[0][0] and said[1][0] == ""
    assert os.listdir(scratch) == []


@pytest.mark.skipif(BACKEND != "jax", reason="several processes need JAX")
def test_two_processes_train_as_one(tmp_path, monkeypatch):
    """Over the loopback, by the commands of both stages: the same history and output,
    one run folder, a copy that is gone, one voice.
    """
    (tmp_path / "scratch").mkdir()
    images, u = (
        np.random.default_rng(0).integers(0, 256, (20, 8, 8, 1), "uint8"),
        np.random.default_rng(0).standard_normal((20, 4), dtype="float32"),
    )
    both, one = tmp_path / "both", tmp_path / "one"
    monkeypatch.setattr(fit, "EPSILON", LARGE_EPSILON)
    by_two(1, both, FLAGS, tmp_path / "scratch")
    COMMANDS["train-stage1"](["--run", str(one), *FLAGS])
    agree(both, one, 1, images)
    shutil.rmtree(both)
    shutil.copytree(one, both)
    second = ["--width", "16", "--epochs", "2", "--watch-every", "1"]
    by_two(2, both, second, tmp_path / "scratch")
    COMMANDS["train-stage2"](["--run", str(one), *second])
    agree(both, one, 2, u)


def agree(ours, theirs, stage, x):
    """Two runs' histories of a stage and their models' outputs, up to rounding."""
    for mine, other in zip(history(ours, stage), history(theirs, stage), strict=True):
        assert mine == pytest.approx(other, rel=1e-5, abs=1e-6)
    outputs = (
        keras.saving.load_model(
            run / f"stage{stage}" / "model.keras", compile=False
        ).predict(x, verbose=0)
        for run in (ours, theirs)
    )
    np.testing.assert_allclose(*outputs, rtol=0, atol=1e-5)


@pytest.mark.slow
@pytest.mark.skipif(BACKEND != "tensorflow", reason="MirroredStrategy is TensorFlow's")
def test_two_devices_train_nearly_as_one(tmp_path, monkeypatch):
    """Two logical CPUs. Batch normalization and noise are each replica's own, so the
    loss is near, not equal.
    """
    devices = (
        "import tensorflow as tf;"
        " cpu = tf.config.list_physical_devices('CPU')[0];"
        " tf.config.set_logical_device_configuration(cpu,"
        " [tf.config.LogicalDeviceConfiguration()] * 2); "
    )
    process = started(
        devices + SCRIPT.format(stage=1, epsilon=fit.EPSILON),
        ["--run", str(tmp_path / "both"), "--distribute", *FLAGS],
        {},
    )
    COMMANDS["train-stage1"](["--run", str(tmp_path / "one"), *FLAGS])
    out, error = process.communicate(timeout=300)
    assert process.returncode == 0 and "on 2 devices, 50 examples each" in out, error
    for ours, theirs in zip(
        history(tmp_path / "both"), history(tmp_path / "one"), strict=True
    ):
        assert ours["loss"] == pytest.approx(theirs["loss"], rel=0.1)


def test_processes_share_a_batch(monkeypatch):
    """Rows, flips and redrawn latents of three processes, side by side, are one
    process's.
    """
    images = np.random.default_rng(0).integers(0, 256, (40, 4, 4, 1), "uint8")
    moments = np.random.default_rng(1).standard_normal((40, 2, 5), dtype="float32")
    for data, transform in ((images, None), (images, flip), (moments, draw_latents)):
        whole = Batches(data, 12, 3, transform)
        parts = []
        for number in range(3):
            monkeypatch.setattr(
                "twostage.data.batches._this_process", lambda number=number: (number, 3)
            )
            parts.append(Batches(data, 12, 3, transform))
        monkeypatch.undo()
        for index in range(3):
            np.testing.assert_array_equal(
                np.concatenate([part[index][0] for part in parts]), whole[index][0]
            )


def test_what_is_missing_is_reported(monkeypatch, tmp_path):
    monkeypatch.setenv(distribution.COUNT, "2")
    with pytest.raises(
        InputError,
        match="without KERAS_DISTRIBUTION_PROCESS_ID, KERAS_DISTRIBUTION_JOB_ADDRESSES",
    ):
        distribution.join(tmp_path)
    monkeypatch.setenv(distribution.ADDRESSES, "127.0.0.1:1")
    for number in ("a", "2", "-1"):
        monkeypatch.setenv(distribution.NUMBER, number)
        with pytest.raises(
            InputError,
            match=(
                f"PROCESSES=2 and KERAS_DISTRIBUTION_PROCESS_ID={number}, expected a"
                " number of processes and one from 0 to below it"
            ),
        ):
            distribution.join(tmp_path)
    if BACKEND != "jax":
        monkeypatch.setenv(distribution.NUMBER, "0")
        with pytest.raises(
            InputError, match="several processes need JAX: set KERAS_BACKEND=jax"
        ):
            distribution.join(tmp_path)
