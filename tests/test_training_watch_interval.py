"""How often the diagnostics run: by epochs, never by the clock."""

import csv
import dataclasses
import itertools
import json
import time
import types

import keras
import numpy as np
import pytest
from small_models import linear_vae

from callbacks import ActiveLatents, VarianceLaw
from callbacks.statistics import variance_law
from twostage import InputError, presets
from twostage.models.tensors import to_numpy
from twostage.runs.models import load_models
from twostage.runs.run import StageRun
from twostage.training.default_callbacks import Diagnostics, default_callbacks
from twostage.training.pace import Pace
from twostage.training.train import train_stage1
from twostage.training.watch_interval import (
    MEASUREMENTS,
    STEPS,
    WatchInterval,
    epochs_between,
    watch_every,
)


def measured_epochs(interval, first=0):
    """The epochs, from 1, that the diagnostics measure."""
    watcher = types.SimpleNamespace(freq=1)
    interval.watchers = [watcher]
    interval.set_model(types.SimpleNamespace(stop_training=False))
    found = []
    for epoch in range(first, interval.epochs):
        interval.on_epoch_end(epoch, {})
        if (epoch + 1) % watcher.freq == 0:
            found.append(epoch + 1)
    return found


def history_of(run):
    with open(run / "stage1" / "history.csv", encoding="utf-8") as file:
        return list(csv.DictReader(file))


@pytest.mark.parametrize(
    "epochs, steps, every",
    [
        (120, 25, 6),  # digits: 20 measurements
        (1400, 500, 2),  # CIFAR-10 as in the papers: 1,000 steps
        (1400, 501, 1),
        (14, 900, 1),
        (39, 1, 1),
        (40, 1, 2),
        (100, 30_000, 1),
        (1, 1, 1),
    ],
)
def test_at_least_twenty_and_one_in_a_thousand_steps(epochs, steps, every):
    assert epochs_between(epochs, steps) == every


@pytest.mark.parametrize("epochs, steps", [(120, 25), (57, 3), (21, 900), (20, 5000)])
def test_there_are_so_many_whatever_the_length(epochs, steps):
    every = epochs_between(epochs, steps)
    found = measured_epochs(WatchInterval([], epochs, every))
    assert found[0] == 1 and found[-1] == epochs
    assert len(found) >= min(epochs, MEASUREMENTS)
    assert np.diff(found).max() * steps <= max(STEPS, steps)


def test_the_first_epoch_and_the_last_are_measured():
    assert measured_epochs(WatchInterval([], 25, 10)) == [1, 10, 20, 25]


def test_the_epoch_in_which_the_training_ends_is_measured(tmp_path):
    """By patience, before the last one; and what is kept has its numbers."""
    images = np.random.default_rng(0).integers(0, 256, (60, 8, 8, 1), "uint8")
    config = presets.resolve(1, "digits", batch_size=24, patience=2, epochs=2_000)
    train_stage1(images[12:], config, tmp_path, held_out=images[:12])
    rows = history_of(tmp_path)
    assert len(rows) < 2_000
    expected = [row["epoch"] for row in (rows[0], rows[-1])]
    assert [row["epoch"] for row in rows if row["variance_law"]] == expected
    assert all(row["val_loss"] for row in rows)
    kept = json.loads((tmp_path / "results.json").read_text())["stage1"]
    assert kept["epoch"] == len(rows) - 2
    model = load_models(tmp_path)[0].stage1
    mean, log_var = model.posterior(images[12:])
    law = variance_law(to_numpy(mean), to_numpy(log_var)).mean()
    assert kept["variance_law"] == pytest.approx(law, rel=1e-4)
    assert kept["active_latents"] <= 16


def test_a_checkpoint_with_the_clock_of_an_earlier_version_resumes(tmp_path):
    images = np.random.default_rng(0).integers(0, 256, (60, 8, 8, 1), "uint8")
    config = presets.resolve(1, "digits", batch_size=24, epochs=3, held_out=0.0)
    run, stopped = tmp_path / "a", tmp_path / "b"
    train_stage1(images, config, run)
    train_stage1(images, dataclasses.replace(config, epochs=1), stopped)
    (path,) = (stopped / "stage1" / "checkpoints").glob("epoch-*.npz")
    arrays = dict(np.load(path))
    progress = json.loads(str(arrays["progress"]))
    progress["callbacks"]["WatchInterval"] = {"epoch_seconds": 0.5}
    np.savez(path, **arrays | {"progress": np.array(json.dumps(progress))})
    train_stage1(images, config, stopped)
    losses = [[row["loss"] for row in history_of(each)] for each in (run, stopped)]
    assert losses[0] == losses[1] and len(losses[0]) == 3


