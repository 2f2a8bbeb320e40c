"""The two scripts as a newcomer meets them, end to end."""

import dataclasses
import json
import subprocess
import sys

import keras
import numpy as np
import pytest
from PIL import Image
from small_run import ROOT, SMALL, python

from twostage.cli.main import COMMANDS
from twostage.runs import run

ON_TENSORFLOW = keras.backend.backend() == "tensorflow"


def test_scripts_train_and_say_what_comes_next(small_run):
    folder, first, second = small_run
    assert (
        f"next: python train_stage2.py --run {folder}" in first
        and f"next: python -m twostage sample --run {folder}" in second
    )
    assert (
        first.count("\nepoch ") == second.count("\nepoch ") == 2
    )  # one line per epoch where there is no terminal
    for stage in ("stage1", "stage2"):
        found = {path.name for path in (folder / stage).iterdir()}
        assert {
            "config.json",
            "environment.json",
            "history.csv",
            "checkpoints",
            "images",
            "model.keras",
        } <= found
        names, *rows = (folder / stage / "history.csv").read_text().splitlines()
        wanted = {
            "epoch",
            "loss",
            "reconstruction",
            "kl",
            "mse",
            "gamma",
            "variance_law",
            "variance_law_sd",
            "active_latents",
        }
        assert wanted <= set(names.split(",")) and len(rows) == 2
        images = {path.name for path in (folder / stage / "images").iterdir()}
        assert {"samples_0001.png", "samples_0002.png", "latents.png"} <= images
    assert not [
        path
        for path in folder.rglob("*")
        if path.name.startswith("part") or path.suffix == ".part"
    ]
    results = json.loads((folder / "results.json").read_text())
    assert results["stage1"]["epoch"] == 2 and results["latents"]["deviation_after"][
        "mean"
    ] == pytest.approx(1, rel=0.02)
    assert "## stage2" in (folder / "report.md").read_text()


def test_gamma_never_rises_under_minimum(small_run):
    for stage in ("stage1", "stage2"):
        names, *rows = (small_run[0] / stage / "history.csv").read_text().splitlines()
        gamma = [float(row.split(",")[names.split(",").index("gamma")]) for row in rows]
        assert gamma[1] <= gamma[0] <= 1


def recorded(folder):
    names, *rows = (folder / "stage1" / "history.csv").read_text().splitlines()
    return [float(row.split(",")[names.split(",").index("gamma")]) for row in rows]


def test_gamma_of_another_run(small_run, tmp_path, capsys):
    """F*-VAE takes the last gamma, the scheduled F-VAE all of them, and no longer needs
    the other run.
    """
    gammas = recorded(small_run[0])
    _, config = run.open_stage(
        1, {"gamma": "fixed", "gamma_from": str(small_run[0])}, run=tmp_path / "fixed"
    )
    assert config.gamma_start == gammas[-1] < 1
    (tmp_path / "floor" / "stage1").mkdir(parents=True)
    (tmp_path / "floor" / "stage1" / "history.csv").write_text(
        f"epoch,gamma\n1,{float(np.float32(0.03))}\n"
    )  # in float32 a floor lies a little below itself
    _, config = run.open_stage(
        1,
        {"gamma": "fixed", "gamma_from": str(tmp_path / "floor"), "gamma_floor": 0.03},
        run=tmp_path / "fixed",
    )
    assert config.gamma_start == 0.03
    COMMANDS["train-stage1"](
        [
            "--run",
            str(tmp_path / "scheduled"),
            *SMALL,
            "--gamma",
            "scheduled",
            "--gamma-from",
            str(small_run[0]),
        ]
    )
    assert recorded(tmp_path / "scheduled") == pytest.approx(gammas, rel=1e-5)
    stage, config = run.open_stage(1, {}, run=tmp_path / "scheduled", resume=True)
    assert stage.gamma_curve(dataclasses.replace(config, gamma_from="gone")) == gammas
    for wrong, expected in (
        (["--gamma", "scheduled"], "expected --gamma-from RUN"),
        (["--gamma-from", str(small_run[0])], "expected no --gamma-from"),
        (
            ["--gamma", "fixed", "--gamma-from", str(tmp_path)],
            "give the folder of a run whose stage 1 was trained",
        ),
        (
            [
                "--gamma",
                "scheduled",
                "--gamma-from",
                str(small_run[0]),
                "--likelihood",
                "bernoulli",
            ],
            "which has no gamma to set",
        ),
    ):
        with pytest.raises(SystemExit):
            COMMANDS["train-stage1"](["--run", str(tmp_path / "wrong"), *wrong])
        assert expected in capsys.readouterr().err
    assert not (tmp_path / "wrong").exists()


