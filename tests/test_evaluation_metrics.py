"""Bounds, normality, densities, extractors: against exact likelihoods, SciPy, plain
loops, and what must come out of trivial cases.
"""

import numpy as np
import pytest
from keras import ops
from scipy import stats
from small_models import linear_vae

import twostage
from twostage import InputError
from twostage.evaluation import latent_metrics
from twostage.evaluation.generated_images import ImageFeatures
from twostage.evaluation.likelihood_metrics import likelihood_metrics
from twostage.evaluation.protocol import match_moments
from twostage.features.extractor import Extractor, quantized
from twostage.metrics.likelihood_bounds import bits_per_dimension, bounds, dequantize
from twostage.metrics.moments import Moments
from twostage.metrics.normality import energy_distance, normality
from twostage.metrics.pixel_statistics import PixelStatistics
from twostage.models.gaussian_mixture import Mixture


def linear_gaussian(gamma=0.6, exact=False):
    """A linear VAE, and the log density of its x; `exact` gives it the true posterior,
    else a wider one around it.
    """
    w = np.array(
        [[2.0, 0.0, 0.0], [0.0, 0.5, 0.0]], "float32"
    )  # orthogonal rows, so that the true posterior is diagonal
    vae = linear_vae(3, 2, likelihood=twostage.GaussianLikelihood(gamma=gamma), seed=0)
    variance = 1 / ((w**2).sum(1) / gamma**2 + 1)
    a = (w * variance[:, None] / gamma**2).T * (1 if exact else 0.9)
    vae.encoder.set_weights(
        [a, np.zeros(2), np.zeros((3, 2)), np.log(variance) + (0 if exact else 0.4)]
    )
    vae.decoder.set_weights([w, np.zeros(3)])
    covariance = w.T @ w + gamma**2 * np.eye(3)
    return vae, stats.multivariate_normal(np.zeros(3), covariance).logpdf


def test_the_importance_bound_of_a_linear_gaussian_is_exact():
    vae, log_density = linear_gaussian()
    x = np.random.default_rng(0).normal(size=(400, 3)).astype("float32")
    found, truth = bounds(vae, x, samples=2_000, batch_rows=20_000), log_density(x)
    few = bounds(vae, x, samples=5)
    errors = found["importance"] - truth
    assert abs(errors.mean()) < 4 * errors.std() / 20 + 2e-3
    assert (
        found["evidence"].mean() < few["importance"].mean() < truth.mean()
    )  # K lifts the bound toward the likelihood
    assert (truth - found["evidence"]).mean() > 0.02


def test_the_bound_of_dequantized_images_takes_the_draws_of_the_images():
    vae, log_density = linear_gaussian()
    x = np.random.default_rng(0).normal(size=(400, 3)).astype("float32")
    near = x + np.float32(0.01)
    found = bounds(vae, x, samples=2_000, batch_rows=20_000, dequantized=near)
    errors = found["dequantized"] - log_density(near)
    assert abs(errors.mean()) < 4 * errors.std() / 20 + 2e-3
    alone = bounds(vae, x, samples=2_000, batch_rows=20_000)
    for name, values in alone.items():
        np.testing.assert_array_equal(found[name], values)


def test_both_bounds_are_exact_with_the_true_posterior():
    vae, log_density = linear_gaussian(exact=True)
    x = np.random.default_rng(1).normal(size=(50, 3)).astype("float32")
    found = bounds(vae, x, samples=7)
    np.testing.assert_allclose(
        found["importance"], log_density(x), atol=2e-5
    )  # every weight is the same
    many = bounds(vae, x, samples=4_000, batch_rows=40_000)
    assert many["evidence"].mean() == pytest.approx(log_density(x).mean(), abs=0.01)


def test_evidence_is_what_the_model_evaluates_with_kappa_1():
    vae, _ = linear_gaussian()
    vae.kl_weight.assign(4.0)
    vae.compile("adam")
    x = np.random.default_rng(2).normal(size=(20_000, 3)).astype("float32")
    logs = vae.evaluate(x, batch_size=1_000, verbose=0, return_dict=True)
    found = bounds(vae, x, samples=1, batch_rows=1_000)
    assert found["rate"].mean() == pytest.approx(logs["kl"], rel=1e-5) and found[
        "distortion"
    ].mean() == pytest.approx(logs["reconstruction"], rel=0.01)
    np.testing.assert_array_equal(
        found["evidence"], -found["distortion"] - found["rate"]
    )


