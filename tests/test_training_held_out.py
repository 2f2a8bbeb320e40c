"""Held-out images: which they are, their loss, and the epoch that they choose."""

import dataclasses
import json
import os
import signal
from pathlib import Path

import keras
import numpy as np
import pytest
from keras import ops
from PIL import Image
from scipy import stats
from sklearn.datasets import load_digits
from small_models import linear_vae

from twostage import InputError, TwoStageVAE, presets, two_stage_vae
from twostage.cli.main import COMMANDS
from twostage.data import loading
from twostage.data.batches import Batches, flip
from twostage.data.splits import divided_rows
from twostage.metrics.likelihood_bounds import bounds
from twostage.models import build
from twostage.models.gaussian_start import (
    initialize_as_gaussian,
    initialize_near_gaussian,
    keep_gaussian_if_better,
)
from twostage.models.held_out_loss import held_out_loss
from twostage.runs.data import held_out_images, training_images
from twostage.runs.run import StageRun
from twostage.system.provenance import fingerprint
from twostage.training import train
from twostage.training.best_epoch import BestEpoch
from twostage.training.fit import compile_vae
from twostage.training.held_out import HeldOut
from twostage.training.overfitting import warn_of_overfitting
from twostage.training.train import train_stage1

pytestmark = pytest.mark.usefixtures("without_saved_model")

SMALL = ["--base-dim", "4", "--fc-dim", "16", "--latent-dim", "4"]


def digits(count=400):
    return (load_digits().images[:count, ..., None] * 255 / 16).astype("uint8")


# which images


def test_a_twentieth_is_held_out_and_two_thousand_at_most():
    rows = divided_rows(400, 0.05)
    assert len(rows["validation"]) == 20 and len(rows["train"]) == 380
    both = np.concatenate([rows["train"], rows["validation"]])
    np.testing.assert_array_equal(np.sort(both), np.arange(400))
    assert len(divided_rows(100_000, 0.05)["validation"]) == 2_000
    assert len(divided_rows(12, 0.05)["validation"]) == 2
    assert len(divided_rows(4, 0.05)["train"]) == 2
    for too_few in (0, 1, 3):
        with pytest.raises(InputError, match=f"received {too_few} training image"):
            divided_rows(too_few, 0.05)


def write_images(folder, count):
    folder.mkdir(parents=True)
    for i in range(count):
        Image.fromarray(np.full((8, 8), i, "uint8")).save(folder / f"{i:03d}.png")


@pytest.mark.parametrize("folders", [False, True])
def test_image_files_give_part_of_their_training_split(tmp_path, folders):
    if folders:
        write_images(tmp_path / "data" / "train", 60)
        write_images(tmp_path / "data" / "test", 12)
    else:
        write_images(tmp_path / "data", 60)
    options = {"data": str(tmp_path / "data"), "cache": str(tmp_path / "cache")}
    whole = loading.load_splits(presets.resolve(1, "digits", held_out=0.0, **options))
    parts = loading.load_splits(presets.resolve(1, "digits", held_out=0.1, **options))
    assert set(whole) == {"train", "test"} and set(parts) == {*whole, "validation"}
    values = {name: set(images[:, 0, 0, 0]) for name, (images, _) in parts.items()}
    assert values["train"] | values["validation"] == set(whole["train"][0][:, 0, 0, 0])
    assert not values["train"] & values["validation"]
    np.testing.assert_array_equal(parts["test"][0], whole["test"][0])


def test_arrays_give_part_of_their_training_split_with_its_labels(tmp_path):
    x = np.arange(100, dtype="uint8")[:, None, None, None] * np.ones((1, 8, 8, 1), "u1")
    np.savez(tmp_path / "x.npz", x_train=x, y_train=np.arange(100), x_test=x[:9])
    config = presets.resolve(1, "digits", data=str(tmp_path / "x.npz"), held_out=0.2)
    parts = loading.load_splits(config)
    assert {name: len(found[0]) for name, found in parts.items()} == {
        "train": 80,
        "validation": 20,
        "test": 9,
    }
    for name in ("train", "validation"):
        images, labels = parts[name]
        np.testing.assert_array_equal(images[:, 0, 0, 0], labels)


