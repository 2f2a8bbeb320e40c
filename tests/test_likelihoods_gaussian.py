"""Losses against SciPy, TensorFlow Probability and closed forms."""

import math

import keras
import numpy as np
import pytest
from keras import ops
from scipy import stats

import twostage
from twostage.models.divergences import gaussian_kl


def test_nll_is_scipys_log_density():
    generator = np.random.default_rng(0)
    x, mean = generator.random((2, 5, 4, 4, 3)).astype("float32")
    nats = ops.convert_to_numpy(twostage.GaussianLikelihood(gamma=0.3)(x, mean))
    expected = -stats.norm(mean, 0.3).logpdf(x).sum((1, 2, 3))
    np.testing.assert_allclose(nats, expected, rtol=1e-5)


def test_losses_are_tensorflow_probabilitys():
    pytest.importorskip("tensorflow")
    import tensorflow_probability as tfp

    generator = np.random.default_rng(1)
    x, mean, log_var = generator.normal(size=(3, 7, 10)).astype("float32")
    normal = tfp.distributions.MultivariateNormalDiag(mean, np.full(10, 0.2, "float32"))
    nats = ops.convert_to_numpy(twostage.GaussianLikelihood(gamma=0.2)(x, mean))
    np.testing.assert_allclose(nats, -normal.log_prob(x).numpy(), rtol=1e-5)
    posterior = tfp.distributions.MultivariateNormalDiag(mean, np.exp(0.5 * log_var))
    prior = tfp.distributions.MultivariateNormalDiag(np.zeros(10, "float32"))
    np.testing.assert_allclose(
        ops.convert_to_numpy(gaussian_kl(mean, log_var)).sum(-1),
        posterior.kl_divergence(prior).numpy(),
        rtol=1e-5,
    )


def test_reconstruction_term_at_its_optimum():
    """At gamma^2 = m the term is (D/2)(1 + log 2 pi m); a formula without D on the
    logarithm fails here.
    """
    generator = np.random.default_rng(2)
    x, mean = generator.random((2, 1, 8, 8, 3)).astype("float32")
    m = float(((x - mean) ** 2).mean())
    nats = float(twostage.GaussianLikelihood(gamma=m**0.5)(x, mean)[0])
    assert nats == pytest.approx(192 / 2 * (1 + math.log(2 * math.pi * m)), rel=1e-5)
    for gamma in (0.9 * m**0.5, 1.1 * m**0.5):
        assert float(twostage.GaussianLikelihood(gamma=gamma)(x, mean)[0]) > nats


def test_mixed_precision_keeps_the_loss_in_float32():
    keras.config.set_dtype_policy("mixed_bfloat16")
    likelihood = twostage.GaussianLikelihood(gamma=0.1)
    assert keras.backend.standardize_dtype(likelihood.gamma.dtype) == "float32"
    x = np.random.default_rng(3).random((4, 6)).astype("float32")
    nats = likelihood(x, np.zeros((4, 6), "float32"))
    np.testing.assert_allclose(
        ops.convert_to_numpy(nats), -stats.norm(0, 0.1).logpdf(x).sum(1), rtol=1e-5
    )


def test_samples_have_the_mean_and_gamma():
    likelihood = twostage.GaussianLikelihood(gamma=0.5)
    draws = ops.convert_to_numpy(
        likelihood.sample(np.full((50_000, 2), 3.0, "float32"), seed=1)
    )
    assert draws.mean() == pytest.approx(3, abs=0.01) and draws.std() == pytest.approx(
        0.5, abs=0.01
    )


@pytest.mark.parametrize("multiplier", [1.0, 5.0])
def test_learned_gamma_converges_and_its_multiplier_scales(
    multiplier,
):
    """Adam's first step moves a weight by the learning rate, so log gamma by multiplier
    times it.
    """
    likelihood = twostage.GaussianLikelihood(learned=True, multiplier=multiplier)
    x = np.random.default_rng(4).normal(0, 0.1, (64, 5)).astype("float32")
    model = only_gamma(likelihood, 0.01)
    model.fit(x, x[:, :1], batch_size=64, epochs=1, verbose=0)
    assert float(likelihood.gamma) == pytest.approx(
        math.exp(-0.01 * multiplier), rel=1e-4
    )
    many = np.tile(x, (600, 1))
    model.fit(many, many[:, :1], batch_size=64, shuffle=False, verbose=0)
    assert float(likelihood.gamma) == pytest.approx(
        float(np.sqrt((x**2).mean())), rel=0.02
    )


def test_learned_gamma_stops_at_its_floor_and_comes_back():
    likelihood = twostage.GaussianLikelihood(gamma=0.5, learned=True, floor=0.4)
    model = only_gamma(likelihood, 0.05)
    still, noisy = (
        np.zeros((1600, 5), "float32"),
        np.random.default_rng(5).normal(0, 2, (9600, 5)).astype("float32"),
    )
    model.fit(still, still[:, :1], verbose=0)
    assert float(likelihood.gamma) == pytest.approx(0.4, rel=1e-5)
    model.fit(noisy, noisy[:, :1], verbose=0)
    assert float(likelihood.gamma) > 1.5


@pytest.mark.parametrize("options", [{"gamma": 0.001}, {"floor": 0}, {"multiplier": 0}])
def test_bad_arguments(options):
    with pytest.raises(ValueError, match=r"[Rr]eceived .* expected"):
        twostage.GaussianLikelihood(**options)


def only_gamma(likelihood, learning_rate):
    inputs = keras.Input((5,))
    model = keras.Model(inputs, Nats(likelihood)(inputs))
    model.compile(keras.optimizers.Adam(learning_rate), loss=lambda y, nats: nats)
    return model


class Nats(keras.layers.Layer):
    """The negative log likelihood of data under mean zero, so that gamma alone is
    trained.
    """

    def __init__(self, likelihood):
        super().__init__()
        self.likelihood = likelihood

    def call(self, x):
        return self.likelihood(x, ops.zeros_like(x))


@pytest.mark.parametrize("error", [np.nan, np.inf])
@pytest.mark.parametrize("monotone", [0.0, 1.0])
def test_an_error_that_is_not_finite_moves_no_gamma(error, monotone):
    likelihood = twostage.GaussianLikelihood(0.5)
    likelihood.decay.assign(0.9)
    likelihood.monotone.assign(monotone)
    likelihood.batch_mse.assign(error)
    likelihood.apply_rule()
    assert float(ops.convert_to_numpy(likelihood.gamma)) == 0.5
    likelihood.batch_mse.assign(0.16)
    likelihood.apply_rule()
    moved = float(ops.convert_to_numpy(likelihood.gamma))
    assert moved == pytest.approx((0.9 * 0.25 + 0.1 * 0.16) ** 0.5, rel=1e-6)
