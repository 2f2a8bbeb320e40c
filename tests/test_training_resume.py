"""Resume equals not stopping; files are whole or absent."""

import errno
import json
import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import keras
import numpy as np
import pytest
from PIL import Image

from twostage import presets
from twostage.cli.errors import in_flags
from twostage.cli.main import COMMANDS
from twostage.data.batches import Batches
from twostage.errors import InputError, Interrupted
from twostage.export import saved_model
from twostage.runs import summary
from twostage.runs.checkpoint_folder import CheckpointFolder, Progress
from twostage.runs.run import StageRun, finished_stage1
from twostage.system import files
from twostage.training.settings import training_settings

ROOT = Path(__file__).parents[1]
PART = "epoch-00002-step-000001.npz.part"  # while that checkpoint is written
SMALL = [
    "--base-dim",
    "4",
    "--fc-dim",
    "16",
    "--latent-dim",
    "4",
    "--watch-every",
    "1",
    "--deterministic",
]


def in_a_process(script, *arguments):
    environment = {
        **os.environ,
        "PYTHONPATH": os.pathsep.join([str(ROOT), str(ROOT / "tests")]),
    }
    return subprocess.run(
        [sys.executable, "-c", script, *map(str, arguments)],
        capture_output=True,
        text=True,
        cwd=ROOT,
        env=environment,
    )


def stop_within(epoch, number):
    """This process gets one signal, when the seventh batch of an epoch is fetched."""
    fetch = Batches.__getitem__

    def fetch_and_stop(self, index):
        if (self.epoch, self.first + index) == (epoch, 6):
            Batches.__getitem__ = fetch
            os.kill(os.getpid(), number)
        return fetch(self, index)

    Batches.__getitem__ = fetch_and_stop


def last_state(folder):
    """What the newest checkpoint holds: arrays as bytes, and the progress without
    times.
    """
    with np.load(sorted((folder / "checkpoints").glob("epoch-*"))[-1]) as arrays:
        progress = json.loads(str(arrays["progress"]))
        found = {
            name: arrays[name].tobytes() for name in arrays.files if name != "progress"
        }
    for row in progress["rows"]:
        del row["seconds_per_step"]
    return {**found, "progress": progress}


BOTH = """
import sys
from pathlib import Path
from test_training_resume import SMALL, COMMANDS, last_state, signal, stop_within
folder = Path(sys.argv[1])
SECOND = ["--width", "16", "--watch-every", "1", "--deterministic"]
STOPS = [(1, signal.SIGTERM), (2, signal.SIGINT), (3, signal.SIGTERM), (0, None)]
commands = {
    1: (COMMANDS["train-stage1"], SMALL),
    2: (COMMANDS["train-stage2"], SECOND),
}
for number, (command, flags) in commands.items():
    command(["--run", str(folder / "whole"), *flags, "--epochs", "4"])
    for resumed, (epoch, how) in enumerate(STOPS):
        if how:
            stop_within(epoch, how)
        try:
            more = ["--resume"] if resumed else [*flags, "--epochs", "4"]
            command(["--run", str(folder / "parts"), *more])
        except SystemExit as stopped:
            assert stopped.code == 128 + how, stopped.code
            kept = folder / "parts" / f"stage{number}" / "checkpoints"
            print(sorted(kept.iterdir())[-1].name)
    whole = last_state(folder / "whole" / f"stage{number}")
    parts = last_state(folder / "parts" / f"stage{number}")
    assert whole.keys() == parts.keys() and len(whole) > 50
    different = [name for name in whole if whole[name] != parts[name]]
    assert not different, different
print("equal")
"""


@pytest.mark.slow
def test_a_run_resumed_after_signals_is_bit_exact(tmp_path):
    """Three stops in each stage: weights, optimizer, seeds, metrics, history and
    callbacks' state of both.
    """
    done = in_a_process(BOTH, tmp_path)
    assert done.stdout.strip().endswith("equal"), (
        done.stdout[-1000:] + done.stderr[-3000:]
    )
    assert (
        done.stdout.count("step-000000.npz") == 0
        and done.stdout.count("\nepoch-0000") == 6
    )  # all within epochs
    assert (
        done.stderr.count("stopped by SIGTERM after") == 4
        and done.stderr.count("stopped by SIGINT after") == 2
    )
    assert (
        f"resume by `python -m twostage train-stage1 --run {tmp_path / 'parts'}"
        " --resume`" in done.stderr
    )


