"""The two scripts as a newcomer meets them: end to end, resumed, and wrong in every usual way."""

import dataclasses
import json
import os
import subprocess
import sys
from pathlib import Path

import keras
import numpy as np
import pytest
from PIL import Image
from test_folders import write_images

from twostage import cli, runs

ROOT = Path(__file__).parents[1]
ON_TENSORFLOW = keras.backend.backend() == "tensorflow"
SMALL = ["--base-dim", "4", "--fc-dim", "16", "--latent-dim", "4", "--epochs", "2", "--watch-every", "1"]


def python(*arguments, **environment):
    done = subprocess.run(
        [sys.executable, *map(str, arguments)], capture_output=True, text=True, cwd=ROOT, env={**os.environ, **environment}
    )  # fmt: skip
    assert done.returncode == 0, done.stderr[-3000:]
    return done.stdout


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """Both stages on digits, by the scripts themselves."""
    folder = tmp_path_factory.mktemp("runs") / "small"
    first = python("train_stage1.py", "--run", folder, *SMALL)
    second = python("train_stage2.py", "--run", folder, "--width", 16, "--epochs", 2, "--watch-every", 1)
    return folder, first, second


def test_scripts_train_and_say_what_comes_next(run):
    folder, first, second = run
    assert f"next: python train_stage2.py --run {folder}" in first and f"next: python -m twostage.sample --run {folder}" in second
    assert first.count("\nepoch ") == second.count("\nepoch ") == 2  # one line an epoch where there is no terminal
    for stage in ("stage1", "stage2"):
        found = {path.name for path in (folder / stage).iterdir()}
        assert {"config.json", "environment.json", "history.csv", "checkpoints", "images", "model.keras"} <= found
        names, *rows = (folder / stage / "history.csv").read_text().splitlines()
        wanted = {"epoch", "loss", "reconstruction", "kl", "mse", "gamma", "variance_law", "variance_law_sd", "active_latents"}
        assert wanted <= set(names.split(",")) and len(rows) == 2
        pictures = {path.name for path in (folder / stage / "images").iterdir()}
        assert {"samples_0001.png", "samples_0002.png", "latents.png"} <= pictures
    assert not [path for path in folder.rglob("*") if path.name.startswith("part") or path.suffix == ".part"]
    results = json.loads((folder / "results.json").read_text())
    assert results["stage1"]["epoch"] == 2 and results["latents"]["deviation_after"]["mean"] == pytest.approx(1, rel=0.02)
    assert "## stage2" in (folder / "report.md").read_text()


def test_gamma_never_rises_under_minimum(run):
    for stage in ("stage1", "stage2"):
        names, *rows = (run[0] / stage / "history.csv").read_text().splitlines()
        gamma = [float(row.split(",")[names.split(",").index("gamma")]) for row in rows]
        assert gamma[1] <= gamma[0] <= 1


def recorded(folder):
    names, *rows = (folder / "stage1" / "history.csv").read_text().splitlines()
    return [float(row.split(",")[names.split(",").index("gamma")]) for row in rows]


def test_gamma_of_another_run(run, tmp_path, capsys):
    """F*-VAE takes the last gamma, the scheduled F-VAE all of them, and needs the other run no more."""
    gammas = recorded(run[0])
    _, config = runs.open_stage(1, {"gamma": "fixed", "gamma_from": str(run[0])}, run=tmp_path / "fixed")
    assert config.gamma_start == gammas[-1] < 1
    (tmp_path / "floor" / "stage1").mkdir(parents=True)
    (tmp_path / "floor" / "stage1" / "history.csv").write_text(f"epoch,gamma\n1,{float(np.float32(0.03))}\n")  # in float32 a floor lies a little below itself
    _, config = runs.open_stage(1, {"gamma": "fixed", "gamma_from": str(tmp_path / "floor"), "gamma_floor": 0.03}, run=tmp_path / "fixed")
    assert config.gamma_start == 0.03
    cli.stage1(["--run", str(tmp_path / "scheduled"), *SMALL, "--gamma", "scheduled", "--gamma-from", str(run[0])])
    assert recorded(tmp_path / "scheduled") == pytest.approx(gammas, rel=1e-5)
    stage, config = runs.open_stage(1, {}, run=tmp_path / "scheduled", resume=True)
    assert stage.gamma_curve(dataclasses.replace(config, gamma_from="gone")) == gammas
    for wrong, told in (
        (["--gamma", "scheduled"], "expected --gamma-from RUN"), (["--gamma-from", str(run[0])], "expected no --gamma-from"),
        (["--gamma", "fixed", "--gamma-from", str(tmp_path)], "give the folder of a run whose stage 1 was trained"),
        (["--gamma", "scheduled", "--gamma-from", str(run[0]), "--likelihood", "bernoulli"], "which has no gamma to set"),
    ):  # fmt: skip
        with pytest.raises(SystemExit):
            cli.stage1(["--run", str(tmp_path / "wrong"), *wrong])
        assert told in capsys.readouterr().err
    assert not (tmp_path / "wrong").exists()