def test_bits_per_dimension_are_of_dequantized_images_only():
    images = np.random.default_rng(0).integers(0, 256, (200, 4, 4, 1), "uint8")
    floats = dequantize(images)
    assert (
        floats.dtype == np.float32
        and (np.floor(floats.astype("float64") * 256) == images).mean() > 0.9999
        and floats.min() >= 0
        and floats.max() <= 1
    )
    density = twostage.GaussianLikelihood()
    assert bits_per_dimension(density, 0.0, floats) == pytest.approx(
        8
    )  # the uniform density on [0, 1]
    assert bits_per_dimension(density, 16 * np.log(2), floats) == pytest.approx(7)
    assert bits_per_dimension(
        twostage.DiscretizedLogisticLikelihood(), -16 * np.log(2), images
    ) == pytest.approx(1)
    for wrong in (images, (images / 255).astype("float32"), floats * 255):
        with pytest.raises(
            InputError,
            match="not dequantized, for which bits per dimension mean nothing",
        ):
            bits_per_dimension(density, 0.0, wrong)
    for likelihood in (
        twostage.BernoulliLikelihood(),
        twostage.OptimalGaussianLikelihood("image"),
    ):
        with pytest.raises(InputError, match="expected a normalized likelihood"):
            bits_per_dimension(likelihood, 0.0, floats)


def test_normality_of_normal_and_other_latents():
    generator = np.random.default_rng(0)
    normal, narrow, heavy = (
        generator.standard_normal((4_000, 5)),
        0.5 * generator.standard_normal((4_000, 5)),
        generator.laplace(size=(4_000, 5)) / np.sqrt(2),
    )
    found = {
        name: normality(z)
        for name, z in {
            "normal": normal,
            "narrow": narrow,
            "heavy": heavy,
            "joined": np.repeat(normal[:, :1], 5, 1),
        }.items()
    }
    assert (
        abs(found["normal"]["energy_distance"]) < 0.01
        and found["normal"]["kolmogorov_smirnov"] < 0.02
        and found["normal"]["off_diagonal"] < 0.04
    )
    assert (
        found["narrow"]["deviation"] == pytest.approx(0.5, rel=0.02)
        and found["narrow"]["energy_distance"] > 0.2
    )
    assert found["narrow"]["kolmogorov_smirnov"] == pytest.approx(
        0.161, abs=0.02
    )  # greatest of |Phi(2 x) - Phi(x)|
    assert (
        found["heavy"]["excess_kurtosis"] == pytest.approx(3, abs=1)
        and abs(found["normal"]["excess_kurtosis"]) < 0.25
    )
    assert (
        found["joined"]["off_diagonal"] == pytest.approx(1)
        and found["joined"]["energy_distance"] > 0.05
    )
    normal[:, 2] = 0.3  # a latent that does not vary
    assert all(np.isfinite(number) for number in normality(normal).values())


def test_matching_gives_a_channel_of_one_color_the_mean():
    generator = np.random.default_rng(0)
    pixels = Moments().update(generator.uniform(0, 255, (5_000, 3)))
    images = generator.uniform(0, 1, (20, 4, 4, 3)).astype("float32")
    for color in (0.3, 1.0):
        images[..., 1] = color
        matched = match_moments(images, pixels)
        np.testing.assert_allclose(matched[..., 1], pixels.mean[1] / 255, atol=1e-6)
        assert matched[..., 0].std() > 0.2


def test_one_image_has_a_bound_without_an_error():
    images = np.random.default_rng(0).integers(0, 256, (1, 8, 8, 1), "uint8")
    encoder = twostage.resnet_encoder((8, 8, 1), 4, num_scale=2, base_dim=4, fc_dim=16)
    decoder = twostage.resnet_decoder((8, 8, 1), 4, base_dim=4)
    vae = twostage.VAE(encoder, decoder, twostage.GaussianLikelihood(), seed=0)
    found = likelihood_metrics(vae, images, importance_samples=3, seed=0)
    assert np.isfinite(found["evidence"]) and found["evidence_error"] is None


def test_the_likelihoods_error_and_mse_are_those_of_the_images():
    images = np.random.default_rng(2).integers(0, 256, (40, 6), "uint8")
    vae = linear_vae(likelihood=twostage.GaussianLikelihood(0.3))
    found = likelihood_metrics(vae, images, importance_samples=5, seed=0)
    for name in ("evidence", "rate", "importance"):
        nats = bounds(vae, images, samples=5)[name]
        expected = nats.std(ddof=1) / 40**0.5
        assert found[f"{name}_error"] == pytest.approx(expected, rel=1e-5)
    mean, _ = vae.posterior_on_batch(images)
    squared = (vae.decode_on_batch(mean) - images / 255) ** 2
    assert found["mse"] == pytest.approx(squared.mean(), rel=1e-4)


def test_the_error_of_reconstructions_is_that_of_their_mean():
    found = ImageFeatures(None, None, None, np.array([1.0, 2.0, 6.0])).errors()
    assert found == {"mse": 3, "mse_error": pytest.approx(7**0.5 / 3**0.5)}


