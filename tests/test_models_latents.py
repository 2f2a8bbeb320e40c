"""Latents: redrawing, normalizing, sampling."""

import keras
import numpy as np
import pytest
from keras import ops
from small_models import linear_vae

import twostage
from twostage.models.posterior import EncodedDataset, draw_latents, encode_dataset
from twostage.sampling import generate


def test_encode_is_the_posterior_row_by_row():
    x = np.random.default_rng(0).normal(size=(37, 6)).astype("float32")
    vae = linear_vae(log_var=-0.5)
    mean, log_var = encode_dataset(vae, x, batch_size=10)
    np.testing.assert_allclose(
        mean, x @ vae.encoder.get_weights()[0], rtol=1e-4, atol=1e-5
    )
    np.testing.assert_allclose(log_var, -0.5)


def test_an_encoded_dataset_encodes_each_row_once(monkeypatch):
    x = np.random.default_rng(0).normal(size=(37, 6)).astype("float32")
    vae = linear_vae(log_var=-0.5)
    expected = np.stack(encode_dataset(vae, x), axis=1)
    encoded, seen = EncodedDataset(vae, x), []
    original = vae.posterior_on_batch
    monkeypatch.setattr(
        vae, "posterior_on_batch", lambda part: seen.append(part) or original(part)
    )
    for rows in (np.arange(5, 20), np.array([30, 6, 2]), np.arange(37), np.arange(9)):
        np.testing.assert_allclose(encoded.moments(rows), expected[rows], rtol=1e-6)
    assert len(encoded) == 37 and sum(map(len, seen)) == 37


def test_a_batch_by_the_graph_is_the_batch_by_operations():
    vae, x = linear_vae(log_var=-0.5), np.ones((7, 6), "float32")
    for by_graph, by_operations in zip(
        (*vae.posterior_on_batch(x), vae.decode_on_batch(x[:, :3])),
        (*vae.posterior(x), vae.decode(x[:, :3])),
        strict=True,
    ):
        assert isinstance(by_graph, np.ndarray)
        np.testing.assert_allclose(
            by_graph, ops.convert_to_numpy(by_operations), rtol=1e-6
        )
    weights = vae.decoder.get_weights()
    before = vae.decode_on_batch(x[:, :3])
    vae.decoder.set_weights([2 * weight for weight in weights])
    np.testing.assert_allclose(vae.decode_on_batch(x[:, :3]), 2 * before, rtol=1e-6)


def test_drawn_latents_follow_the_posterior_in_every_epoch():
    moments = np.stack(
        [np.full((50_000, 2), 3.0), np.full((50_000, 2), np.log(0.25))], axis=1
    ).astype("float32")
    z = draw_latents(moments, np.random.default_rng(0))
    assert z.dtype == np.float32 and z.shape == (50_000, 2)
    assert z.mean() == pytest.approx(3, abs=0.01) and z.std() == pytest.approx(
        0.5, abs=0.01
    )
    batches = twostage_batches(moments)
    first = batches[0][0]
    np.testing.assert_array_equal(first, batches[0][0])
    batches.set_epoch(1)
    assert not np.intersect1d(first, batches[0][0]).size


def twostage_batches(moments):
    from twostage.data.batches import Batches

    return Batches(moments, 100, seed=0, transform=draw_latents)


def draws(scale):
    return np.random.default_rng(0).normal(5, 1, (20_000, 3)) * scale


def test_normalizer_brings_the_standard_deviation_to_its_target():
    z = draws([0.5, 0.8, 1.1])
    fresh = np.random.default_rng(1).normal(5, 1, (20_000, 3)) * [0.5, 0.8, 1.1]
    for target in (1.0, 0.9):
        normalizer = twostage.LatentNormalizer(target)
        normalizer.adapt(z)
        after = ops.convert_to_numpy(normalizer(fresh.astype("float32")))
        assert after.std(0).mean() == pytest.approx(target, rel=0.02)
        np.testing.assert_allclose(
            after / fresh, target / z.std(0).mean(), rtol=1e-4
        )  # one scale, no centring
    each = twostage.LatentNormalizer(per_latent=True)
    each.adapt(z)
    np.testing.assert_allclose(
        ops.convert_to_numpy(each(fresh.astype("float32"))).std(0), 1, rtol=0.02
    )


