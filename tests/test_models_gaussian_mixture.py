"""Mixtures of Gaussians as a transform of random numbers, against NumPy."""

import keras
import numpy as np
import pytest

from twostage.models.gaussian_mixture import Mixture


@pytest.fixture(scope="module")
def mixture():
    """Three Gaussians of two latents, far from one another."""
    generator = np.random.default_rng(0)
    centers = np.array([[-20.0, 0.0], [0.0, 20.0], [20.0, -20.0]])
    which = generator.choice(3, 900, p=[0.5, 0.3, 0.2])
    spread = np.array([[1.0, 0.0], [0.8, 0.6]])
    return Mixture(centers[which] + generator.standard_normal((900, 2)) @ spread.T, 3)


def transformed(mixture, u, uniform):
    u, uniform = np.asarray(u, "float32"), np.asarray(uniform, "float32")
    return keras.ops.convert_to_numpy(mixture.transform(u, uniform))


def test_uniform_chooses_the_gaussian_by_its_weight(mixture):
    fitted = mixture.mixture
    ends = np.cumsum(fitted.weights_)
    for i, end in enumerate(ends):
        start = end - fitted.weights_[i]
        uniform = [start + 1e-4, (start + end) / 2, end - 1e-4]
        z = transformed(mixture, np.zeros((3, 2)), uniform)
        np.testing.assert_allclose(z, [fitted.means_[i]] * 3, rtol=1e-6)
    assert transformed(mixture, np.zeros((1, 2)), [0.0]) == pytest.approx(
        fitted.means_[:1]
    )


def test_u_is_spread_by_the_covariance(mixture):
    fitted, u = mixture.mixture, np.random.default_rng(1).standard_normal((4, 2))
    z = transformed(mixture, u, [1 - 1e-6] * 4)
    factor = np.linalg.cholesky(fitted.covariances_[2])
    expected = np.array([fitted.means_[2] + factor @ row for row in u])
    np.testing.assert_allclose(z, expected, rtol=1e-5)


def test_one_gaussian_needs_no_choice():
    latents = np.random.default_rng(2).standard_normal((200, 3)) + 5
    mixture = Mixture(latents, 1)
    z = transformed(mixture, np.zeros((2, 3)), [0.0, 0.999])
    np.testing.assert_allclose(z, [latents.mean(0)] * 2, rtol=1e-5)