def test_sample_command_draws_a_grid(small_run, tmp_path):
    pytest.importorskip("tensorflow")
    python(
        "-m",
        "twostage",
        "sample",
        "--run",
        small_run[0],
        "--n",
        10,
        "--seed",
        3,
        "--out",
        tmp_path / "new" / "s.png",
    )
    with Image.open(tmp_path / "new" / "s.png") as image:
        assert image.size == (
            4 * 9 * 14,
            3 * 9 * 14,
        )  # 4 x 3 tiles of 8 pixels and a line, enlarged toward 512


@pytest.mark.parametrize(
    ("flags", "endpoint"), [([], "sample"), (["--first-stage"], "sample_first_stage")]
)
def test_sample_command_draws_what_its_flags_say(
    small_run, tmp_path, monkeypatch, flags, endpoint
):
    pytest.importorskip("tensorflow")
    from twostage.export.saved_vae import SavedVAE

    asked = []
    for name in ("sample", "sample_first_stage"):

        def draw(self, n, seed, name=name):
            asked.append((name, n, seed))
            return np.zeros((n, 8, 8, 1), "float32")

        monkeypatch.setattr(SavedVAE, name, draw)
    out = ["--n", "5", "--seed", "3", "--out", str(tmp_path / "s.png")]
    COMMANDS["sample"](["--run", str(small_run[0]), *out, *flags])
    assert asked == [(endpoint, 5, 3)]


WITHOUT_TENSORFLOW = """
import sys
from importlib.machinery import PathFinder
class Without(PathFinder):
    @classmethod
    def find_spec(cls, name, path=None, target=None):
        if name.split(".")[0] == "tensorflow":
            return None
        return PathFinder.find_spec(name, path, target)
sys.meta_path = [
    Without if finder is PathFinder else finder for finder in sys.meta_path
]
from twostage.cli import train
train.stage{}(sys.argv[1:])
assert not any(name.split(".")[0] == "tensorflow" for name in sys.modules)
"""


@pytest.mark.skipif(ON_TENSORFLOW, reason="asks whether JAX stands alone")
def test_jax_trains_where_tensorflow_is_not_installed(tmp_path):
    out = python("-c", WITHOUT_TENSORFLOW.format(1), "--run", tmp_path / "run", *SMALL)
    out += python(
        "-c",
        WITHOUT_TENSORFLOW.format(2),
        "--run",
        tmp_path / "run",
        "--width",
        16,
        "--epochs",
        1,
    )
    command = (
        f"`python -m twostage export --run {tmp_path / 'run'}` writes the SavedModel"
    )
    assert out.count(command) == 2 and not (tmp_path / "run" / "saved_model").exists()
    python("-m", "twostage", "export", "--run", tmp_path / "run")
    assert (tmp_path / "run" / "saved_model" / "saved_model.pb").exists()


def test_dry_run_writes_nothing(tmp_path, capsys):
    COMMANDS["train-stage1"](["--run", str(tmp_path / "run"), "--dry-run"])
    assert (
        "trainable parameters" in capsys.readouterr().out
        and not (tmp_path / "run").exists()
    )
    COMMANDS["train-stage1"](
        [
            "--run",
            str(tmp_path / "run"),
            "--dry-run",
            "--gamma",
            "learned",
            "--epochs",
            "4",
            "--halve-every",
            "2",
        ]
    )
    assert (
        "from 1 down to 0.96 at most; a larger --gamma-multiplier speeds it up"
        in capsys.readouterr().out
    )  # 15 steps an epoch, .001 and .0005: exp(-.045)
    COMMANDS["train-stage1"](
        [
            *("--run", str(tmp_path / "run"), "--dry-run", "--gamma", "learned"),
            *("--epochs", "40", "--schedule", "cosine"),
        ]
    )
    assert "from 1 down to 0.74 at most" in capsys.readouterr().out  # exp(-.3)


def test_a_command_goes_on_when_its_pipe_is_closed(tmp_path):
    """As in `twostage data digits | head -1`."""
    arguments = ["-m", "twostage", "data", "digits", "--grid", tmp_path / "grid.png"]
    process = subprocess.Popen(
        [sys.executable, *map(str, arguments)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        cwd=ROOT,
    )
    process.stdout.close()
    assert process.stderr.read() == "" and process.wait() == 0
    assert (tmp_path / "grid.png").exists()