@pytest.fixture(scope="module")
def finished(tmp_path_factory, without_saved_model):
    folder = tmp_path_factory.mktemp("runs") / "run"
    COMMANDS["train-stage1"](
        [
            "--run",
            str(folder),
            *SMALL[:-1],
            "--epochs",
            "2",
            "--checkpoint-every",
            "0.000001",
        ]
    )
    return folder


@pytest.fixture
def run(finished, tmp_path):
    """A copy of a small stage 1 of two epochs, to be damaged."""
    return shutil.copytree(finished, tmp_path / "run")


def checkpoints(run):
    return sorted(path.name for path in (run / "stage1" / "checkpoints").iterdir())


def refused(capsys, *arguments, command="train-stage1"):
    capsys.readouterr()
    with pytest.raises(SystemExit) as stopped:
        COMMANDS[command]([str(a) for a in arguments])
    lines = capsys.readouterr().err.strip().splitlines()
    assert stopped.value.code == 2 and lines[-1].startswith("error: "), lines
    return lines[-1]


def test_checkpoints_within_an_epoch_and_the_two_newest_stay(run):
    assert checkpoints(run) == [
        "epoch-00001-step-000014.npz",
        "epoch-00002-step-000000.npz",
    ]  # of 15 steps; the last is the epoch's end