def test_a_validation_split_takes_their_place(tmp_path):
    write_images(tmp_path / "data" / "train", 40)
    write_images(tmp_path / "data" / "val", 12)
    options = {"data": str(tmp_path / "data"), "cache": str(tmp_path / "cache")}
    parts = loading.load_splits(presets.resolve(1, "digits", held_out=0.1, **options))
    assert {name: len(images) for name, (images, _) in parts.items()} == {
        "train": 40,
        "validation": 12,
    }


# their loss


def test_the_held_out_loss_is_the_negative_bound():
    """By the closed form of a linear VAE, and the same for the same seed."""
    x = np.random.default_rng(0).normal(size=(20_000, 6)).astype("float32")
    vae = linear_vae(log_var=-1.0, seed=3)
    found = held_out_loss(vae, x, seed=1)
    parts = bounds(vae, x, samples=1)
    assert found["val_kl"] == pytest.approx(parts["rate"].mean(), rel=1e-5)
    assert found["val_loss"] == pytest.approx(-parts["evidence"].mean(), rel=5e-3)
    assert found == held_out_loss(vae, x, seed=1) != held_out_loss(vae, x, seed=2)


def test_the_weight_of_the_kl_is_in_the_held_out_loss():
    x = np.random.default_rng(0).normal(size=(300, 6)).astype("float32")
    vae = linear_vae(log_var=-1.0, seed=3)
    one = held_out_loss(vae, x)
    vae.kl_weight.assign(4.0)
    four = held_out_loss(vae, x)
    assert four["val_loss"] - one["val_loss"] == pytest.approx(3 * one["val_kl"], 1e-4)


def test_the_held_out_loss_at_the_best_gamma_is_the_least():
    """Against the loss at gammas around it, and by its closed form."""
    x = np.random.default_rng(0).normal(size=(300, 6)).astype("float32")
    vae = linear_vae(log_var=-1.0, seed=3)
    vae.likelihood.set_gamma(0.4)
    vae.kl_weight.assign(2.0)
    best = held_out_loss(vae, x, fit_gamma=True)
    gamma = best["val_mse"] ** 0.5
    nats = 3 * (1 + np.log(2 * np.pi * best["val_mse"])) + 2 * best["val_kl"]
    assert best["val_loss"] == pytest.approx(nats, rel=1e-5)
    assert float(vae.gamma) == pytest.approx(0.4)
    for factor in (0.9, 1.0, 1.1):
        vae.likelihood.set_gamma(factor * gamma)
        loss = held_out_loss(vae, x)["val_loss"]
        more = 0.0 if factor == 1.0 else 0.03
        assert loss >= best["val_loss"] + more - 1e-4
        assert loss < best["val_loss"] + 0.2


def test_the_best_gamma_is_not_below_its_floor():
    x = np.random.default_rng(0).normal(size=(300, 6)).astype("float32")
    vae = linear_vae(log_var=-1.0, seed=3)
    vae.likelihood.floor = 3.0
    best = held_out_loss(vae, x, fit_gamma=True)["val_loss"]
    vae.likelihood.set_gamma(0.1)
    assert float(vae.gamma) == 3.0
    assert held_out_loss(vae, x)["val_loss"] == pytest.approx(best, rel=1e-5)


@pytest.mark.parametrize("gamma", ["computed", "learned", "fixed"])
def test_the_best_epoch_gets_the_best_gamma_for_held_out_images(gamma, monkeypatch):
    """The logged loss is then its own; a gamma that was given stays."""
    monkeypatch.setattr(train, "_recalibrated", lambda *given: None)
    config = presets.resolve(
        1,
        "digits",
        **{"base_dim": 4, "fc_dim": 16, "latent_dim": 4, "epochs": 3},
        **{"gamma": gamma, "gamma_start": 0.6, "held_out": 0.1, "patience": 2},
    )
    aside = digits()[:80]
    trained = train_stage1(digits()[80:], config, held_out=aside)
    found = held_out_loss(trained.model, aside, config.seed)
    best = min(trained.history.history["val_loss"])
    assert found["val_loss"] == pytest.approx(best, rel=1e-5)
    expected = 0.6 if gamma == "fixed" else found["val_mse"] ** 0.5
    assert float(trained.model.gamma) == pytest.approx(expected, rel=1e-5)


