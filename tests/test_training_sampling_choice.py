"""Which sampler is chosen, and from which numbers."""

import dataclasses

import numpy as np
import pytest
from sklearn.datasets import load_digits

from twostage import InputError, TwoStageVAE, presets, two_stage_vae
from twostage.config import DENSITY_METHODS, SAMPLING_METHODS
from twostage.features.extractor import Extractor
from twostage.models import build
from twostage.models.gaussian_mixture import Mixture
from twostage.models.posterior import EncodedDataset
from twostage.sampling import latent_samplers
from twostage.sampling.generate import many_latents
from twostage.sampling.latent_samplers import fitted_latents
from twostage.training import sampling_choice
from twostage.training.normalizer import measured_normalizer
from twostage.training.sampling_choice import (
    Distance,
    HeldOutData,
    _pick,
    with_sampling,
)
from twostage.training.train import train_stage2


@pytest.mark.parametrize(
    ("distances", "nats", "method"),
    [
        ({"mean": (3.0, 0.1), "mixture": (1.0, 0.1)}, {}, "mixture"),
        # within the standard error of the nearest: the likelier one
        (
            {"noise": (1.05, 0.1), "mixture": (1.0, 0.1)},
            {"noise": -3.0, "mixture": -5.0},
            "noise",
        ),
        (
            {"noise": (1.05, 0.1), "mixture": (1.0, 0.1)},
            {"noise": -7.0, "mixture": -5.0},
            "mixture",
        ),
        # a mixture that memorized
        (
            {"noise": (2.0, 0.1), "mixture": (1.0, 0.1), "gaussian": (2.5, 0.1)},
            {"noise": -17.0, "mixture": -193.0, "gaussian": -22.0},
            "noise",
        ),
        # equals: the first
        (
            {"normalized": (1.0, 0.1), "mean": (1.0, 0.1)},
            {"normalized": -3.0, "mean": -3.0},
            "normalized",
        ),
    ],
)
def test_the_nearest_is_picked_and_then_the_likelier(distances, nats, method):
    found = {name: Distance(*pair) for name, pair in distances.items()}
    assert _pick(found, nats) == method


