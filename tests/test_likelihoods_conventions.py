"""Notations against each other, the three readings against SciPy, Theorem 1 against its
reference values and brute force.
"""

import math

import keras
import numpy as np
import pytest
from scipy import stats
from small_models import linear_vae

import twostage
from twostage.evaluation import likelihood_metrics
from twostage.experiments.hypersphere import best_radius, log_likelihood
from twostage.likelihoods import conventions
from twostage.metrics.likelihood_bounds import bounds


def test_each_direction_undoes_the_other():
    assert conventions.beta_of_gamma(conventions.gamma_of_beta(0.3)) == pytest.approx(
        0.3
    )
    assert conventions.mean_weight_of_gamma(
        conventions.gamma_of_mean_weight(0.02, 3072), 3072
    ) == pytest.approx(0.02)
    assert conventions.lambda_of_gamma(
        conventions.gamma_of_lambda(0.1, 4.0), 0.1
    ) == pytest.approx(4)
    assert conventions.rae_to_mean(
        *conventions.rae_of_mean(1e-2, 1e-6, 3072, 128), 3072, 128
    ) == pytest.approx((1e-2, 1e-6))


def test_losses_are_multiples_of_each_other():
    """S, KL and a loss of means, computed from one batch: each notation's loss is a
    multiple of ours plus a constant.
    """
    generator = np.random.default_rng(0)
    squared, kl = generator.random(50) * 40, generator.random(50) * 9
    D, k, beta, weight, sigma, weight_kl = 192, 16, 0.7, 0.004, 0.2, 3.0
    for theirs, gamma in (
        (squared + beta * kl, conventions.gamma_of_beta(beta)),
        (squared / D + weight * kl, conventions.gamma_of_mean_weight(weight, D)),
        (
            squared / (2 * sigma**2) + weight_kl * kl,
            conventions.gamma_of_lambda(sigma, weight_kl),
        ),
    ):
        ours = squared / (2 * gamma**2) + kl
        np.testing.assert_allclose(theirs / ours, (theirs / ours)[0], rtol=1e-12)
    z2, penalty = generator.random(50) * 30, 7.0
    latent, regularizer = conventions.rae_of_mean(1e-2, 1e-6, D, k)
    np.testing.assert_allclose(
        D * (squared / D + 1e-2 * z2 / k + 1e-6 * penalty),
        squared + latent * z2 + regularizer * penalty,
    )


def test_raes_vae_has_the_decoder_variance_of_its_weights():
    """w .312, .024 and .09024 are sigma^2 .156, .036 and .135."""
    for weight, channels, variance in (
        (0.312, 1, 0.156),
        (0.024, 3, 0.036),
        (0.09024, 3, 0.135),
    ):
        assert conventions.gamma_of_mean_weight(weight, channels) ** 2 == pytest.approx(
            variance, abs=5e-4
        )


def test_three_readings_are_gaussian_densities():
    generator = np.random.default_rng(1)
    x, mean = generator.random((2, 40, 30))
    each = ((x - mean) ** 2).sum(1)
    squared, found = (
        each.mean(),
        conventions.constant_sigma_readings(
            each, np.full(40, 5.0), dimensions=30, beta=0.1
        ),
    )
    own = stats.norm(mean, np.sqrt(each / 30)[:, None]).logpdf(x).sum(1).mean() - 5
    assert (
        found.pop("optimal_image") == pytest.approx(own, rel=1e-9)
        and own > found["optimal"]
    )
    for name, variance in (("half", 0.5), ("beta", 0.05), ("optimal", squared / 30)):
        assert found[name] == pytest.approx(
            stats.norm(mean, variance**0.5).logpdf(x).sum(1).mean() - 5, rel=1e-9
        )
        nats = keras.ops.convert_to_numpy(
            twostage.GaussianLikelihood(variance**0.5)(
                x.astype("float32"), mean.astype("float32")
            )
        )
        assert found[name] == pytest.approx(-nats.mean() - 5, rel=1e-5)
    assert found["half"] == pytest.approx(
        -squared - 15 * math.log(math.pi) - 5
    ) and found["optimal"] == max(found.values())


def test_a_fixed_sigma_has_three_readings_of_one_model():
    """Each reading is the evidence bound of the same networks under another sigma; that
    of beta / 2 has kappa within it.
    """
    images = np.random.default_rng(2).integers(0, 256, (40, 6), "uint8")
    vae = linear_vae(likelihood=twostage.GaussianLikelihood(0.3), kl_weight=2.0)
    found = likelihood_metrics.likelihood_metrics(
        vae, images, importance_samples=5, seed=0, fixed_gamma=True
    )["readings"]
    squared = (
        2
        * 0.09
        * (
            bounds(vae, images, samples=5)["distortion"].mean()
            - 3 * math.log(2 * math.pi * 0.09)
        )
    )
    for name, variance in (
        ("half", 0.5),
        ("beta", 0.3**2 * 2),
        ("optimal", squared / 6),
    ):
        vae.likelihood.gamma_squared.assign(variance)
        assert found[name] == pytest.approx(
            bounds(vae, images, samples=5)["evidence"].mean(), rel=1e-5
        )
    assert "readings" not in likelihood_metrics.likelihood_metrics(
        vae, images, importance_samples=5, seed=0
    )


REFERENCE = {  # r*/R at R / sigma = c sqrt(D), Berger & Sebag, Theorem 1
    2: (0.197, 0.555, 0.745, 0.858, 0.930, 0.971, 0.990),
    3: (0.180, 0.511, 0.697, 0.819, 0.908, 0.962, 0.987),
    10: (0.153, 0.446, 0.629, 0.767, 0.879, 0.948, 0.982),
    100: (0.142, 0.420, 0.603, 0.748, 0.867, 0.943, 0.980),
}


@pytest.mark.parametrize("dimensions", REFERENCE)
def test_theorem_1_has_its_reference_values(dimensions):
    for c, expected in zip(
        (1.01, 1.1, 1.25, 1.5, 2, 3, 5), REFERENCE[dimensions], strict=True
    ):
        assert best_radius(c * dimensions**0.5, dimensions) == pytest.approx(
            expected, abs=1e-3
        )
    assert (
        best_radius(0.999 * dimensions**0.5, dimensions) == 0
        and best_radius(1.0001 * dimensions**0.5, dimensions) > 0
    )


@pytest.mark.parametrize("dimensions, c", [(2, 0.99), (2, 1.25), (3, 2.0), (10, 1.5)])
def test_the_radius_is_where_the_likelihood_is_largest(dimensions, c):
    radii = np.linspace(0, 1.2, 12_001)
    values = [
        log_likelihood(radius, c * dimensions**0.5, dimensions) for radius in radii
    ]
    assert radii[int(np.argmax(values))] == pytest.approx(
        best_radius(c * dimensions**0.5, dimensions), abs=2e-4
    )


def test_the_likelihood_is_that_of_points_on_a_circle():
    """D = 2: the mean over many points of a circle of the normal density at (1, 0)."""
    angles = np.linspace(0, 2 * np.pi, 100_000, endpoint=False)
    for radius, sharpness in ((0.3, 2.0), (0.9, 4.0)):
        squared = (1 - radius * np.cos(angles)) ** 2 + (radius * np.sin(angles)) ** 2
        density = (
            np.exp(-squared * sharpness**2 / 2) * sharpness**2 / (2 * np.pi)
        ).mean()
        assert log_likelihood(radius, sharpness, 2) == pytest.approx(
            math.log(density), abs=1e-8
        )
