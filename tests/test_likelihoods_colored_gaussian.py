"""The Gaussian whose noise has the data's covariance."""

import keras
import numpy as np
import pytest
from keras import ops
from scipy import stats

from twostage import ColoredGaussianLikelihood, GaussianLikelihood, presets
from twostage.models import build
from twostage.models.gaussian_start import initialize_as_gaussian
from twostage.models.held_out_loss import held_out_loss
from twostage.sampling.generate import sample_latents

COVARIANCE = np.array([[2.0, 0.6, 0.0], [0.6, 0.5, -0.2], [0.0, -0.2, 0.3]])


def colored(gamma=0.7, covariance=COVARIANCE, **settings):
    likelihood = ColoredGaussianLikelihood(len(covariance), gamma, **settings)
    likelihood.set_covariance(covariance)
    return likelihood


def rows(count=20, seed=0):
    """(x, mean), each (count, 3)."""
    generator = np.random.default_rng(seed)
    return generator.normal(size=(2, count, 3)).astype("float32")


def test_its_nats_are_those_of_the_gaussian():
    x, mean = rows()
    nats = ops.convert_to_numpy(colored()(x, mean))
    gaussian = stats.multivariate_normal(np.zeros(3), 0.49 * COVARIANCE)
    np.testing.assert_allclose(nats, -gaussian.logpdf(x - mean), rtol=1e-5)


def test_without_a_covariance_it_is_the_plain_one():
    x, mean = rows()
    plain, found = GaussianLikelihood(0.7), ColoredGaussianLikelihood(3, 0.7)
    np.testing.assert_allclose(found(x, mean), plain(x, mean), rtol=1e-6)


def test_its_noise_has_the_covariance():
    mean = np.zeros((200_000, 3), "float32")
    likelihood = colored()
    draws = ops.convert_to_numpy(likelihood.sample(mean, seed=1))
    np.testing.assert_allclose(np.cov(draws.T), 0.49 * COVARIANCE, atol=0.01)
    expected = 0.7 * np.sqrt(np.diag(COVARIANCE))
    found = ops.convert_to_numpy(likelihood.standard_deviation(mean))
    np.testing.assert_allclose(found, expected, rtol=1e-5)


@pytest.mark.skipif(
    keras.backend.backend() != "tensorflow", reason="TensorFlow Probability"
)
def test_its_distribution_has_the_same_density():
    x, mean = rows()
    likelihood = colored()
    found = likelihood.as_distribution(ops.convert_to_tensor(mean)).log_prob(x)
    np.testing.assert_allclose(found, -likelihood(x, mean).numpy(), rtol=1e-4)


def test_the_rule_moves_gamma_to_the_error_of_whitened_data():
    """gamma^2 is the least mean of a batch's squared whitened errors."""
    x, mean = rows(200)
    likelihood = colored(1.0)
    likelihood.decay.assign(0.0)
    for _ in range(2):  # the rule has the batch before
        likelihood(x, mean, training=True)
    whitened = np.linalg.solve(COVARIANCE, (x - mean).T).T * (x - mean)
    expected = min(1.0, whitened.sum(1).mean() / 3)
    assert float(likelihood.variance) == pytest.approx(expected, rel=1e-4)


def test_a_singular_covariance_gives_finite_nats():
    x, mean = rows()
    nats = colored(covariance=np.diag([1.0, 1.0, 0.0]))(x, mean)
    assert np.isfinite(ops.convert_to_numpy(nats)).all()


def test_a_second_stage_keeps_it_in_its_file(tmp_path):
    settings = {"width": 8, "initialization": "gaussian", "gamma": "learned"}
    vae = build.build_stage2(presets.resolve(2, "digits", **settings), 3)
    generator = np.random.default_rng(2)
    mean = generator.multivariate_normal(np.ones(3), COVARIANCE, 30_000)
    moments = np.stack([mean, np.full_like(mean, -20)], axis=1).astype("float32")
    initialize_as_gaussian(vae, moments)
    vae.save(tmp_path / "stage2.keras")
    loaded = keras.saving.load_model(tmp_path / "stage2.keras")
    latents = moments[:50, 0]
    assert held_out_loss(loaded, latents) == held_out_loss(vae, latents)
    # mean and noise together have the latents' moments
    u, noise = generator.normal(size=(2, 100_000, 3)).astype("float32")
    z = ops.convert_to_numpy(sample_latents(loaded, u, method="noise", noise=noise))
    np.testing.assert_allclose(np.cov(z.T), COVARIANCE, atol=0.05)
    np.testing.assert_allclose(z.mean(0), 1, atol=0.03)