def fitted(vae, x, **options):
    vae.compile("adam")
    vae.fit(x, batch_size=50, verbose=0, shuffle=False, **options)
    return [ops.convert_to_numpy(weight) for weight in vae.weights]


def test_measuring_changes_nothing_in_the_training():
    x = np.random.default_rng(0).normal(size=(200, 6)).astype("float32")
    keras.utils.set_random_seed(0)
    alone = fitted(linear_vae(seed=3), x, epochs=2)
    keras.utils.set_random_seed(0)
    watched = HeldOut(x[:50])
    both = fitted(linear_vae(seed=3), x, epochs=2, callbacks=[watched])
    for first, second in zip(alone, both, strict=True):
        np.testing.assert_array_equal(first, second)


def test_it_measures_the_first_and_every_third_epoch():
    x = np.random.default_rng(0).normal(size=(100, 6)).astype("float32")
    vae = linear_vae(seed=3)
    vae.compile("adam")
    seen = []
    log = keras.callbacks.LambdaCallback(
        on_epoch_end=lambda epoch, logs: seen.append("val_loss" in logs)
    )
    vae.fit(x, epochs=7, verbose=0, callbacks=[HeldOut(x, freq=3), log])
    assert seen == [True, False, True, False, False, True, False]


# the best epoch


class Losses(HeldOut):
    """Held-out losses as listed, that of epoch 0 first."""

    def __init__(self, *losses):
        super().__init__(np.zeros((2, 6), "float32"))
        self.losses = losses

    def on_epoch_begin(self, epoch, logs=None):
        self.at = epoch + 1

    def measure(self):
        at = getattr(self, "at", 0)
        return {"val_loss": self.losses[at]}


@pytest.mark.parametrize("in_memory", [True, False])
@pytest.mark.parametrize(
    ("losses", "epochs", "best"),
    [
        ([9.0, 5.0, 3.0, 4.0, 4.0, 1.0], 4, 2),
        ([1.0, 5.0, 3.0, 4.0, 4.0, 0.5], 2, 0),
        ([9.0, 8.0, 7.0, 6.0], 3, 3),
        ([9.0, float("nan"), 7.0, 8.0], 3, 2),
    ],
)
def test_the_best_epoch_is_kept_and_patience_ends(
    tmp_path, losses, epochs, best, in_memory
):
    """With a patience of two epochs; each epoch's weights are known by gamma."""
    vae = linear_vae(seed=3)
    vae.compile("adam")
    measured = Losses(*losses)
    kept = BestEpoch(measured, 2, None if in_memory else tmp_path)
    mark = keras.callbacks.LambdaCallback(
        on_epoch_begin=lambda epoch, logs: vae.kl_weight.assign(epoch + 10.0)
    )
    vae.kl_weight.assign(9.0)
    x = np.zeros((50, 6), "float32")
    history = vae.fit(
        x, epochs=len(losses) - 1, verbose=0, callbacks=[mark, measured, kept]
    )
    rows = [{"epoch": i + 1} for i in range(epochs)]
    assert len(history.epoch) == epochs
    assert kept.restore(vae, rows)["epoch"] == best == kept.epoch
    assert float(ops.convert_to_numpy(vae.kl_weight)) == best + 9.0