LOADED = """
import sys, numpy as np, tensorflow as tf
model = tf.saved_model.load(sys.argv[1])
assert list(model.signatures)[0] == "sample", list(model.signatures)
images = np.random.default_rng(0).integers(0, 256, (3, 8, 8, 1), "uint8")
found = {
    "one": model.sample(300, 1), "again": model.sample(300, 1), "other": model.sample(300, 2),
    "first": model.sample_first_stage(3, 1), "by_signature": model.signatures["sample"](n=tf.constant(300), seed=tf.constant(1))["output_0"],
    "mean": model.encode(images)["mean"], "reconstruction": model.reconstruct(images),
    "decoded": model.decode(model.encode(images)["mean"]),
}
np.savez(sys.argv[2], **{name: value.numpy() for name, value in found.items()})
try:
    model.encode((images / 256.0).astype("float32"))
except tf.errors.InvalidArgumentError as error:
    assert "uint8" in str(error), error
else:
    sys.exit("floats were taken as black images")
assert "keras" not in {name.split(".")[0] for name in sys.modules if "twostage" in name} and "twostage" not in sys.modules
"""


def test_saved_model_samples_with_tensorflow_alone(run, tmp_path):
    pytest.importorskip("tensorflow")
    for i in (1, 2):  # two processes
        python("-c", LOADED, run[0] / "saved_model", tmp_path / f"{i}.npz")
    one, two = np.load(tmp_path / "1.npz"), np.load(tmp_path / "2.npz")
    for name in one.files:
        np.testing.assert_array_equal(one[name], two[name])
    images = one["one"]
    assert images.shape == (300, 8, 8, 1) and images.dtype == np.float32 and 0 <= images.min() and images.max() <= 1
    np.testing.assert_array_equal(images, one["again"])
    np.testing.assert_array_equal(images, one["by_signature"])
    assert np.abs(images - one["other"]).max() > 0.01
    assert one["first"].shape == (3, 8, 8, 1) and one["mean"].shape == (3, 4)
    np.testing.assert_allclose(one["decoded"], one["reconstruction"], atol=1e-6)