@pytest.mark.slow
def test_damaged_checkpoints_are_set_aside(run, capsys):
    newest, _before = (
        (run / "stage1" / "checkpoints" / name) for name in reversed(checkpoints(run))
    )
    half = newest.read_bytes()[: newest.stat().st_size // 2]
    newest.write_bytes(half)
    COMMANDS["train-stage1"](["--run", str(run), "--resume"])
    out = capsys.readouterr()
    assert (
        "epoch-00002-step-000000.npz is damaged" in out.err
        and "epoch 2/2" in out.out
        and "epoch 1/2" not in out.out
    )
    assert (
        newest.parent / f"damaged-{newest.name}"
    ).read_bytes() == half and newest.exists()


def test_where_all_checkpoints_are_damaged_nothing_is_trained_again(run, capsys):
    was = checkpoints(run)
    model = (run / "stage1" / "model.keras").read_bytes()
    for name in was:
        (run / "stage1" / "checkpoints" / name).write_bytes(b"")
    for more in ([], ["--epochs", "3"], []):
        line = refused(capsys, "--run", run, "--resume", *more)
        assert "checkpoints are damaged, such as epoch-00002-step-000000.npz" in line
        assert "bring one back from a copy, or remove them" in line
    assert checkpoints(run) == was
    assert (run / "stage1" / "model.keras").read_bytes() == model


@pytest.mark.skipif(
    getattr(os, "geteuid", int)() == 0, reason="rights do not stop root"
)
def test_a_checkpoint_that_may_not_be_read_is_not_damaged(run, capsys):
    was = checkpoints(run)
    path = run / "stage1" / "checkpoints" / was[-1]
    path.chmod(0)
    assert "cannot be read (Permission denied)" in refused(
        capsys, "--run", run, "--resume"
    )
    assert checkpoints(run) == was


def test_a_finished_stage_without_checkpoints_is_not_trained_again(run, capsys):
    for path in (run / "stage1" / "checkpoints").iterdir():
        path.unlink()
    model = (run / "stage1" / "model.keras").read_bytes()
    for more in ([], ["--epochs", "3"]):
        line = refused(capsys, "--run", run, "--resume", *more)
        assert "is finished and its checkpoints were removed" in line
    assert (run / "stage1" / "model.keras").read_bytes() == model


def test_bytes_that_no_decompressor_knows_are_damage(tmp_path):
    folder = CheckpointFolder(tmp_path)
    for epoch in (1, 2):
        folder.save(Progress(epoch, 0, [], {}), {"weights": np.arange(9.0)})
    path = folder.paths()[-1]
    content = path.read_bytes()
    for method in (8, 12, 14, 99):  # of the archive's directory: deflated, bzip2, ...
        changed = bytearray(content)
        for place in range(len(changed) - 4):
            if changed[place : place + 4] == b"PK\x01\x02":
                changed[place + 10] = method
            if changed[place : place + 4] == b"PK\x03\x04":
                changed[place + 8] = method
        path.write_bytes(changed)
        found = folder.newest()
        assert found is not None and found[1].epoch == 1
        path.write_bytes(content)


def test_an_error_of_the_disk_is_no_damage(run, monkeypatch):
    was = checkpoints(run)

    def failing(path):
        raise OSError(errno.EIO, "Input/output error", str(path))

    monkeypatch.setattr(np, "load", failing)
    with pytest.raises(OSError, match="Input/output error"):
        CheckpointFolder(run / "stage1" / "checkpoints").newest()
    assert checkpoints(run) == was


@pytest.mark.parametrize("seed", range(40))
def test_a_checkpoint_with_wrong_bytes_is_never_a_traceback(tmp_path, seed):
    folder, generator = CheckpointFolder(tmp_path), np.random.default_rng(seed)
    whole = Progress(1, 0, [], {})
    folder.save(whole, {"weights": generator.normal(size=300)})
    folder.save(Progress(2, 0, [], {}), {"weights": generator.normal(size=300)})
    path = folder.paths()[-1]
    content = bytearray(path.read_bytes())
    for place in generator.integers(-400, 0, 4):  # of the archive's directory
        content[place] = generator.integers(256)
    path.write_bytes(content[: len(content) - generator.integers(3)])
    found = folder.newest()
    assert found is not None and found[1].epoch in (1, 2)


def test_what_a_kill_left_is_removed(tmp_path):
    folder = CheckpointFolder(tmp_path)
    for left in ("epoch-00001-step-000007.npz.part", "part.npz"):
        (tmp_path / left).write_bytes(b"half")
    folder.save(Progress(1, 0, [], {}), {})
    assert [path.name for path in tmp_path.iterdir()] == ["epoch-00001-step-000000.npz"]


@pytest.mark.slow
def test_full_disk_is_reported_and_the_checkpoint_before_it_resumes(run, capsys):
    was, aside = checkpoints(run), run / "stage1" / "checkpoints" / PART
    aside.symlink_to("/dev/full")  # every write to it: no space left on device
    line = refused(capsys, "--run", run, "--resume", "--epochs", "3")
    assert (
        "epoch-00002-step-000001.npz was not written: No space left on device: make"
        " room; everything saved before is intact" in line
    )
    aside.unlink()
    assert checkpoints(run) == was
    COMMANDS["train-stage1"](["--run", str(run), "--resume", "--epochs", "3"])
    assert "epoch 3/3" in capsys.readouterr().out


@pytest.mark.slow
def test_a_stage_1_trained_further_is_unfinished_meanwhile(run, capsys):
    aside = run / "stage1" / "checkpoints" / PART
    aside.symlink_to("/dev/full")
    refused(capsys, "--run", run, "--resume", "--epochs", "3")
    aside.unlink()
    with pytest.raises(InputError, match=r"stage1 is not finished: run .*resume=True"):
        finished_stage1(run)
    (run / "stage2").mkdir()
    assert "stage2 was trained on this stage 1 as it is: remove" in refused(
        capsys, "--run", run, "--resume"
    )
    (run / "stage2").rmdir()
    summary.write(run, stage2={"loss": 1.0})
    COMMANDS["train-stage1"](["--run", str(run), "--resume"])
    assert set(files.read_json(run / "results.json")) == {
        "stage1",
        "batch_normalization",
    }  # of a stage 2 that was removed nothing stays
    assert finished_stage1(run).saved_config().epochs == 3
    assert (
        "was trained for 3 epochs already, received --epochs 2: give at least as many"
        in refused(capsys, "--run", run, "--resume", "--epochs", "2")
    )
    assert finished_stage1(run).saved_config().epochs == 3


def test_a_stage_2_that_cannot_begin_leaves_nothing_behind(run, capsys, monkeypatch):
    with pytest.raises(SystemExit):
        COMMANDS["train-stage2"](["--run", str(run), "--batch-size", "5000"])
    assert (
        "expected at least one batch of 5000: lower --batch-size"
        in capsys.readouterr().err
        and not (run / "stage2").exists()
    )
    monkeypatch.chdir(run)
    assert "stage1 exists: resume it by" in refused(capsys, "--run", ".")


def test_folder_that_cannot_be_written_is_reported(capsys, tmp_path):
    locked = (
        Path("/sys/nobody-may-write-here") if os.geteuid() == 0 else tmp_path / "locked"
    )  # rights do not stop root
    if os.geteuid():
        tmp_path.chmod(0o500)
    assert "make the folder writable, or choose another" in refused(
        capsys, "--run", locked, *SMALL[:-1], "--epochs", "1"
    )


def test_a_nan_loss_stops_and_keeps_the_last_good_checkpoint(run, capsys, caplog):
    changed = json.loads((run / "stage1" / "config.json").read_text())
    changed["config"]["learning_rate"] = 1e30
    (run / "stage1" / "config.json").write_text(json.dumps(changed))
    was = checkpoints(run)
    line = refused(
        capsys, "--run", run, "--resume", "--epochs", "3", "--checkpoint-every", "0"
    )
    assert (
        "the loss of epoch 3 is" in line
        and "keeps the last good checkpoint: start another run, with a smaller"
        " --learning-rate"
        in line
    )
    assert checkpoints(run) == was and "not finite" in caplog.text


def test_a_signal_after_the_last_save_is_obeyed_too(tmp_path):
    from twostage.training.checkpoint import Checkpoint

    checkpoint = Checkpoint(StageRun(tmp_path / "run", 1))
    with (
        pytest.raises(Interrupted, match="stopped by SIGTERM after 0 epochs"),
        checkpoint.signals(),
    ):
        os.kill(os.getpid(), signal.SIGTERM)
    assert signal.getsignal(signal.SIGTERM) == signal.SIG_DFL


def test_processes_but_the_first_pass_over_a_signal(tmp_path):
    """They must continue, for the first to complete the step that it saves."""
    from twostage.training.checkpoint import Checkpoint

    with Checkpoint(StageRun(tmp_path / "run", 1), obeys=False).signals():
        os.kill(os.getpid(), signal.SIGTERM)
        assert (
            signal.getsignal(signal.SIGTERM) == signal.SIG_DFL
        )  # a second one ends it


def test_saved_model_killed_between_its_two_renames_comes_back(tmp_path):
    def full_disk(folder):
        raise OSError(28, "No space left on device")

    (tmp_path / ".saved_model.old").mkdir()
    with pytest.raises(OSError):
        files.replace_folder(tmp_path / "saved_model", full_disk, ())
    assert [path.name for path in tmp_path.iterdir()] == ["saved_model"]


def test_a_disk_that_tensorflow_finds_full_is_named(tmp_path, monkeypatch):
    tf = pytest.importorskip("tensorflow")

    def full_disk(module, folder, signatures):
        os.mkdir(folder)
        raise tf.errors.ResourceExhaustedError(
            None, None, "variables.data; No space left on device"
        )

    monkeypatch.setattr(tf.saved_model, "save", full_disk)
    with pytest.raises(
        InputError,
        match=(
            r"saved_model was not written .*No space left on device.*: make room, then"
            r" `export_run\(run="
        ),
    ):
        saved_model._write(tf.Module(), {}, tmp_path / "saved_model")
    assert not list(tmp_path.iterdir())


def test_second_process_on_one_run_is_refused(run, capsys):
    holder = subprocess.Popen(
        [
            sys.executable,
            "-c",
            (
                "import sys; from twostage.system.locks import acquire_now; lock ="
                " acquire_now(sys.argv[1]); print('held', flush=True); input()"
            ),
            str(run / ".lock"),
        ],
        cwd=Path(__file__).parents[1],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    holder.stdout.readline()
    try:
        assert "is in use by another process" in refused(
            capsys, "--run", run, "--resume"
        )
    finally:
        holder.communicate("\n")


def test_the_advice_to_resume_keeps_distribute(tmp_path):
    stage = StageRun(tmp_path / "run", 1)
    stage.begin(presets.resolve(1, "digits", distribute=True), {})
    stage.end()
    assert in_flags(f"`{stage.call(resume=True)}`").endswith("--resume --distribute`")


def test_a_kl_that_explodes_stops_the_training_and_exports_nothing(
    tmp_path, capsys, monkeypatch
):
    """As an encoder without the bound would: the loss is finite, and gets lower."""
    from twostage.models.layers.bounded_log_variance import BoundedLogVariance

    monkeypatch.setattr(BoundedLogVariance, "call", lambda self, value: value + 20.0)
    run = tmp_path / "run"
    line = refused(capsys, "--run", run, *SMALL[:-1], "--epochs", "3")
    assert "the KL of epoch 1 is " in line and "there is no checkpoint yet" in line
    assert "smaller --learning-rate" in line
    assert not (run / "saved_model").exists()
    assert not (run / "stage1" / "model.keras").exists()


@pytest.mark.parametrize("step", [14, 0])
def test_a_checkpoint_without_the_newest_metric_resumes(run, step):
    """As an earlier version wrote it, within an epoch and at its end."""
    kept = run / "stage1" / "checkpoints"
    for path in kept.iterdir():
        if step and not path.stem.endswith(f"{step:06d}"):
            path.unlink()
            continue
        with np.load(path) as archive:
            arrays = {name: archive[name] for name in archive.files}
        del arrays[max(name for name in arrays if name.startswith("metric-"))]
        np.savez(path, **arrays)
    (run / "stage1" / "model.keras").unlink()
    more = [] if step else ["--epochs", "3"]
    COMMANDS["train-stage1"](["--run", str(run), "--resume", *more])
    assert (run / "stage1" / "model.keras").exists()


def splits_file(path, held_out):
    """20 noise images to train on, 6 held out, 6 for tests."""
    generator = np.random.default_rng(0)
    parts = {
        name: generator.integers(0, 256, (count, 8, 8), "uint8")
        for name, count in (("x_train", 40), ("x_test", 6))
    }
    np.savez(path, **parts, x_val=held_out)
    return path


def test_other_held_out_images_are_refused_on_resuming_and_in_stage_2(
    tmp_path, capsys, without_saved_model
):
    """They choose the epoch, batch normalization and the sampler."""
    run = tmp_path / "run"
    noise = np.random.default_rng(1).integers(0, 256, (6, 8, 8), "uint8")
    data = splits_file(tmp_path / "x.npz", noise)
    small = ["--preset", "digits", "--epochs", "1", "--latent-dim", "2"]
    small += ["--base-dim", "4", "--fc-dim", "8", "--batch-size", "10"]
    COMMANDS["train-stage1"](["--run", str(run), "--data", str(data), *small])
    environment = run / "stage1" / "environment.json"
    assert files.read_config(environment)["held_out"]["shape"] == [6, 8, 8, 1]
    resume = ["--run", str(run), "--resume"]
    second = ["--run", str(run), "--epochs", "1", "--width", "8"]
    COMMANDS["train-stage1"](resume)
    splits_file(data, noise // 2)
    words = "received 6 images of 8x8x1 (checksum "
    for command, flags in (("train-stage1", resume), ("train-stage2", second)):
        error = refused(capsys, *flags, command=command)
        assert words in error and "as held-out images" in error
    # a run of an earlier version noted none
    noted = files.read_config(environment)
    del noted["held_out"]
    files.write_json(environment, noted)
    COMMANDS["train-stage1"](resume)


def test_samples_are_not_drawn_among_the_images(tmp_path, capsys, without_saved_model):
    """The next training would take the grid for one of them."""
    images, run = tmp_path / "images", tmp_path / "run"
    images.mkdir()
    for i in range(40):
        pixels = np.random.default_rng(i).integers(0, 256, (8, 8), "uint8")
        Image.fromarray(pixels).save(images / f"{i}.png")
    flags = ["--preset", "digits", "--epochs", "1", "--latent-dim", "2"]
    flags += ["--base-dim", "4", "--fc-dim", "8", "--batch-size", "10"]
    COMMANDS["train-stage1"](["--run", str(run), "--data", str(images), *flags])
    capsys.readouterr()
    error = refused(capsys, "--run", run, "--out", images / "s.png", command="sample")
    assert "in the folder of the images, expected a place outside it" in error
    Image.fromarray(np.zeros((50, 50), "uint8")).save(images / "s.png")
    error = refused(capsys, "--run", run, command="train-stage2")
    assert "are not as they were when it was trained: received images of" in error
    assert "--side" not in error


def test_kerass_own_settings_change_no_training():
    """As ~/.keras/keras.json has them; the limits end each `fit` early."""
    config = presets.resolve(1, "digits")
    keras.config.set_floatx("float16")
    keras.config.set_image_data_format("channels_first")
    try:
        with training_settings(config):
            assert keras.config.floatx() == "float32"
            assert keras.config.image_data_format() == "channels_last"
            assert keras.metrics.Mean().dtype == "float32"
        assert keras.config.floatx() == "float16"
        assert keras.config.image_data_format() == "channels_first"
    finally:
        keras.config.set_floatx("float32")
        keras.config.set_image_data_format("channels_last")


@pytest.mark.parametrize("name", ["max_epochs", "max_steps_per_epoch"])
def test_a_limit_of_keras_is_reported(name):
    setter = getattr(keras.config, f"set_{name}")
    setter(1)
    try:
        with (
            pytest.raises(InputError, match=f"variable KERAS_{name.upper()}=1, by"),
            training_settings(presets.resolve(1, "digits")),
        ):
            pass
    finally:
        setter(None)