@pytest.fixture(scope="module")
def trained():
    """A model of both stages that chose its sampler, and its training images."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sampling_choice, "SAMPLES", 500)
        return _trained()


def _trained():
    images = (load_digits().images[:400, ..., None] * 255 / 16).astype("uint8")
    model = TwoStageVAE.from_preset(
        "digits",
        stage1={"base_dim": 4, "fc_dim": 16, "latent_dim": 4, "held_out": 0.1},
        stage2={"width": 16, "sampling": "auto", "initialization": "gaussian"},
    )
    model.fit(images, epochs=(2, 1))
    return model, images


def test_a_sampler_is_chosen_and_used(trained, tmp_path):
    model, _ = trained
    assert model.sampling in (*SAMPLING_METHODS, *DENSITY_METHODS)
    chosen = model.sample_latents(50, seed=1, method=model.sampling)
    np.testing.assert_array_equal(model.sample_latents(50, seed=1), chosen)
    model.save(tmp_path / "model")
    again = TwoStageVAE.load(tmp_path / "model")
    assert again.sampling == model.sampling
    np.testing.assert_array_equal(again.sample_latents(50, seed=1), chosen)


def chosen(trained, monkeypatch):
    """What `auto` chooses, and the greatest of its distances."""
    model, images = trained
    monkeypatch.setattr(sampling_choice, "SAMPLES", 100)
    moments = np.stack(model.encode(images[:200]), axis=1)
    aside = HeldOutData(images[200:300], moments[:100, 0])
    _, choice = with_sampling(model.models, "auto", moments, aside)
    return choice, max(distance.value for distance in choice.distances.values())


@pytest.mark.parametrize("count", [1, 3])
def test_too_few_images_leave_the_choice_to_the_latents(trained, count):
    model, images = trained
    moments = np.stack(model.encode(images[:200]), axis=1)
    aside = HeldOutData(images[200 : 200 + count], moments[:count, 0])
    _, choice = with_sampling(model.models, "auto", moments, aside)
    assert choice.distances == {} and choice.images == count
    assert choice.nats[choice.method] == max(choice.nats.values())
    assert f"{count} held-out images are too few for distances" in str(choice)


def test_gray_images_are_compared_by_the_random_network(trained, monkeypatch):
    choice, greatest = chosen(trained, monkeypatch)
    assert choice.extractor == choice.as_json()["extractor"] == "random network"
    assert "held-out images (random network: " in str(choice)
    assert greatest > 0.01


def test_a_mixture_of_more_gaussians_than_latents_is_no_choice(trained):
    model, images = trained
    moments = np.stack(model.encode(images[:9]), axis=1)
    aside = HeldOutData(images[200:203], model.encode(images[200:203])[0])
    models, choice = with_sampling(model.models, "auto", moments, aside)
    assert "gaussian" in choice.nats and "mixture" not in choice.nats
    assert models.mixture is None or models.mixture.components == 1


def test_where_the_extractor_sees_nothing_the_likeliest_is_taken(trained, monkeypatch):
    blind = Extractor("blind", lambda x: np.ones((len(x), 2)), "0")
    monkeypatch.setattr(sampling_choice, "unlabeled_extractor", lambda _: blind)
    choice, greatest = chosen(trained, monkeypatch)
    assert choice.extractor == choice.as_json()["extractor"] == "blind"
    assert "held-out images (blind: " in str(choice)
    assert greatest <= 0.01
    assert choice.nats[choice.method] == max(choice.nats.values())


@pytest.mark.parametrize(("method", "components"), DENSITY_METHODS.items())
def test_a_density_takes_the_place_of_stage_2(tmp_path, method, components):
    images = (load_digits().images[:300, ..., None] * 255 / 16).astype("uint8")
    model = TwoStageVAE.from_preset(
        "digits",
        stage1={"base_dim": 4, "fc_dim": 16, "latent_dim": 4, "held_out": 0.0},
        stage2={"width": 16, "sampling": method},
    )
    model.fit(images, epochs=(1, 1), run=tmp_path / "run")
    latents = np.stack(model.encode(images), axis=1)
    fitted = Mixture(fitted_latents(latents), components)
    expected = fitted.draw(20, 3)
    np.testing.assert_allclose(model.sample_latents(20, seed=3), expected, rtol=2e-3)
    again = TwoStageVAE.from_run(tmp_path / "run")
    np.testing.assert_array_equal(
        again.sample_latents(20, seed=3), model.sample_latents(20, seed=3)
    )
    other = next(name for name in DENSITY_METHODS if name != method)
    with pytest.raises(InputError, match=f"{other}'`, for which nothing was fitted"):
        model.sample(2, method=other)


def test_too_few_images_for_the_mixture_are_refused_before_training(monkeypatch):
    images = (load_digits().images[:9, ..., None] * 255 / 16).astype("uint8")
    message = "a mixture of 10 Gaussians for the latents of 9 images"
    second = presets.resolve(2, "digits", sampling="mixture", batch_size=4)
    second = dataclasses.replace(second, patience=0)
    with pytest.raises(InputError, match=message):  # before the model is looked at
        train_stage2(None, images, second)
    model = TwoStageVAE.from_preset(
        "digits",
        stage1={"held_out": 0.0, "batch_size": 4},
        stage2={"sampling": "mixture", "batch_size": 4},
    )
    monkeypatch.setattr("twostage.two_stage_vae.train_stage1", None)
    with pytest.raises(InputError, match=message):
        model.fit(images, epochs=(1, 1))


def test_a_mixture_is_fitted_to_all_classes_of_many_images(monkeypatch):
    """Images in the order of their classes, more than are fitted to; the evaluation
    chooses the same ones.
    """
    monkeypatch.setattr(latent_samplers, "MAX_FITTED", 400)
    classes = np.repeat(np.arange(10.0, dtype="float32"), 100)
    moments = np.stack([classes, np.full(1_000, -50.0, "float32")], axis=1)[..., None]
    latents = fitted_latents(moments, seed=1)
    assert latents.shape == (400, 1)
    counts = np.bincount(latents.round().astype(int)[:, 0], minlength=10)
    assert counts.min() > 20
    encoded = EncodedDataset(None, classes)
    monkeypatch.setattr(EncodedDataset, "moments", lambda self, rows: moments[rows])
    drawn = latent_samplers.drawn_latents(encoded, seed=1)
    np.testing.assert_array_equal(drawn, latents)


@pytest.mark.parametrize("components", [1, 10])
def test_what_is_measured_is_the_mixture_that_is_sampled(trained, components):
    model, images = trained
    latents = np.random.default_rng(0).normal(size=(300, 4))
    own = Mixture(latents, components, seed=7)
    models = dataclasses.replace(model.models, mixture=own)
    encoded = EncodedDataset(models.stage1, images[:200])
    found = list(latent_samplers.samplers(models, encoded, mixtures=(1, 2, 10)))
    drawn = {each.name: each.draw(50, 3) for each in found}
    name = latent_samplers.mixture_name(components)
    np.testing.assert_array_equal(drawn[name], own.draw(50, 3))
    assert list(drawn)[-3:] == ["Gaussian", "mixture of 2", "mixture of 10"]


def test_a_mixture_is_written_and_read(tmp_path):
    latents = np.random.default_rng(0).normal(size=(300, 3)) * [1, 2, 3]
    mixture = Mixture(latents, 2)
    mixture.save(tmp_path / "mixture.npz")
    again = Mixture.load(tmp_path / "mixture.npz")
    np.testing.assert_array_equal(again.draw(9, 1), mixture.draw(9, 1))
    np.testing.assert_array_equal(
        again.log_density(latents), mixture.log_density(latents)
    )
    (tmp_path / "mixture.npz").write_bytes(b"PK not whole")
    with pytest.raises(InputError, match=r"mixture.npz, which is damaged"):
        Mixture.load(tmp_path / "mixture.npz")


@pytest.mark.parametrize(
    ("stage2", "words"),
    [
        ({"sampling": "auto"}, "`sampling='auto'` and no held-out images"),
        ({"batch_size": 201}, "200 examples, expected at least one batch of 201"),
    ],
)
def test_stage_2_is_checked_before_stage_1_is_trained(monkeypatch, stage2, words):
    monkeypatch.setattr(two_stage_vae, "train_stage1", pytest.fail)
    model = TwoStageVAE.from_preset("digits", stage1={"held_out": 0.0}, stage2=stage2)
    with pytest.raises(InputError, match=words):
        model.fit(np.full((200, 8, 8, 1), 200, "uint8"), epochs=(1, 1))


def test_a_normalizer_that_stretches_too_far_is_warned_about(caplog):
    config = presets.resolve(2, "digits", width=8)
    vae = build.build_stage2(config, 4)
    before = float(np.mean(many_latents(vae, 10_000, 1).std(0)))
    measured_normalizer(config, vae, target=before * 1.7)
    assert "stretches stage 2's latents by" in caplog.text
    caplog.clear()
    measured_normalizer(config, vae, target=before * 1.4)
    assert not caplog.text


@pytest.mark.parametrize("per_latent", [False, True])
def test_the_normalizer_scales_each_latent_only_where_it_is_asked(per_latent):
    config = presets.resolve(2, "digits", width=8, per_latent=per_latent)
    vae = build.build_stage2(config, 4)
    normalize = measured_normalizer(config, vae, target=1.0)
    std = np.asarray(normalize(many_latents(vae, 10_000, 1))).std(0)
    assert (np.ptp(std) < 0.05) == per_latent
