"""What a newcomer gets wrong ends in one line that says how to fix it."""

import dataclasses
import io
import logging
import shutil
import subprocess
import sys
from types import SimpleNamespace

import numpy as np
import pytest
from PIL import Image
from small_run import ROOT
from test_data_image_files import write_images

from twostage.cli import invocation
from twostage.cli.errors import guarded
from twostage.cli.main import COMMANDS, main
from twostage.config import Stage1Config, Stage2Config


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


NEEDS_STAGE1 = (
    "a finished stage 1 is needed: check --run, or run `python train_stage1.py --run"
)
TOO_LARGE = "expected numbers below 2147483648"
# (command line, words of the error). BAD is a folder of bad data, RUN a finished run.
# Commands without --run get one that does not exist.
MISTAKES = [
    (
        "train-stage1 --preset minst",
        "preset 'minst', expected one of auto, digits, mnist",
    ),
    ("train-stage1 --data BAD/empty", "holds no image"),
    ("train-stage1 --preset digits --data BAD/sizes", "unequal sizes"),
    (
        "train-stage1 --preset digits --data BAD/x.npy",
        "28x28, expected squares of side 8, 16, 32, 64, 128: pad them with --pad 32",
    ),
    ("train-stage1 --data BAD/nowhere", "check the path"),
    ("train-stage1 --batch-size 5000", "at least one batch of 5000"),
    ("train-stage1 --preset auto --batch-size 5000", "lower --batch-size, to 1537"),
    ("train-stage1 --minutes 5", "--minutes 5.0 with the preset digits, expected --pr"),
    (
        "train-stage1 --gamma magic",
        "received --gamma magic, expected one of computed, learned, fixed, scheduled",
    ),
    ("train-stage1 --epochs 0", "received --epochs 0, expected more than 0"),
    ("train-stage1 --learning-rate -3e-3", "received --learning-rate -0.003, expected"),
    ("train-stage1 --learning-rate -.5E+1", "--learning-rate -5.0, expected more than"),
    ("train-stage1 --kl-weight -inf", "received --kl-weight -inf, expected a finite"),
    ("train-stage1 --minutes -2.", "received --minutes -2.0, expected at least 0"),
    ("train-stage1 --epochs ten", "invalid int value: 'ten'"),
    (
        "train-stage1 --epoch 3",
        "unrecognized arguments: --epoch 3: did you mean --epochs?",
    ),
    (
        "train-stage1 --bath-size=50 --learning_rate 1",
        "did you mean --batch-size --learning-rate?",
    ),
    ("train-stage1 --nonsense", "unrecognized arguments: --nonsense (--help"),
    ("train-stage1 BAD/sizes", "did you mean --data "),
    ("train-stage1 BAD/nowhere", "nowhere (--help lists the options)"),
    (
        "train-stage1 --data https://example.com/a/images.zip",
        "download it first, then check the path",
    ),
    (
        "train-stage1 --data BAD/sizes/0.png",
        "name the folder that the image is in",
    ),
    ("train-stage1 --resume", "does not exist: start it without --resume"),
    ("train-stage2", NEEDS_STAGE1),
    (
        "train-stage1 --run RUN",
        "resume it by `python train_stage1.py --run RUN --resume`, or start another"
        " run by",
    ),
    (
        "train-stage2 --run RUN",
        "`python train_stage2.py --run RUN --resume`, remove RUN/stage2 to start it"
        " over, or start another run by `python train_stage1.py",
    ),
    (
        "train-stage1 --run RUN --resume --epochs 9",
        "stage2 was trained on this stage 1 as it is: remove",
    ),
    (
        "train-stage1 --run RUN --resume --kl-weight 2",
        "other settings (kl_weight 1.0 -> 2.0)",
    ),
    (
        "train-stage2 --run RUN --preset mnist",
        "was started with preset digits, received mnist",
    ),
    (
        "train-stage1 --seed 4294967296",
        "received --seed 4294967296, expected less than 2**32",
    ),
    (
        "train-stage1 --run BAD/x.npy/run --limit 200",
        "Not a directory: choose a folder that exists, or can be made",
    ),
    ("evaluate --run RUN --seed -1", "received --seed -1, expected at least 0"),
    ("sample", "expected a run folder: check the path"),
    ("sample --n 4294967297", TOO_LARGE),
    ("sample --seed 2147483648", TOO_LARGE),
    (f"train-stage1 --run BAD/{'x' * 300}", "File name too long: choose a folder"),
    (
        "train-stage1 --data BAD/x.npy --network beta_sigma --pad 32",
        "expected 28x28 or 64x64: pad them with --pad 64, or resize them with --side"
        " 64",
    ),
    (
        "train-stage1 --gamma fixed --gamma-start .1 --gamma-from RUN",
        "received --gamma-start 0.1 with --gamma-from",
    ),
    ("sample --run RUN --out BAD", "a folder, expected a file to write"),
    ("evaluate --compare RUN RUN", "expected the result of an evaluation: give "),
    (
        "evaluate --run RUN --samples 3",
        "error: received --samples 3, expected at least 6, or 0",
    ),
    (
        "evaluate --run RUN --weights graph.pb",
        "received --weights graph.pb for no --extractor, which reads none, expected"
        " --extractor inception or --extractor inception2015 or --extractor keras",
    ),
    (
        "train-stage1 --preset digits --data BAD/unequal.npz",
        "32x32x3 in train, 32x32x3 in validation, 28x28x1 in test",
    ),
    ("export", NEEDS_STAGE1),
    ("export --format tflite", "invalid choice: 'tflite'"),
    ("experiment rea", "invalid choice: 'rea'"),
    ("experiment rae --seeds 0", "received --seeds 0, expected at least 1"),
]