def test_saved_model_is_the_keras_models_chain(run):
    """The SavedModel's encode, decode and reconstruct against the `.keras` file, on the backend under test."""
    tf = pytest.importorskip("tensorflow")
    from twostage import VAE, export, sampling  # any public name registers the classes of the files

    model, vae = export.load(run[0] / "saved_model"), keras.saving.load_model(run[0] / "stage1" / "model.keras")
    assert isinstance(vae, VAE)
    images = np.random.default_rng(0).integers(0, 256, (5, 8, 8, 1), "uint8")
    np.testing.assert_allclose(model.reconstruct(images), keras.ops.convert_to_numpy(sampling.reconstruct(vae, images)), atol=1e-5)
    stage2 = keras.saving.load_model(run[0] / "stage2" / "model.keras")
    normalizer = keras.saving.load_model(run[0] / "stage2" / "normalizer.keras")
    u = tf.random.stateless_normal((7, 4), [1, 0], alg="philox").numpy()
    expected = keras.ops.convert_to_numpy(sampling.sample(vae, stage2, u, "normalised", normalizer))
    np.testing.assert_allclose(model.sample(7, 1), expected, atol=1e-5)
    for sample in (model.sample, model.sample_first_stage):
        with pytest.raises(tf.errors.InvalidArgumentError, match="received n below 1, expected at least 1 sample"):
            sample(0, 1)
    for wrong in (images // 255, images[:0]):
        with pytest.raises(tf.errors.InvalidArgumentError, match="no images, or all of them black: were they floats"):
            model.encode(wrong)
    with pytest.raises(ValueError, match="received images of type float64, expected uint8"):
        model.encode(images / 255.0)


def test_sample_command_draws_a_grid(run, tmp_path):
    pytest.importorskip("tensorflow")
    python("-m", "twostage.sample", "--run", run[0], "--n", 10, "--seed", 3, "--out", tmp_path / "new" / "s.png")
    with Image.open(tmp_path / "new" / "s.png") as picture:
        assert picture.size == (4 * 9 * 14, 3 * 9 * 14)  # 4 x 3 tiles of 8 pixels and a line, enlarged towards 512


WITHOUT_TENSORFLOW = """
import sys
from importlib.machinery import PathFinder
class Without(PathFinder):
    @classmethod
    def find_spec(cls, name, path=None, target=None):
        return None if name.split(".")[0] == "tensorflow" else PathFinder.find_spec(name, path, target)
sys.meta_path = [Without if finder is PathFinder else finder for finder in sys.meta_path]
from twostage import cli, runs
cli.stage{}(sys.argv[1:])
assert not any(name.split(".")[0] == "tensorflow" for name in sys.modules)
"""


@pytest.mark.skipif(ON_TENSORFLOW, reason="asks whether JAX stands alone")
def test_jax_trains_where_tensorflow_is_not_installed(tmp_path):
    out = python("-c", WITHOUT_TENSORFLOW.format(1), "--run", tmp_path / "run", *SMALL)
    out += python("-c", WITHOUT_TENSORFLOW.format(2), "--run", tmp_path / "run", "--width", 16, "--epochs", 1)
    command = f"`python -m twostage.export --run {tmp_path / 'run'}` writes the SavedModel"
    assert out.count(command) == 2 and not (tmp_path / "run" / "saved_model").exists()
    python("-m", "twostage.export", "--run", tmp_path / "run")
    assert (tmp_path / "run" / "saved_model" / "saved_model.pb").exists()


def test_dry_run_writes_nothing(tmp_path, capsys):
    cli.stage1(["--run", str(tmp_path / "run"), "--dry-run"])
    assert "trainable parameters" in capsys.readouterr().out and not (tmp_path / "run").exists()
    cli.stage1(["--run", str(tmp_path / "run"), "--dry-run", "--gamma", "learned", "--epochs", "4", "--halve-every", "2"])
    assert "from 1 down to 0.95 at most; a larger --gamma-multiplier speeds it up" in capsys.readouterr().out  # 16 steps an epoch, .001 and .0005: exp(-.048)


def mistake(capsys, command, *arguments):
    """The one line on standard error of a command that ends with status 2."""
    capsys.readouterr()
    with pytest.raises(SystemExit) as stopped:
        command([str(a) for a in arguments])
    lines = capsys.readouterr().err.strip().splitlines()
    assert stopped.value.code == 2 and len(lines) == 1 and lines[0].startswith("error: "), lines
    return lines[0]


def test_newcomers_mistakes_end_in_one_line(tmp_path, capsys, run):
    empty, sizes = tmp_path / "empty", tmp_path / "sizes"
    for folder in (empty, sizes):
        folder.mkdir()
    for i in range(40):
        Image.new("RGB", (16, 16 + i % 2)).save(sizes / f"{i}.png")
    np.save(tmp_path / "x.npy", np.zeros((200, 28, 28), "uint8"))
    np.savez(tmp_path / "unequal.npz", x_train=np.zeros((200, 32, 32, 3), "uint8"), x_test=np.zeros((20, 28, 28), "uint8"))
    new = ["--run", tmp_path / "run"]
    for command, arguments, words in (
        (cli.stage1, ["--preset", "minst", *new], "received preset 'minst', expected one of digits, mnist"),
        (cli.stage1, ["--data", empty, *new], "holds no picture"),
        (cli.stage1, ["--data", sizes, *new], "unequal sizes"),
        (cli.stage1, ["--data", tmp_path / "x.npy", *new], "28x28, the ResNet takes squares of side 8, 16, 32, 64, 128: pad them with --pad 32"),
        (cli.stage1, ["--data", tmp_path / "nowhere", *new], "check the path"),
        (cli.stage1, ["--batch-size", "5000", *new], "at least one batch of 5000"),
        (cli.stage1, ["--gamma", "magic", *new], "received --gamma magic, expected one of computed, learned, fixed, scheduled"),
        (cli.stage1, ["--epochs", "0", *new], "received --epochs 0, expected more than 0"),
        (cli.stage1, ["--epochs", "ten", *new], "invalid int value: 'ten'"),
        (cli.stage1, ["--epoch", "3", *new], "unrecognized arguments: --epoch 3"),
        (cli.stage1, ["--resume", *new], "does not exist: start it by"),
        (cli.stage2, new, "a finished stage 1 is needed: check --run, or run `python train_stage1.py --run"),
        (cli.stage1, ["--run", run[0]], f"go on with it by `python train_stage1.py --run {run[0]} --resume`, or start another run by"),
        (cli.stage2, ["--run", run[0]], f"`python train_stage2.py --run {run[0]} --resume`, remove {run[0]}/stage2 to begin it anew, or start another run by `python train_stage1.py"),
        (cli.stage1, ["--run", run[0], "--resume", "--epochs", "9"], "stage2 was trained on this stage 1 as it is: remove"),
        (cli.stage1, ["--run", run[0], "--resume", "--kl-weight", "2"], "other settings (kl_weight 1.0 -> 2.0)"),
        (cli.stage2, ["--run", run[0], "--preset", "mnist"], "was started with preset digits, received mnist"),
        (cli.stage1, ["--seed", 2**32, *new], "received --seed 4294967296, expected less than 2**32"),
        (cli.stage1, ["--run", tmp_path / "x.npy" / "run", "--limit", "200"], "Not a directory: choose a folder that is there, or can be made"),
        (cli.evaluate, ["--run", run[0], "--seed", "-1"], "received --seed -1, expected at least 0"),
        (cli.sample, new, "holds no SavedModel"),
        (cli.sample, [*new, "--n", 2**32 + 1], "expected numbers below 2147483648"),
        (cli.sample, [*new, "--seed", 2**31], "expected numbers below 2147483648"),
        (cli.stage1, ["--run", tmp_path / ("x" * 300)], "File name too long: choose a folder"),
        (cli.stage1, ["--data", tmp_path / "x.npy", "--network", "beta_sigma", "--pad", "32", *new], "resize pictures with --side 64, pad other images with --pad 64"),
        (cli.stage1, ["--gamma", "fixed", "--gamma-start", ".1", "--gamma-from", run[0], *new], "received --gamma-start 0.1 with --gamma-from"),
        (cli.sample, ["--run", run[0], "--out", tmp_path], "a folder, expected a file to write"),
        (cli.evaluate, ["--compare", run[0], run[0]], "which is no result of twostage.evaluate"),
        (cli.evaluate, ["--run", run[0], "--weights", "graph.pb"], "received --weights graph.pb for no --extractor, which reads none: add --extractor inception2015 or keras"),
        (cli.stage1, ["--data", tmp_path / "unequal.npz", *new], "unequal shapes, 32x32x3 in train, 28x28x1 in test"),
        (cli.export, new, "a finished stage 1 is needed: check --run, or run `python train_stage1.py --run"),
    ):
        assert words in mistake(capsys, command, *arguments)
    assert not (tmp_path / "run").exists()  # nothing half-written


def test_another_backend_is_told():
    done = subprocess.run(
        [sys.executable, "-c", "import keras, sys; keras.backend.backend = lambda: 'torch'; from twostage import cli; cli.stage1(['--dry-run'])"], cwd=ROOT, capture_output=True, text=True
    )
    assert done.returncode == 2 and done.stderr.strip().splitlines()[-1] == "error: received the backend torch, expected tensorflow or jax: set KERAS_BACKEND to one of them"


def test_a_broken_test_picture_is_told_before_training(tmp_path, capsys):
    for split in ("train", "test"):
        write_images(tmp_path / "x" / split, 100)
    (tmp_path / "x" / "test" / "broken.png").write_bytes(b"")
    with pytest.raises(SystemExit):
        cli.stage1(["--data", str(tmp_path / "x"), "--dry-run"])
    assert "error: 1 of 101 pictures in the test split" in capsys.readouterr().err