def test_energy_distance_is_that_of_plain_loops():
    x, y = np.random.default_rng(0).standard_normal((2, 12, 3))
    x = x[:9] + 0.3

    def d(a, b):
        return np.sqrt(((a - b) ** 2).sum())

    within = [
        np.mean([d(a, b) for i, a in enumerate(z) for j, b in enumerate(z) if i != j])
        for z in (x, y)
    ]
    assert energy_distance(x, y) == pytest.approx(
        2 * np.mean([d(a, b) for a in x for b in y]) - sum(within), rel=1e-9
    )


def test_a_mixture_finds_and_draws_its_components():
    generator = np.random.default_rng(0)
    centers, factor = (
        np.array([[0.0, 0], [6, 0], [0, 6]]),
        np.array([[1.0, 0], [0.8, 0.6]]),
    )
    latents = (
        centers[generator.integers(0, 3, 6_000)]
        + generator.standard_normal((6_000, 2)) @ factor.T
    )
    density = Mixture(latents, 3)
    drawn = density.draw(6_000, seed=1)
    np.testing.assert_allclose(
        np.cov(drawn, rowvar=False), np.cov(latents, rowvar=False), rtol=0.1, atol=0.3
    )
    truth = np.log(
        np.mean(
            [
                stats.multivariate_normal(center, factor @ factor.T).pdf(latents[:500])
                for center in centers
            ],
            axis=0,
        )
    )
    assert density.log_density(latents[:500]).mean() == pytest.approx(
        truth.mean(), abs=0.02
    )
    np.testing.assert_array_equal(drawn, density.draw(6_000, seed=1))
    one = Mixture(latents, 1)
    np.testing.assert_allclose(
        one.mixture.covariances_[0],
        np.cov(latents, rowvar=False, ddof=0),
        rtol=1e-3,
        atol=1e-3,
    )


def test_images_are_rounded_to_8_bits_before_any_extractor():
    seen = []
    extractor = Extractor(
        "plain",
        lambda images: seen.append(images) or images.reshape(len(images), -1),
        "0",
    )
    floats = (
        np.array([0.0, 0.5, 1.0, 1.004, 0.0019]).reshape(1, 5, 1, 1).astype("float32")
    )
    found = extractor(np.repeat(floats, 3, 0), batch_size=2)
    assert [part.dtype for part in seen] == ["uint8"] * 2 and found.dtype == np.float64
    assert found[0].tolist() == [0, 128, 255, 255, 0]
    assert (
        extractor.frechet_name == "FD (plain)"
        and Extractor("i", None, "0", "FID").manifest()["frechet"] == "FID"
    )
    with pytest.raises(
        InputError,
        match="received images of type float64, 0 to 255, expected uint8, or floats in",
    ):
        quantized(floats.astype("float64") * 254)
    with pytest.raises(InputError, match="type int64"):
        quantized(np.zeros((1, 2, 2, 1), "int64"))


def test_the_random_network_is_the_same_everywhere():
    """Against NumPy's own convolution on one small image; colors and gray ones."""
    from twostage.features.random_network import random_network

    extractor = random_network(seed=3, width=4)
    image = np.random.default_rng(0).integers(0, 256, (1, 16, 16, 3), "uint8")
    x, generator, channels = image[0] / 127.5 - 1, np.random.default_rng(3), 3
    for wide in (4, 8, 16, 16):
        kernel = generator.standard_normal((3, 3, channels, wide)).astype(
            "float32"
        ) * np.float32(np.sqrt(2 / (9 * channels)))
        side = len(x)
        padded = np.pad(x, ((0, 1), (0, 1), (0, 0)))  # as "same" pads at stride 2
        x = np.array(
            [
                [
                    (padded[i : i + 3, j : j + 3, :, None] * kernel).sum((0, 1, 2))
                    for j in range(0, side, 2)
                ]
                for i in range(0, side, 2)
            ]
        )
        x, channels = np.where(x > 0, x, 0.1 * x), wide
    np.testing.assert_allclose(
        extractor(image)[0],
        np.concatenate([x.mean((0, 1)), x.std((0, 1))]),
        rtol=1e-4,
        atol=1e-5,
    )
    gray = image[..., :1]
    np.testing.assert_array_equal(extractor(gray), extractor(np.repeat(gray, 3, -1)))
    assert (
        random_network(seed=3, width=4).digest
        == extractor.digest
        != random_network(seed=4, width=4).digest
    )
    assert ops.shape(extractor(np.repeat(image, 7, 0), batch_size=3)) == (7, 32)


def test_latents_are_counted_by_paper_and_by_code():
    """Sigmas of .7, .85 and .95: variances of .49, .72 and .90, so the middle one is
    active by E[sigma^2] < .8 and not by E[sigma] < .8.
    """
    found = latent_metrics.posterior_statistics(
        np.zeros((10, 3)), np.tile(2 * np.log([0.7, 0.85, 0.95]), (10, 1))
    )
    assert (found["latents"], found["active"], found["active_sd"]) == (3, 2, 1)
    assert found["variance_law_sd"] == pytest.approx(2.5 / 3) and found[
        "variance_law"
    ] == pytest.approx((0.49 + 0.7225 + 0.9025) / 3)