def test_an_inactive_latent_is_not_blown_up():
    ones = np.ones((1, 3), "float32")
    normalizer = twostage.LatentNormalizer(per_latent=True)
    normalizer.adapt(draws([1, 1e-6, 1]))
    np.testing.assert_allclose(ops.convert_to_numpy(normalizer(ones))[0, 1], 1)
    normalizer = twostage.LatentNormalizer()
    normalizer.adapt(draws([1e-6, 1e-6, 1e-6]))
    np.testing.assert_allclose(ops.convert_to_numpy(normalizer(ones)), 1)


def test_normalizer_needs_enough_finite_draws():
    for latents in (np.zeros((500, 3)), np.full((20_000, 3), np.nan), np.zeros(20_000)):
        with pytest.raises(ValueError, match="expected at least 10000 finite vectors"):
            twostage.LatentNormalizer().adapt(latents)


def test_normalizer_keeps_its_statistics_in_a_file(tmp_path):
    normalizer = twostage.LatentNormalizer(0.7)
    normalizer.adapt(draws([0.5, 0.8, 1.1]))
    keras.Sequential([keras.Input((3,)), normalizer]).save(tmp_path / "n.keras")
    again = keras.saving.load_model(tmp_path / "n.keras")
    z = np.ones((2, 3), "float32")
    np.testing.assert_array_equal(
        ops.convert_to_numpy(again(z)), ops.convert_to_numpy(normalizer(z))
    )
    assert float(again.layers[-1].count) == 20_000


def test_sampling_chain():
    """mean: the decoder's; noise: variance gamma^2 more; normalized: standard deviation
    1; then stage 1 decodes.
    """
    stage1, stage2 = (
        linear_vae(6, 3),
        linear_vae(3, 3, likelihood=twostage.GaussianLikelihood(gamma=0.5)),
    )
    u, noise = np.random.default_rng(0).normal(size=(2, 20_000, 3)).astype("float32")
    kernel = stage2.decoder.get_weights()[0]
    mean = ops.convert_to_numpy(generate.sample_latents(stage2, u, method="mean"))
    np.testing.assert_allclose(mean, u @ kernel, rtol=1e-4, atol=1e-5)
    noisy = ops.convert_to_numpy(
        generate.sample_latents(stage2, u, method="noise", noise=noise)
    )
    np.testing.assert_allclose(noisy, mean + 0.5 * noise, rtol=1e-4, atol=1e-5)
    normalizer = twostage.LatentNormalizer()
    normalizer.adapt(mean)
    normalized = ops.convert_to_numpy(
        generate.sample_latents(stage2, u, method="normalized", normalizer=normalizer)
    )
    assert normalized.std(0).mean() == pytest.approx(1, rel=1e-4)
    images = ops.convert_to_numpy(
        generate.sample(stage1, stage2, u, method="normalized", normalizer=normalizer)
    )
    np.testing.assert_allclose(
        images, normalized @ stage1.decoder.get_weights()[0], rtol=1e-4, atol=1e-4
    )
    for method, words in (
        ("means", "expected one of mean"),
        ("noise", "without `noise`, expected standard normal"),
        ("normalized", "without `normalizer`, expected a fitted"),
    ):
        with pytest.raises(ValueError, match=words):
            generate.sample_latents(stage2, u, method=method)


def test_plot_of_latents_draws_any_variance():
    """Blown-up and inactive latents are drawn, not refused: the plot is needed most
    when training goes wrong.
    """
    from twostage.reporting.latent_plots import latent_variances

    generator = np.random.default_rng(0)
    mean, log_var = (
        generator.normal(0, [0, 1, 9], (500, 3)),
        np.log(np.tile([1.0, 1e-6, 40.0], (500, 1))),
    )
    image = latent_variances(mean, log_var)
    blue = (image == (70, 110, 170)).all(-1)
    assert image.shape == (280, 640, 3)
    heights = [
        int(blue[:, column].sum()) for column in (100, 200, 400)
    ]  # bars sorted by E[sigma^2], 168 pixels a unit, cut at 1.3
    np.testing.assert_allclose(heights, [0, 168, 1.3 * 168], atol=4)