@pytest.mark.parametrize("damage", [Path.unlink, lambda path: path.write_bytes(b"x")])
def test_the_best_epochs_weights_are_read_before_training_goes_on(tmp_path, damage):
    vae = linear_vae(seed=3)
    vae.compile("adam")
    measured = Losses(3.0, 2.0, 1.0)
    kept = BestEpoch(measured, 2, tmp_path)
    vae.fit(np.zeros((50, 6)), epochs=2, verbose=0, callbacks=[measured, kept])
    again = BestEpoch(measured, 2, tmp_path)
    again.set_state(kept.get_state())
    damage(tmp_path / "best-00002.npz")
    words = r"received .*best-00002\.npz, which cannot be read .* the best epoch, 2"
    for attempt in (lambda: again.set_state(kept.get_state()), again._read):
        with pytest.raises(InputError, match=words):
            attempt()


@pytest.mark.parametrize(
    ("losses", "warned"),
    [
        ([-100, -900, -1000, -950], True),
        ([-100, -900, -1000, -995], False),  # within a hundredth
        ([50, 40, 41], False),
        ([50, 40, 41.1], True),
        ([0.5, 0.1, 0.9], False),  # within a nat
        ([3.0, 2.0, 1.0], False),
        ([None, None], False),
        ([50, 40, None, 45, None], True),  # not every epoch is measured
    ],
)
def test_overfitting_is_reported(caplog, losses, warned):
    rows = [{} if loss is None else {"val_loss": loss} for loss in losses]
    assert warn_of_overfitting(rows) == warned
    assert (
        "overfits: the held-out loss was lowest after epoch" in caplog.text
    ) == warned


def test_patience_without_held_out_images_is_refused(monkeypatch):
    with pytest.raises(InputError, match=r"`patience=3` without held-out"):
        presets.resolve(1, "digits", patience=3, held_out=0.0)
    monkeypatch.setattr(two_stage_vae, "train_stage1", pytest.fail)
    model = TwoStageVAE.from_preset(
        "digits", stage1={"held_out": 0.0}, stage2={"patience": 3}
    )
    with pytest.raises(InputError, match=r"`patience=3` and no held-out images.*=0`"):
        model.fit(digits(), epochs=(1, 1))


def run_both(run, first, second):
    COMMANDS["train-stage1"]([*SMALL, "--run", run, "--held-out", "0.1", *first])
    COMMANDS["train-stage2"](["--run", run, "--width", "16", *second])


FIRST = ["--epochs", "2", "--deterministic", "--watch-every", "1"]
SECOND = [
    *("--epochs", "6", "--deterministic", "--watch-every", "1"),
    *("--patience", "1", "--learning-rate", "0.05", "--initialization", "gaussian"),
    *("--schedule", "cosine", "--warmup-steps", "5"),
]


@pytest.mark.slow
def test_a_run_keeps_its_best_epoch_and_resumes_as_if_unbroken(tmp_path, monkeypatch):
    whole, broken = str(tmp_path / "whole"), str(tmp_path / "broken")
    run_both(whole, FIRST, SECOND)
    results = StageRun.open(whole, 2).run / "results.json"
    assert '"val_loss"' in results.read_text()
    COMMANDS["train-stage1"]([*SMALL, "--run", broken, "--held-out", "0.1", *FIRST])
    fetch = Batches.__getitem__

    def fetch_and_stop(self, index):
        if self.epoch == 0 and index == 6:
            os.kill(os.getpid(), signal.SIGTERM)
        return fetch(self, index)

    monkeypatch.setattr(Batches, "__getitem__", fetch_and_stop)
    with pytest.raises(SystemExit):
        COMMANDS["train-stage2"](["--run", broken, "--width", "16", *SECOND])
    monkeypatch.setattr(Batches, "__getitem__", fetch)
    COMMANDS["train-stage2"](["--run", broken, "--resume"])
    models = [StageRun.open(run, 2).load_model() for run in (whole, broken)]
    for one, other in zip(*(model.get_weights() for model in models), strict=True):
        np.testing.assert_array_equal(one, other)
    # a finished run has nothing left to train
    COMMANDS["train-stage2"](["--run", broken, "--resume"])