def test_tone_compares_mean_and_standard_deviation_of_pixels():
    generator = np.random.default_rng(0)
    reference = generator.integers(100, 160, (600, 4, 4, 3)).astype("uint8")
    flatter = np.rint((reference - 130.0) * 0.5 + [135, 140, 145]).astype("uint8")
    found = PixelStatistics(flatter).beside(PixelStatistics(reference))
    plain = [images.astype(float).reshape(-1, 3) for images in (flatter, reference)]
    assert (
        found["brightness"]
        == pytest.approx(np.mean(plain[0].mean(0) - plain[1].mean(0)) / 255, abs=1e-9)
        == pytest.approx(10 / 255, abs=2e-3)
    )
    assert (
        found["contrast"]
        == pytest.approx(
            (plain[0].var(0).sum() / plain[1].var(0).sum()) ** 0.5, abs=1e-5
        )
        == pytest.approx(0.5, abs=2e-3)
    )
    assert found["sharpness"] == pytest.approx(found["contrast"], abs=2e-3)
    itself = PixelStatistics(reference)
    assert itself.beside(itself) == {
        "brightness": 0.0,
        "contrast": 1.0,
        "sharpness": 1.0,
    }


def test_sharpness_falls_by_the_transfer_function_of_a_blur():
    """A wave of w radians per pixel, averaged over pairs of pixels, keeps cos(w / 2) of
    its amplitude; one along the other axis keeps all.
    """
    w = 2 * np.pi / 8
    x = 128 + 100 * np.cos(w * np.arange(64))
    waves = np.tile(np.rint(x), (300, 16, 1))[..., None].astype("uint8")
    blurred = np.rint((waves + np.roll(waves, 1, 2).astype(float)) / 2).astype("uint8")
    for axes in ((0, 1, 2, 3), (0, 2, 1, 3)):
        sharp, soft = (PixelStatistics(one.transpose(axes)) for one in (waves, blurred))
        assert soft.beside(sharp)["sharpness"] == pytest.approx(np.cos(w / 2), abs=0.01)
        x_difference = (2 * 100 * np.sin(w / 2)) ** 2 / 2
        along, across = 63 * 16, 64 * 15
        expected = x_difference * along / (along + across)
        assert sharp.squared_difference == pytest.approx(expected, rel=0.02)


def test_pixel_statistics_do_not_depend_on_the_batches():
    images = np.random.default_rng(0).integers(0, 256, (601, 5, 4, 3)).astype("uint8")
    whole, parts = PixelStatistics(images), PixelStatistics()
    for part in np.array_split(images, 7):
        parts.update(part)
    assert parts.squared_difference == whole.squared_difference
    assert parts.beside(whole)["contrast"] == pytest.approx(1, abs=1e-12)


def test_flat_images_have_no_sharpness():
    images = np.full((3, 4, 4, 1), 7, "uint8")
    noisy = np.random.default_rng(0).integers(0, 256, (3, 4, 4, 1)).astype("uint8")
    assert PixelStatistics(images).beside(PixelStatistics(noisy))["sharpness"] == 0
    beside_flat = PixelStatistics(noisy).beside(PixelStatistics(images))
    assert beside_flat["contrast"] is None and beside_flat["sharpness"] is None
    one_pixel = PixelStatistics(np.zeros((5, 1, 1, 3), "uint8"))
    assert one_pixel.squared_difference == 0


def test_means_lose_the_contrast_of_their_error():
    """Columns of an orthogonal map of which the best linear decoder keeps some: Var[E[x
    | z]] = Var[x] - mse (law of total variance).
    """
    generator = np.random.default_rng(1)
    x = np.clip(
        generator.normal(128, 30, (2_000, 2, 2, 1))
        + 20 * generator.standard_normal((2_000, 1, 1, 1)),
        0,
        255,
    ).astype("uint8")
    flat = x.reshape(2_000, 4) - x.reshape(2_000, 4).mean(0)
    u, s, v = np.linalg.svd(flat, full_matrices=False)
    kept = (
        np.rint(x.reshape(2_000, 4).mean(0) + (u[:, :2] * s[:2]) @ v[:2])
        .astype("uint8")
        .reshape(x.shape)
    )
    mse, variance = ((x.astype(float) - kept) ** 2).mean(), x.astype(float).var()
    found = PixelStatistics(kept).beside(PixelStatistics(x))
    assert 0.6 < found["contrast"] < 0.9 and found["contrast"] == pytest.approx(
        (1 - mse / variance) ** 0.5, abs=2e-3
    )