@pytest.fixture(scope="module")
def bad(tmp_path_factory):
    """A folder of data that no training can use."""
    folder = tmp_path_factory.mktemp("bad")
    for name in ("empty", "sizes"):
        (folder / name).mkdir()
    for i in range(40):
        image = Image.new("RGB", (16, 16 + i % 2))
        image.save(folder / "sizes" / f"{i}.png")
    np.save(folder / "x.npy", np.full((200, 28, 28), 255, "uint8"))
    np.savez(
        folder / "unequal.npz",
        x_train=np.zeros((200, 32, 32, 3), "uint8"),
        x_test=np.zeros((20, 28, 28), "uint8"),
    )
    return folder


@pytest.mark.parametrize(
    ("line", "words"), MISTAKES, ids=[line[:50] for line, _ in MISTAKES]
)
def test_a_mistake_ends_in_one_line(line, words, tmp_path, capsys, bad, small_run):
    line, words = (
        text.replace("BAD", str(bad)).replace("RUN", str(small_run[0]))
        for text in (line, words)
    )
    command, *arguments = line.split()
    if not {"--run", "--compare"} & set(arguments) and command != "experiment":
        arguments += ["--run", str(tmp_path / "run")]
    before = sorted(small_run[0].rglob("*"))
    assert words in mistake(capsys, COMMANDS[command], *arguments)
    assert not (tmp_path / "run").exists()  # nothing half-written
    assert sorted(small_run[0].rglob("*")) == before


@pytest.mark.parametrize(
    ("typed", "meant"),
    [
        ("evalute", "evaluate"),
        ("train", "train-stage1 or train-stage2"),
        ("train_stage2", "train-stage1 or train-stage2"),
        ("exprot", "experiment or export"),
    ],
)
def test_a_misspelled_command_is_answered_with_those_that_were_meant(
    typed, meant, capsys
):
    line = mistake(capsys, main, typed, "--run", "x")
    assert f"no command {typed}: did you mean {meant}? (" in line


def test_a_command_that_is_like_none_is_answered_with_all(capsys):
    line = mistake(capsys, main, "qqq")
    assert all(name in line for name in COMMANDS)


FLOATS = [
    f"{command} --{field.name.replace('_', '-')}={value}"
    for command, kind in (
        ("train-stage1", Stage1Config),
        ("train-stage2", Stage2Config),
    )
    for field in dataclasses.fields(kind)
    if isinstance(field.default, float)
    for value in ("nan", "inf", "-inf")
]


@pytest.mark.parametrize("line", FLOATS)
def test_a_number_that_is_not_finite_is_refused(line, small_run, tmp_path, capsys):
    command, flag = line.split()
    run = tmp_path / "run"
    if command == "train-stage2":
        shutil.copytree(small_run[0] / "stage1", run / "stage1")
    shown = flag.replace("=", " ")
    error = mistake(capsys, COMMANDS[command], flag, "--run", run)
    assert error == f"error: received {shown}, expected a finite number"


def test_a_broken_test_image_is_reported_before_training(tmp_path, capsys):
    for split in ("train", "test"):
        write_images(tmp_path / "x" / split, 100, (16, 16))
    (tmp_path / "x" / "test" / "broken.png").write_bytes(b"")
    with pytest.raises(SystemExit):
        COMMANDS["train-stage1"](["--data", str(tmp_path / "x"), "--dry-run"])
    assert "error: 1 of 101 images in the test split" in capsys.readouterr().err


ANOTHER_BACKEND = """
import keras, sys
keras.backend.backend = lambda: "numpy"
from twostage.cli import train
train.stage1(["--dry-run", "--run", sys.argv[1]])
"""


def test_another_backend_is_reported(tmp_path):
    done = subprocess.run(
        [sys.executable, "-c", ANOTHER_BACKEND, str(tmp_path / "run")],
        cwd=ROOT,
        capture_output=True,
        text=True,
    )
    assert (
        done.returncode == 2
        and done.stderr.strip().splitlines()[-1]
        == "error: received the backend numpy, expected tensorflow or jax or torch: set"
        " KERAS_BACKEND to one of them"
    )


@pytest.mark.parametrize(
    ("encoding", "shown"),
    [
        ("ascii", b"\\xe4 \\u65e5"),
        ("cp1252", b"\xe4 \\u65e5"),
        ("utf-8", b"\xc3\xa4 \xe6\x97\xa5"),
    ],
)
def test_any_path_can_be_printed(encoding, shown, monkeypatch):
    printed = io.BytesIO()
    monkeypatch.setattr(sys, "stdout", io.TextIOWrapper(printed, encoding))
    guarded(logging.getLogger("twostage").info, "wrote \u00e4 \u65e5")
    assert printed.getvalue().rstrip() == b"wrote " + shown


@pytest.mark.parametrize(
    ("system", "quoted"),
    [("posix", "'runs/my faces'"), ("nt", '"runs/my faces"')],
)
def test_advice_is_quoted_for_the_shell(system, quoted, monkeypatch):
    monkeypatch.setattr(invocation, "os", SimpleNamespace(name=system))
    line = invocation.command("train-stage2", "--run", "runs/my faces")
    assert line.endswith(f" --run {quoted}")
    assert (
        invocation.quoted("runs\\mine")
        == {
            "posix": "'runs\\mine'",
            "nt": "runs\\mine",
        }[system]
    )