def test_a_training_that_patience_ended_goes_on_with_more(tmp_path, caplog, capsys):
    run = str(tmp_path / "run")
    # on any machine patience ends what learns nothing
    ended = ["--epochs", "9", "--patience", "1", "--learning-rate", "1e-12"]
    run_both(run, ["--epochs", "1"], [*ended, "--gamma", "fixed"])
    assert "stopped by patience 1; to train longer, resume with a higher" in caplog.text
    stage = StageRun.open(run, 2)
    epochs = len((stage.path / "history.csv").read_text().splitlines())
    assert epochs < 9
    COMMANDS["train-stage2"](["--run", run, "--resume", "--patience", "3"])
    assert len((stage.path / "history.csv").read_text().splitlines()) > epochs
    with pytest.raises(SystemExit):  # there would be no best epoch any more
        COMMANDS["train-stage2"](["--run", run, "--resume", "--patience", "0"])
    assert "patience 3 -> 0" in capsys.readouterr().err


def test_a_fit_resumes_in_stage_2_after_patience_ended_stage_1(tmp_path, monkeypatch):
    run = tmp_path / "run"
    stage1 = {"base_dim": 4, "fc_dim": 16, "latent_dim": 4, "held_out": 0.1}
    stage1 |= {"learning_rate": 0.5, "patience": 1, "epochs": 9}
    stage2 = {"width": 16, "epochs": 3, "patience": 0, "sampling": "mean"}

    def model():
        return TwoStageVAE.from_preset("digits", stage1=stage1, stage2=stage2)

    with monkeypatch.context() as patch:
        patch.setattr("twostage.two_stage_vae.train_stage2", stopped_after_begin)
        with pytest.raises(KeyboardInterrupt):
            model().fit(digits(), run=run)
    first = StageRun.open(run, 1)
    assert first.epochs_begun() < 9 and (run / "stage2" / "config.json").exists()
    weights = first.load_model().get_weights()
    history = model().fit(digits(), run=run)
    assert len(history.stage1.epoch) < 9 and len(history.stage2.epoch) == 3
    for one, other in zip(weights, first.load_model().get_weights(), strict=True):
        np.testing.assert_array_equal(one, other)
    with pytest.raises(InputError, match="stage2 was trained on this stage 1 as it is"):
        TwoStageVAE.from_preset(
            "digits", stage1={**stage1, "patience": 2}, stage2=stage2
        ).fit(digits(), run=run)


def stopped_after_begin(stage1, images, config, run, **options):
    stage = StageRun.create(run, 2)
    stage.begin(config, fingerprint(images), fingerprint(options["held_out"]))
    stage.end()
    raise KeyboardInterrupt


@pytest.mark.parametrize("number", [1, 2])
def test_a_stage_with_more_patience_is_unfinished_until_it_ends(tmp_path, number):
    run = str(tmp_path / "run")
    ended = ["--run", run, "--epochs", "9", "--patience", "1", "--learning-rate"]
    COMMANDS["train-stage1"]([*SMALL, "--held-out", "0.1", *ended, "0.5"])
    if number == 2:  # on any machine patience ends what learns nothing
        options = ["1e-12", "--gamma", "fixed", "--width", "16"]
        COMMANDS["train-stage2"]([*ended, *options])
    stage = StageRun.open(run, number)
    config = stage.saved_config()
    noted = json.loads((stage.path / "environment.json").read_text())
    done = stage.epochs_begun()
    assert done < 9
    (stage.path / "recalibrated.keras").touch()
    cases = (
        ({}, True),
        ({"epochs": done, "patience": 2}, True),  # nothing is missing
        ({"patience": 2}, False),
    )
    for more, finished in cases:
        changed = dataclasses.replace(config, **more)
        stage.begin(changed, noted["data"], noted["held_out"])
        stage.end()
        assert stage.finished == finished
        assert (stage.path / "recalibrated.keras").exists() == finished