@pytest.mark.parametrize(
    "changes, every",
    [
        ({}, 6),
        ({"watch_every": 7}, 7),
        ({"deterministic": True}, 6),
        ({"distribute": True}, 6),
        ({"epochs": 10}, 1),
    ],
)
def test_settings_and_steps_alone_decide(changes, every):
    config = presets.resolve(1, "digits", **changes)
    images = np.zeros((200, 8, 8, 1), "uint8")
    found = default_callbacks(config, Diagnostics(images), watch_every(config, 25))
    interval = next(each for each in found if isinstance(each, WatchInterval))
    assert interval.every == every
    kinds = [type(watcher).__name__ for watcher in interval.watchers]
    assert kinds == ["VarianceLaw", "ActiveLatents"]


@pytest.mark.parametrize("seconds", [0.0, 60.0])
def test_the_pace_of_the_machine_does_not_decide(seconds, tmp_path, monkeypatch):
    """Between two looks at the clock there is nothing, or a minute."""
    clock = itertools.count(0.0, seconds)
    monkeypatch.setattr(time, "perf_counter", lambda: next(clock))
    images = np.random.default_rng(0).integers(0, 256, (60, 8, 8, 1), "uint8")
    config = presets.resolve(1, "digits", epochs=41, batch_size=24)
    train_stage1(images[12:], config, tmp_path, held_out=images[:12])
    rows = history_of(tmp_path)
    expected = [1, *range(2, 41, 2), 41]
    for name in ("val_loss", "variance_law"):
        assert [int(row["epoch"]) for row in rows if row[name]] == expected
    drawn = (tmp_path / "stage1" / "images").glob("reconstructions_*.png")
    assert sorted(int(path.stem[-4:]) for path in drawn) == expected


def test_diagnostics_change_no_number_of_the_training():
    x = np.random.default_rng(0).normal(size=(40, 6)).astype("float32")
    found = []
    for every in (1, 3):
        keras.utils.set_random_seed(1)
        vae = linear_vae(seed=2)
        vae.compile("adam")
        watchers = [kind(x) for kind in (VarianceLaw, ActiveLatents)]
        interval = WatchInterval(watchers, 5, every)
        fit = {"batch_size": 10, "epochs": 5, "shuffle": False, "verbose": 0}
        history = vae.fit(x, callbacks=[Pace(), interval, *watchers], **fit).history
        found.append((vae.get_weights(), history["loss"], len(history["variance_law"])))
    (weights, losses, many), (again, losses_again, few) = found
    assert (many, few) == (5, 3)  # the first, the third and the last
    assert losses == losses_again
    for one, other in zip(weights, again, strict=True):
        np.testing.assert_array_equal(one, other)


def test_a_resumed_run_may_measure_in_other_epochs(tmp_path):
    """As one does that was started when every epoch was measured."""
    config = presets.resolve(1, "digits", watch_every=1)
    StageRun(tmp_path, 1).begin(config, {})
    stage = StageRun.open(tmp_path, 1)
    stage.begin(presets.resolve(1, "digits", watch_every=10), {})
    assert stage.saved_config().watch_every == 10
    stage.end()


def test_a_run_whose_interval_was_by_the_clock_is_read(tmp_path):
    StageRun(tmp_path, 1).begin(presets.resolve(1, "digits"), {})
    path = tmp_path / "stage1" / "config.json"
    content = json.loads(path.read_text())
    content["config"]["watch_seconds"] = 30.0
    path.write_text(json.dumps(content))
    assert StageRun.open(tmp_path, 1).saved_config() == presets.resolve(1, "digits")


def test_the_setting_of_the_clock_is_not_ignored():
    with pytest.raises(InputError, match="unknown settings watch_seconds"):
        presets.resolve(1, "digits", watch_seconds=5.0)


def test_the_rate_is_halved_every_so_many_epochs():
    settings = {"schedule": "halving", "halve_every": 3, "learning_rate": 0.8}
    config = presets.resolve(1, "digits", **settings)
    data = np.zeros((9, 8, 8, 1), "uint8")
    kind = keras.callbacks.LearningRateScheduler
    (scheduler,) = [
        each
        for each in default_callbacks(config, Diagnostics(data), 1)
        if isinstance(each, kind)
    ]
    rates = [scheduler.schedule(epoch, None) for epoch in range(7)]
    assert rates == [0.8] * 3 + [0.4] * 3 + [0.2]
