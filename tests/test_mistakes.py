"""What a newcomer gets wrong ends in one line that says how to mend it."""

import subprocess
import sys

import numpy as np
import pytest
from PIL import Image
from small_run import ROOT
from test_folders import write_images

from twostage.cli.main import COMMANDS


def mistake(capsys, command, *arguments):
    """The one line on standard error of a command that ends with status 2."""
    capsys.readouterr()
    with pytest.raises(SystemExit) as stopped:
        command([str(a) for a in arguments])
    lines = capsys.readouterr().err.strip().splitlines()
    assert (
        stopped.value.code == 2 and len(lines) == 1 and lines[0].startswith("error: ")
    ), lines
    return lines[0]


def test_newcomers_mistakes_end_in_one_line(tmp_path, capsys, small_run):
    empty, sizes = tmp_path / "empty", tmp_path / "sizes"
    for folder in (empty, sizes):
        folder.mkdir()
    for i in range(40):
        Image.new("RGB", (16, 16 + i % 2)).save(sizes / f"{i}.png")
    np.save(tmp_path / "x.npy", np.zeros((200, 28, 28), "uint8"))
    np.savez(
        tmp_path / "unequal.npz",
        x_train=np.zeros((200, 32, 32, 3), "uint8"),
        x_test=np.zeros((20, 28, 28), "uint8"),
    )
    new = ["--run", tmp_path / "run"]
    for command, arguments, words in (
        (
            COMMANDS["train-stage1"],
            ["--preset", "minst", *new],
            "received preset 'minst', expected one of digits, mnist",
        ),
        (COMMANDS["train-stage1"], ["--data", empty, *new], "holds no image"),
        (COMMANDS["train-stage1"], ["--data", sizes, *new], "unequal sizes"),
        (
            COMMANDS["train-stage1"],
            ["--data", tmp_path / "x.npy", *new],
            (
                "28x28, expected squares of side 8, 16, 32, 64, 128: pad them"
                " with --pad 32"
            ),
        ),
        (
            COMMANDS["train-stage1"],
            ["--data", tmp_path / "nowhere", *new],
            "check the path",
        ),
        (
            COMMANDS["train-stage1"],
            ["--batch-size", "5000", *new],
            "at least one batch of 5000",
        ),
        (
            COMMANDS["train-stage1"],
            ["--gamma", "magic", *new],
            (
                "received --gamma magic, expected one of computed, learned, fixed,"
                " scheduled"
            ),
        ),
        (
            COMMANDS["train-stage1"],
            ["--epochs", "0", *new],
            "received --epochs 0, expected more than 0",
        ),
        (
            COMMANDS["train-stage1"],
            ["--epochs", "ten", *new],
            "invalid int value: 'ten'",
        ),
        (
            COMMANDS["train-stage1"],
            ["--epoch", "3", *new],
            "unrecognized arguments: --epoch 3",
        ),
        (
            COMMANDS["train-stage1"],
            ["--resume", *new],
            "does not exist: start it without --resume",
        ),
        (
            COMMANDS["train-stage2"],
            new,
            (
                "a finished stage 1 is needed: check --run, or run `python"
                " train_stage1.py --run"
            ),
        ),
        (
            COMMANDS["train-stage1"],
            ["--run", small_run[0]],
            (
                f"resume it by `python train_stage1.py --run {small_run[0]}"
                " --resume`, or start another run by"
            ),
        ),
        (
            COMMANDS["train-stage2"],
            ["--run", small_run[0]],
            (
                f"`python train_stage2.py --run {small_run[0]} --resume`, remove"
                f" {small_run[0]}/stage2 to start it over, or start another run by"
                " `python train_stage1.py"
            ),
        ),
        (
            COMMANDS["train-stage1"],
            ["--run", small_run[0], "--resume", "--epochs", "9"],
            "stage2 was trained on this stage 1 as it is: remove",
        ),
        (
            COMMANDS["train-stage1"],
            ["--run", small_run[0], "--resume", "--kl-weight", "2"],
            "other settings (kl_weight 1.0 -> 2.0)",
        ),
        (
            COMMANDS["train-stage2"],
            ["--run", small_run[0], "--preset", "mnist"],
            "was started with preset digits, received mnist",
        ),
        (
            COMMANDS["train-stage1"],
            ["--seed", 2**32, *new],
            "received --seed 4294967296, expected less than 2**32",
        ),
        (
            COMMANDS["train-stage1"],
            ["--run", tmp_path / "x.npy" / "run", "--limit", "200"],
            "Not a directory: choose a folder that is there, or can be made",
        ),
        (
            COMMANDS["evaluate"],
            ["--run", small_run[0], "--seed", "-1"],
            "received --seed -1, expected at least 0",
        ),
        (COMMANDS["sample"], new, "holds no SavedModel"),
        (
            COMMANDS["sample"],
            [*new, "--n", 2**32 + 1],
            "expected numbers below 2147483648",
        ),
        (
            COMMANDS["sample"],
            [*new, "--seed", 2**31],
            "expected numbers below 2147483648",
        ),
        (
            COMMANDS["train-stage1"],
            ["--run", tmp_path / ("x" * 300)],
            "File name too long: choose a folder",
        ),
        (
            COMMANDS["train-stage1"],
            [
                "--data",
                tmp_path / "x.npy",
                "--network",
                "beta_sigma",
                "--pad",
                "32",
                *new,
            ],
            "resize pictures with --side 64, pad other images with --pad 64",
        ),
        (
            COMMANDS["train-stage1"],
            [
                "--gamma",
                "fixed",
                "--gamma-start",
                ".1",
                "--gamma-from",
                small_run[0],
                *new,
            ],
            "received --gamma-start 0.1 with --gamma-from",
        ),
        (
            COMMANDS["sample"],
            ["--run", small_run[0], "--out", tmp_path],
            "a folder, expected a file to write",
        ),
        (
            COMMANDS["evaluate"],
            ["--compare", small_run[0], small_run[0]],
            "which is no result of twostage.evaluate",
        ),
        (
            COMMANDS["evaluate"],
            ["--run", small_run[0], "--weights", "graph.pb"],
            (
                "received --weights graph.pb for no --extractor, which reads none: add"
                " --extractor inception2015 or keras"
            ),
        ),
        (
            COMMANDS["train-stage1"],
            ["--data", tmp_path / "unequal.npz", *new],
            "unequal shapes, 32x32x3 in train, 28x28x1 in test",
        ),
        (
            COMMANDS["export"],
            new,
            (
                "a finished stage 1 is needed: check --run, or run `python"
                " train_stage1.py --run"
            ),
        ),
    ):
        assert words in mistake(capsys, command, *arguments)
    assert not (tmp_path / "run").exists()  # nothing half-written


def test_a_broken_test_picture_is_told_before_training(tmp_path, capsys):
    for split in ("train", "test"):
        write_images(tmp_path / "x" / split, 100)
    (tmp_path / "x" / "test" / "broken.png").write_bytes(b"")
    with pytest.raises(SystemExit):
        COMMANDS["train-stage1"](["--data", str(tmp_path / "x"), "--dry-run"])
    assert "error: 1 of 101 images in the test split" in capsys.readouterr().err


def test_another_backend_is_told():
    done = subprocess.run(
        [
            sys.executable,
            "-c",
            (
                "import keras, sys; keras.backend.backend = lambda: 'torch'; from"
                " twostage.cli import train; train.stage1(['--dry-run'])"
            ),
        ],
        cwd=ROOT,
        capture_output=True,
        text=True,
    )
    assert (
        done.returncode == 2
        and done.stderr.strip().splitlines()[-1]
        == "error: received the backend torch, expected tensorflow or jax: set"
        " KERAS_BACKEND to one of them"
    )