def test_the_presets_need_no_held_out_images(tmp_path, caplog):
    run = str(tmp_path / "run")
    none = ["--run", run, "--held-out", "0", "--epochs", "1"]
    COMMANDS["train-stage1"]([*SMALL, *none])
    COMMANDS["train-stage2"](["--run", run, "--width", "16", "--epochs", "1"])
    assert "no held-out images: patience 0, sampling normalized" in caplog.text
    assert StageRun.open(run, 2).sampling_method() == "normalized"


def test_both_stages_hold_out_the_same_images(tmp_path, caplog):
    run_both(str(tmp_path / "run"), ["--epochs", "1"], ["--epochs", "1"])
    first = StageRun.open(tmp_path / "run", 1)
    stated = [line for line in caplog.messages if "; 162 others are held out" in line]
    assert len(stated) == 2
    train, held_out = training_images(first), held_out_images(first)
    assert len(held_out) == 162 and len(train) == 1618 - 162
    for number in (1, 2):
        history = (tmp_path / "run" / f"stage{number}" / "history.csv").read_text()
        assert "val_loss,val_mse,val_kl" in history


def test_arrays_are_held_out_by_the_setting_or_given():
    stage1 = {"base_dim": 4, "fc_dim": 16, "latent_dim": 4, "held_out": 0.1}
    stage2 = {"width": 16, "patience": 5}
    model = TwoStageVAE.from_preset("digits", stage1=stage1, stage2=stage2)
    history = model.fit(digits(), epochs=(1, 2))
    assert len(model._training_images) == 360
    assert len(history.stage2.history["val_loss"]) == 2
    history = model.fit(digits(), epochs=(1, 1), held_out=digits()[:50])
    assert len(model._training_images) == 400
    assert "val_mse" in history.stage1.history


# where stage 2 begins


def whitened(latents, **settings):
    """A stage 2 that begins near the Gaussian, before it does."""
    settings = {"width": 16, "initialization": "gaussian", **settings}
    return build.build_stage2(presets.resolve(2, "digits", **settings), latents)


def moments_of(count=5_000, latents=4):
    generator = np.random.default_rng(0)
    factor = generator.normal(size=(latents, latents)) * [1.0, 0.6, 0.3, 0.8]
    mean = generator.normal(size=(count, latents)) @ factor.T + [1.0, 0.0, -2.0, 0.5]
    log_var = np.log(np.full_like(mean, 0.2))
    return np.stack([mean, log_var], axis=1).astype("float32")


@pytest.mark.parametrize("gamma", ["computed", "learned", "fixed"])
def test_stage_2_begins_as_the_gaussian_of_the_latents(gamma):
    """Its bound on each latent equals the Gaussian's log density: the posterior is the
    true one.
    """
    moments = moments_of()
    start = 0.3 if gamma == "fixed" else 1.0
    vae = whitened(4, gamma=gamma, gamma_start=start)
    initialize_as_gaussian(vae, moments, keep_gamma=gamma == "fixed")
    mean = moments[:, 0].astype("float64")
    covariance = np.cov(mean, rowvar=False) + 0.2 * np.eye(4)
    z = mean[:50].astype("float32")
    expected = stats.multivariate_normal(mean.mean(0), covariance).logpdf(z)
    for samples in (1, 7):  # of the true posterior any number gives the same
        found = bounds(vae, z, samples=samples)["importance"]
        np.testing.assert_allclose(found, expected, atol=2e-4)


def test_a_fixed_gamma_above_the_least_variance_is_kept():
    vae = whitened(4, gamma="fixed", gamma_start=2.0)
    initialize_as_gaussian(vae, moments_of(), keep_gamma=True)
    assert float(ops.convert_to_numpy(vae.gamma)) == 2.0
    loss = held_out_loss(vae, moments_of()[:, 0])
    assert np.isfinite(loss["val_loss"])


def two_clusters(count, seed):
    """Latents (N, 2) that no Gaussian fits: two clusters of standard deviation .2."""
    generator = np.random.default_rng(seed)
    signs = generator.choice([-1.0, 1.0], count)
    noise = generator.normal(size=(count, 2)) * 0.2
    return (signs[:, None] * [1.0, 0.5] + noise).astype("float32")


