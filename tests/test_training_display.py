"""What a person sees of a training: lines, the bar, settings."""

import io
import logging
import math
import re

import keras
import numpy as np
import pytest
from small_models import linear_vae

from twostage import presets
from twostage.training.epoch_display import EpochDisplay
from twostage.training.epoch_line import duration_text, line, metrics, number_text
from twostage.training.settings_table import settings_table
from twostage.training.time_left import TimeLeft
from twostage.training.train import train_stage1

EPOCH = re.compile(
    r"epoch (\d)/3  mse \S+  kl \S+  gamma \S+ .* s(  left \d+\.?\d* s)?"
)


def on_screen(text):
    """The rows that a terminal shows in the end; no trailing spaces, no empty rows."""
    rows = []
    for written in text.split("\n"):
        row = ""
        for part in written.split("\r"):
            row = part + row[len(part) :]
        rows.append(row.rstrip())
    return [row for row in rows if row]


def fit(display, epochs=3, **options):
    vae = linear_vae()
    vae.compile("adam")
    x = np.random.default_rng(0).normal(size=(40, 6)).astype("float32")
    with display:
        vae.fit(
            x,
            batch_size=10,
            epochs=epochs,
            verbose=0,
            callbacks=[*options.pop("before", []), display],
            **options,
        )


@pytest.mark.parametrize(
    "value, text",
    [
        (0.0123, ".0123"),
        (-0.5, "-.500"),
        (1.0, "1.00"),
        (35.14, "35.1"),
        (999.7, "1000"),
        (-2106.4, "-2106"),
        (4.5e15, "4.50e+15"),
        (2e-5, "2.00e-05"),
        (0.0, "0.00"),
        (math.inf, "inf"),
    ],
)
def test_numbers_have_three_digits(value, text):
    assert number_text(value) == text


@pytest.mark.parametrize(
    "seconds, text",
    [
        (0.94, "0.9 s"),
        (0.96, "1 s"),
        (59.7, "1 min 0 s"),
        (100, "1 min 40 s"),
        (1000, "16 min"),
        (7500, "2 h 5 min"),
        (100_000, "1 d 3 h"),
    ],
)
def test_times_have_two_units(seconds, text):
    assert duration_text(seconds) == text


def test_what_was_not_measured_is_left_out():
    logs = {"loss": -2.0, "kl": math.nan, "mse": 0.0123, "active_latents": 15.0}
    assert metrics(logs, 16) == ["mse .0123", "active 15/16", "loss -2.00"]
    held_out = {**logs, "val_mse": 0.014, "val_kl": 35.1, "val_loss": math.nan}
    assert metrics(held_out, 16)[:2] == ["mse .0123", "val_mse .0140"]
    assert "val_kl 35.1" in metrics(held_out, 16)


def test_a_line_keeps_what_matters_and_fits():
    shown, tail = ["mse .0123", "kl 35.1"], ["0.9 s", "left 1 min 40 s"]
    whole = "epoch 12/120  mse .0123  kl 35.1  0.9 s  left 1 min 40 s"
    assert line(["epoch 12/120"], shown, tail) == whole
    assert line(["epoch 12/120"], shown, tail, len(whole)) == whole
    without_kl = whole.replace("  kl 35.1", "")
    assert line(["epoch 12/120"], shown, tail, len(whole) - 1) == without_kl
    assert line(["epoch 12/120"], shown, tail, 14) == "epoch 12/120  "


def test_time_left_is_by_the_pace_after_the_first_step():
    """A first step of 100 s compiles; then 2 s a step and 10 s of diagnostics."""
    clock = iter([100.0, 102.0, 104.0, 116.0])
    left = TimeLeft(1_000, lambda: next(clock))
    assert left.seconds(5) is None
    left.count(1)
    assert left.seconds(5) is None  # there is no second step yet
    for steps in (2, 3):
        left.count(steps)
    assert left.seconds(10) == 10 * (102 - 100) / 2
    assert left.seconds(10) == 10 * (104 - 100) / 2
    assert left.seconds(10) == 10 * (116 - 100) / 2


@pytest.mark.parametrize("window", [1, 10, 60, 100, 1_000])
@pytest.mark.parametrize("at_once", [1, 7])
def test_time_left_forgets_a_process_that_was_suspended(window, at_once):
    """2 s a step, and a night after step 3,000."""
    now = 0.0
    left = TimeLeft(window, lambda: now)
    for step in range(at_once, 6_000, at_once):
        night = 30_000.0 if step > 3_000 else 0.0
        now = 2.0 * step + night
        left.count(step)
        if step > 3_000 + window + 2 * at_once + window / 10 or at_once < step < 3_000:
            assert left.seconds(100) == pytest.approx(200.0)


@pytest.mark.parametrize(("steps", "every"), [(7, 1), (60, 10), (5_000, 1), (500, 7)])
def test_time_left_includes_what_is_between_epochs(steps, every):
    """1 s a step, and 90 s of diagnostics after each `every` epochs."""
    now = 0.0
    left = EpochDisplay(40, steps, every=every).time_left
    left.now = lambda: now
    for step in range(1, 40 * steps + 1):
        now += 1.0
        left.count(step)
        if step % steps == 0:
            now += 90.0 * (step % (every * steps) == 0)
            seconds = left.seconds(1_000)
            left.begin_epoch()
    expected = 1.0 + 90.0 / (every * steps)
    assert seconds == pytest.approx(1_000 * expected, rel=0.05)


