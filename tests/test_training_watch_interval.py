"""How often the diagnostics run: by time or by epochs, and always at the end."""

import types

import keras
import numpy as np
import pytest
from small_models import linear_vae

from callbacks import ActiveLatents, VarianceLaw
from twostage import presets
from twostage.runs.run import StageRun
from twostage.training.default_callbacks import Diagnostics, default_callbacks
from twostage.training.pace import Pace
from twostage.training.watch_interval import WatchInterval

STEPS = 10


def measured_epochs(interval, seconds, *, first=0, epochs=120):
    """The epochs, from 1, that the diagnostics measure; `seconds` of each."""
    interval.watchers = [types.SimpleNamespace(freq=1)]
    interval.epochs = epochs
    interval.set_params({"steps": STEPS})
    found = []
    for epoch in range(first, epochs):
        interval.on_epoch_end(epoch, {"seconds_per_step": seconds(epoch) / STEPS})
        if (epoch + 1) % interval.watchers[0].freq == 0:
            found.append(epoch + 1)
    return found


def test_seconds_become_epochs_by_the_second_epoch():
    """The first compiles; 30 s are 33.3 epochs of 0.9 s, so 34."""
    interval = WatchInterval([], 120, 0, 30.0)
    found = measured_epochs(interval, lambda epoch: 0.9 if epoch else 40.0)
    assert found == [1, 34, 68, 102, 120]


@pytest.mark.parametrize("seconds", [31.0, 4000.0])
def test_long_epochs_are_each_measured(seconds):
    interval = WatchInterval([], 5, 0, 30.0)
    assert measured_epochs(interval, lambda _: seconds, epochs=5) == [1, 2, 3, 4, 5]


def test_no_seconds_are_every_epoch():
    assert measured_epochs(WatchInterval([], 4, 0, 0.0), lambda _: 0.1, epochs=4) == [
        1,
        2,
        3,
        4,
    ]


def test_epochs_that_are_set_are_kept_whatever_the_time():
    interval = WatchInterval([], 25, 10, 30.0)
    assert measured_epochs(interval, lambda _: 0.001, epochs=25) == [10, 20, 25]
    assert interval.get_state() == {}


def test_a_resumed_training_measures_in_the_same_epochs():
    first = WatchInterval([], 120, 0, 30.0)
    measured_epochs(first, lambda _: 0.9, epochs=50)
    resumed = WatchInterval([], 120, 0, 30.0)
    resumed.set_state(first.get_state())
    slower = measured_epochs(resumed, lambda _: 20.0, first=50)
    assert slower == [68, 102, 120]
    sooner = WatchInterval([], 120, 0, 8.5)  # the setting may change
    sooner.set_state(first.get_state())
    assert measured_epochs(sooner, lambda _: 20.0, first=98) == [100, 110, 120]


def test_a_training_stopped_before_the_time_was_known():
    first = WatchInterval([], 120, 0, 30.0)
    measured_epochs(first, lambda _: 40.0, epochs=1)
    resumed = WatchInterval([], 120, 0, 30.0)
    resumed.set_state(first.get_state())
    found = measured_epochs(resumed, lambda epoch: 0.9 if epoch > 1 else 40.0, first=1)
    assert found == [2, 34, 68, 102, 120]


@pytest.mark.parametrize(
    "changes, every",
    [
        ({}, 0),
        ({"watch_every": 7}, 7),
        ({"deterministic": True}, 1),
        ({"deterministic": True, "watch_every": 7}, 7),
        ({"distribute": True}, 1),
    ],
)
def test_the_clock_does_not_decide_what_repeats(changes, every):
    config = presets.resolve(1, "digits", **changes)
    images = np.zeros((200, 8, 8, 1), "uint8")
    found = default_callbacks(config, Diagnostics(images))
    interval = next(each for each in found if isinstance(each, WatchInterval))
    assert interval.every == every
    kinds = [type(watcher).__name__ for watcher in interval.watchers]
    assert kinds == ["VarianceLaw", "ActiveLatents"]


def test_diagnostics_change_no_number_of_the_training():
    x = np.random.default_rng(0).normal(size=(40, 6)).astype("float32")
    found = []
    for every in (1, 3):
        keras.utils.set_random_seed(1)
        vae = linear_vae(seed=2)
        vae.compile("adam")
        watchers = [kind(x) for kind in (VarianceLaw, ActiveLatents)]
        interval = WatchInterval(watchers, 5, every, 0.0)
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
    config = presets.resolve(1, "digits", watch_every=10)
    StageRun(tmp_path, 1).begin(config, {})
    stage = StageRun.open(tmp_path, 1)
    stage.begin(presets.resolve(1, "digits", watch_seconds=5.0), {})
    assert stage.saved_config().watch_seconds == 5.0
    stage.end()