def with_narrow_posteriors(mean):
    return np.stack([mean, np.full_like(mean, -20)], axis=1)


def test_stage_2_learns_more_than_the_gaussian_that_it_begins_near():
    """Two clusters: the entropy of each is 2 log(.2 sqrt(2 pi e)) and log(2) nats come
    on top, so the best loss is .312 nats.
    """
    settings = {
        "width": 64,
        "gamma": "learned",
        "learning_rate": 3e-3,
        "optimizer": "adam",
    }
    vae = whitened(2, **settings)
    moments, aside = (
        with_narrow_posteriors(two_clusters(4_000, 0)),
        two_clusters(500, 1),
    )
    initialize_as_gaussian(vae, moments)
    gaussian = held_out_loss(vae, aside)["val_loss"]
    vae = whitened(2, **settings)
    initialize_near_gaussian(vae, moments)
    near = held_out_loss(vae, aside)["val_loss"]
    assert near != gaussian and abs(near - gaussian) < 1
    batches = Batches(moments[:, 0], 100)
    compile_vae(presets.resolve(2, "digits", **settings), vae, len(batches))
    vae.fit(batches, epochs=40, shuffle=False, verbose=0)
    assert keep_gaussian_if_better(vae, moments, aside) is None
    assert 0.3 < held_out_loss(vae, aside)["val_loss"] < gaussian - 0.5


def test_a_stage_2_that_fits_worse_becomes_the_gaussian(caplog):
    vae = whitened(4, gamma="learned")
    moments = moments_of()
    aside = moments_of()[:400, 0]
    initialize_near_gaussian(vae, moments)
    expected = held_out_loss(vae, aside)["val_loss"]
    found = keep_gaussian_if_better(vae, moments, aside)
    assert found["val_loss"] < expected
    assert "stage 2 is replaced by one Gaussian" in caplog.text
    assert held_out_loss(vae, aside) == found


# the cosine


def test_the_cosine_rises_within_the_warm_up_and_falls_to_nothing():
    config = presets.resolve(
        2, "digits", width=8, schedule="cosine", warmup_steps=10, learning_rate=0.02
    )
    vae = build.build_stage2(config, 4)
    compile_vae(config, vae, steps=5)
    steps = 5 * config.epochs
    rate = vae.optimizer._learning_rate
    found = [float(ops.convert_to_numpy(rate(step))) for step in (0, 5, 10, steps)]
    assert found == pytest.approx([0, 0.01, 0.02, 0], abs=1e-8)
    middle = 10 + (steps - 10) // 2
    assert float(ops.convert_to_numpy(rate(middle))) == pytest.approx(0.01, rel=1e-3)


def test_a_cosine_ends_with_the_run(tmp_path, capsys):
    options = ["--run", str(tmp_path / "run"), *SMALL, "--schedule", "cosine"]
    COMMANDS["train-stage1"]([*options, "--epochs", "1"])
    with pytest.raises(SystemExit):
        COMMANDS["train-stage1"](["--run", options[1], "--resume", "--epochs", "2"])
    assert "other settings (epochs 1 -> 2)" in capsys.readouterr().err


def test_a_warm_up_without_a_cosine_is_refused():
    with pytest.raises(InputError, match=r"`warmup_steps=5` with .*'halving'"):
        presets.resolve(1, "digits", warmup_steps=5)


def test_stage_1_is_trained_on_mirrored_images_where_it_says_so(monkeypatch):
    seen = []

    def batches(*arguments, **options):
        seen.append(options["transform"])
        return Batches(*arguments, **options)

    monkeypatch.setattr(train, "Batches", batches)
    small = {"held_out": 0.0, "base_dim": 4, "batch_size": 30}
    for mirrored in (False, True):
        config = presets.resolve(1, "digits", flip=mirrored, **small)
        train_stage1(digits(60), config, dry_run=True)
    assert seen == [None, flip]