@pytest.mark.parametrize("columns", [40, 80, 120])
def test_a_line_replaces_the_bar_of_each_epoch(capsys, monkeypatch, columns):
    monkeypatch.setenv("COLUMNS", str(columns))
    monkeypatch.setattr("twostage.training.epoch_display.SECONDS_BETWEEN_UPDATES", 0)
    fit(EpochDisplay(3, 4, bar=True))
    text = capsys.readouterr().out
    rows = on_screen(text)
    assert [row[:9] for row in rows] == ["epoch 1/3", "epoch 2/3", "epoch 3/3"]
    assert all(" s" in row and "|" not in row for row in rows)
    assert "4/4" in text and "the first step com" in text  # the bar was there
    pieces = re.split("[\r\n]", text)
    assert max(map(len, pieces)) <= columns - 3  # nothing is wrapped, with ^C
    if columns == 120:
        assert all(map(EPOCH.fullmatch, rows)) and "left" not in rows[-1]


def test_a_terminals_echo_of_ctrl_c_is_erased(monkeypatch):
    class Terminal(io.StringIO):
        def isatty(self):
            return True

    def press(batch, logs=None):
        terminal.write("^C" if batch == 1 else "")

    terminal = Terminal()
    monkeypatch.setenv("COLUMNS", "80")
    monkeypatch.setattr("sys.stdout", terminal)
    pressing = keras.callbacks.LambdaCallback(on_train_batch_begin=press)
    fit(EpochDisplay(2, 4), epochs=2, before=[pressing])
    rows = on_screen(terminal.getvalue())
    assert [row[:9] for row in rows] == ["epoch 1/2", "epoch 2/2"]
    assert "^C" in terminal.getvalue() and "^C" not in "".join(rows)


def test_the_line_is_logged_where_there_is_no_terminal(caplog, capsys):
    with caplog.at_level(logging.INFO, "twostage"):
        fit(EpochDisplay(3, 4))
    assert len(caplog.messages) == 3
    assert all(map(EPOCH.fullmatch, caplog.messages))
    assert capsys.readouterr().out == ""


def test_an_error_leaves_no_bar_behind(capsys):
    def stop(batch, logs=None):
        raise KeyboardInterrupt

    stopping = keras.callbacks.LambdaCallback(on_train_batch_begin=stop)
    with pytest.raises(KeyboardInterrupt):
        fit(EpochDisplay(3, 4, bar=True), before=[stopping])
    text = capsys.readouterr().out
    assert "epoch 1/3" in text and on_screen(text) == []


def test_no_step_waits_for_the_display():
    """Keras need not wait for a step's metrics where every callback says so."""
    display = EpochDisplay(3, 4)
    found = keras.callbacks.CallbackList([display], model=linear_vae())
    assert found._async_train == keras.src.backend.IS_THREAD_SAFE


def test_a_resumed_run_counts_from_where_it_resumed(caplog):
    """Within epoch 2 after step 3 of 4; time left is of the steps of this process."""
    display = EpochDisplay(3, 4)
    display.set_model(linear_vae())
    clock = iter([0.0, 1.0, 2.0])
    display.time_left = TimeLeft(1_000, lambda: next(clock))
    display.on_train_begin()
    with caplog.at_level(logging.INFO, "twostage"):
        display.set_params({"steps": 1, "epochs": 2})
        display.on_epoch_begin(1)
        display.on_train_batch_end(0, {"loss": 1.0})
        display.on_epoch_end(1, {"loss": 1.0})
        display.set_params({"steps": 4, "epochs": 3})
        display.on_epoch_begin(2)
        display.on_train_batch_end(0, {"loss": 1.0})
        assert display.time_left.seconds(3) == 3 * 1.0
    assert caplog.messages == ["epoch 2/3  loss 1.00  0.0 s"]  # no pace yet


def test_settings_that_differ_are_a_table():
    config = presets.resolve(1, "digits", epochs=5, data="/photos", latent_dim=8)
    assert settings_table(config, 1, "digits").splitlines() == [
        "setting     digits  here",
        "epochs      120     5",
        "data        digits  /photos",
        "latent_dim  16      8",
    ]
    other = settings_table(presets.resolve(2, "digits"), 2).splitlines()
    assert other[0].split() == ["setting", "default", "here"]
    assert ["width", "2048", "512"] in [line.split() for line in other]


@pytest.mark.parametrize(
    "preset, name", [("mnist", "of preset mnist"), (None, "the d")]
)
def test_settings_that_do_not_differ_are_one_line(preset, name):
    config = presets.resolve(1, preset or "cifar10", data=preset or "digits")
    text = settings_table(config, 1, preset)
    assert "\n" not in text and name in text


@pytest.mark.skipif(
    keras.backend.backend() != "tensorflow", reason="one backend is enough"
)
def test_a_training_writes_numbers_and_images_for_tensorboard(tmp_path):
    tf = pytest.importorskip("tensorflow")
    pytest.importorskip("tensorboard")
    small = {"base_dim": 4, "fc_dim": 16, "held_out": 0.0, "epochs": 1}
    config = presets.resolve(1, "digits", tensorboard=True, **small)
    images = np.random.default_rng(0).integers(0, 256, (100, 8, 8, 1), "uint8")
    train_stage1(images, config, tmp_path / "run")
    logs = tmp_path / "run" / "stage1" / "tensorboard"
    tags = {
        value.tag
        for path in logs.rglob("events*")
        for event in tf.compat.v1.train.summary_iterator(str(path))
        for value in event.summary.value
    }
    assert {"epoch_loss", "epoch_gamma", "epoch_variance_law"} <= tags
    assert {"reconstructions", "samples"} <= tags
