"""ComputedGamma: what it sets, when, and what it refuses; probabilistic PCA as the
known answer. The modes: test_gamma_modes.py.
"""

import keras
import numpy as np
import pytest
from small_models import (
    OneDense,
    StrangersVAE,
    batch_errors,
    linear_vae,
    numpy_rule,
    warnings_of,
)

import callbacks
import twostage

BACKEND = keras.backend.backend()

BATCH = 16


def data(rows=70):  # 70 = 4 x 16 + 6: the last batch is ragged
    generator = np.random.default_rng(0)
    return (
        generator.normal(size=(rows, 6)) * np.linspace(0.4, 1.6, rows)[::-1, None]
    ).astype("float32")


def test_gamma_of_the_next_step_enters_the_loss():
    """The loss of step 2 uses the gamma that step 1's error gave."""
    x = data(32)
    vae = linear_vae(log_var=-60.0)
    vae.compile(keras.optimizers.SGD(0.0))
    first, second = batch_errors(vae, x, 16)
    found = vae.fit(
        x,
        batch_size=16,
        shuffle=False,
        verbose=0,
        callbacks=[callbacks.ComputedGamma("batch")],
    ).history["reconstruction"][0]

    def nll(m, g):
        return 6 * (m / (2 * g) + 0.5 * np.log(2 * np.pi * g))

    assert found == pytest.approx((nll(first, 1.0) + nll(second, first)) / 2, rel=1e-5)


def test_floor_binds_and_is_reported(caplog):
    x = data()
    for model in (linear_vae(log_var=-60.0), StrangersVAE(log_var=-60.0)):
        caplog.clear()
        model.compile(keras.optimizers.SGD(0.0))
        callback = callbacks.ComputedGamma(floor=0.9)
        with caplog.at_level("WARNING", logger="callbacks.computed_gamma"):
            history = model.fit(
                x * 0.1,
                batch_size=BATCH,
                epochs=3,
                shuffle=False,
                verbose=0,
                callbacks=[callback],
            ).history
        np.testing.assert_allclose(history["gamma"], 0.9, rtol=1e-6)
        assert warnings_of(caplog) == ["epoch 1: gamma has reached its floor 0.9"]


def test_rule_rests_without_the_callback_and_after_it():
    x = 0.1 * data()
    vae = linear_vae(log_var=-60.0)
    vae.compile(keras.optimizers.SGD(0.0))
    vae.fit(x, batch_size=BATCH, verbose=0)
    assert float(vae.gamma) == 1.0
    vae.fit(
        x, batch_size=BATCH, verbose=0, callbacks=[callbacks.ComputedGamma("minimum")]
    )
    moved = float(vae.gamma)
    vae.fit(0.01 * x, batch_size=BATCH, verbose=0)
    vae.evaluate(0.01 * x, verbose=0)
    assert moved < 1 and float(vae.gamma) == moved


@pytest.mark.slow
def test_linear_vae_reaches_probabilistic_pca():
    """`ema`: gamma^2 within 3 % of the mean of the discarded eigenvalues, active
    latents exactly; `minimum` ends below.
    """
    generator = np.random.default_rng(0)
    rotation, _ = np.linalg.qr(generator.normal(size=(20, 20)))
    scales = np.array(
        [2.0, 1.7, 1.4, 1.2, 1.0] + [0.3] * 15
    )  # 5 signal directions, noise variance .09
    x = ((generator.normal(size=(10_000, 20)) * scales) @ rotation).astype("float32")
    eigenvalues = np.sort(np.linalg.eigvalsh(np.cov(x.T)))[::-1]
    pca = eigenvalues[8:].mean()
    gammas, histories = {}, {}
    for rule in ("ema", "minimum"):
        keras.utils.set_random_seed(0)
        vae = linear_vae(20, 8, seed=0)
        rate = keras.optimizers.schedules.CosineDecay(0.01, 4000)
        vae.compile(keras.optimizers.Adam(rate))
        watch = [
            callbacks.ComputedGamma(rule),
            callbacks.ActiveLatents(x, freq=40),
            callbacks.VarianceLaw(x, freq=40),
        ]
        histories[rule] = vae.fit(
            x, batch_size=100, epochs=40, verbose=0, callbacks=watch
        ).history
        gammas[rule] = float(vae.gamma) ** 2
    assert gammas["ema"] == pytest.approx(pca, rel=0.03)
    assert histories["ema"]["active_latents"][-1] == 5
    assert histories["ema"]["variance_law"][-1] == pytest.approx(1, abs=0.03)
    assert gammas["minimum"] < 0.95 * pca


def test_bad_input_is_reported_when_it_is_given():
    with pytest.raises(
        ValueError, match="received rule 'min', expected one of minimum"
    ):
        callbacks.ComputedGamma("min")
    for options in ({"decay": 1.0}, {"floor": 0}):
        with pytest.raises(ValueError, match=r"received .* expected"):
            callbacks.ComputedGamma(**options)


def test_what_a_model_lacks_is_reported_when_training_begins():
    x = data()
    no_gamma, no_mse, many_steps = (
        StrangersVAE(),
        StrangersVAE(metric=keras.metrics.Sum),
        StrangersVAE(),
    )
    no_gamma.gamma, many = 1.0, {"steps_per_execution": 3}
    learned = linear_vae(likelihood=twostage.GaussianLikelihood(learned=True))
    for model, words, options in (
        (no_gamma, r"gamma is a float, expected a variable.*self\.add_weight", {}),
        (no_mse, r"a Sum as metric 'mse', expected a keras\.metrics\.Mean", {}),
        (many_steps, "steps_per_execution=3, expected 1", many),
        (learned, "learns gamma", {}),
    ):
        if BACKEND == "torch" and options:
            continue  # Keras has no steps_per_execution there
        model.compile("sgd", **options)
        before = [np.array(w) for w in model.get_weights()]
        with pytest.raises(ValueError, match=words):
            model.fit(x, verbose=0, callbacks=[callbacks.ComputedGamma()])
        for a, b in zip(before, model.get_weights(), strict=True):
            np.testing.assert_array_equal(a, b)


def test_a_compiled_metric_serves_from_the_first_step():
    class Plain(keras.Model):
        def __init__(self):
            super().__init__()
            self.decoder, self.gamma = (
                keras.layers.Dense(6),
                self.add_weight(
                    name="gamma", shape=(), initializer="ones", trainable=False
                ),
            )

        def call(self, x):
            return self.decoder(x)

    x, model = data(32), Plain()
    model.compile(keras.optimizers.SGD(0.0), "mse", metrics=["mse"])
    history = model.fit(
        x, x, batch_size=32, verbose=0, callbacks=[callbacks.ComputedGamma("batch")]
    ).history
    assert history["gamma"][0] == pytest.approx(history["mse"][0] ** 0.5, rel=1e-5)
    model.compile("sgd", "mse", metrics=["mae"])
    with pytest.raises(ValueError, match="Plain has no metric 'mse', expected"):
        model.fit(x, x, verbose=0, callbacks=[callbacks.ComputedGamma()])


def with_remainder(rows):
    """Two batches of 16 and so many easy rows."""
    x = np.random.default_rng(0).normal(size=(32 + rows, 6)).astype("float32")
    x[32:] *= 0.3
    return x


@pytest.mark.parametrize("rule", ["minimum", "ratchet", "ema", "batch"])
@pytest.mark.parametrize("way", ["vae", "compiled", "rows"])
def test_a_remainder_moves_no_gamma(way, rule):
    """Of 7 of 16 rows; of 9 it is a minibatch as any other."""
    for rows, used in ((7, 2), (9, 3)):
        x = with_remainder(rows)
        model = linear_vae(log_var=-60.0) if way == "vae" else OneDense(way)
        metrics = {"metrics": ["mse"]} if way == "compiled" else {}
        model.compile(keras.optimizers.SGD(0.0), **metrics)
        drawn = model.predict(x, batch_size=50, verbose=0)
        errors = ((x - drawn) ** 2).mean(1)
        batches = [part.mean() for part in np.split(errors, [16, 32])][:used]
        fit = {"batch_size": 16, "shuffle": False, "epochs": 2, "verbose": 0}
        watch = [callbacks.ComputedGamma(rule)]
        found = model.fit(x, x, callbacks=watch, **fit).history["gamma"][-1]
        expected = numpy_rule(rule, 1.0, batches * 2, floor=0.0011) ** 0.5
        assert found == pytest.approx(expected, rel=1e-5)


@pytest.mark.parametrize("way", ["mean", "variable"])
def test_a_last_batch_of_unknown_rows_is_reported(way, caplog):
    fit = {"batch_size": 16, "shuffle": False, "epochs": 3, "verbose": 0}
    for rows, rule, count in ((7, "minimum", 1), (7, "ema", 0), (0, "minimum", 0)):
        caplog.clear()
        model, x = OneDense(way), with_remainder(rows)
        model.compile(keras.optimizers.SGD(1e-3))
        model.fit(x, x, callbacks=[callbacks.ComputedGamma(rule)], **fit)
        words = "epoch 2: the last minibatch has a mean squared error of"
        assert caplog.text.count(words) == count
        assert caplog.text.count("the last minibatch") == count


class TwoOutputs(keras.Model):
    def __init__(self):
        super().__init__()
        self.decoder, self.head = keras.layers.Dense(6), keras.layers.Dense(1)
        self.gamma = self.add_weight(
            name="gamma", shape=(), initializer="ones", trainable=False
        )

    def call(self, x):
        return {"image": self.decoder(x), "digit": self.head(x)}


def fit_two_outputs(metrics):
    x, model = data(32), TwoOutputs()
    model.compile("sgd", {"image": "mse", "digit": "mse"}, metrics=metrics)
    targets = {"image": x, "digit": x[:, :1]}
    rule = callbacks.ComputedGamma("batch")
    return model.fit(x, targets, epochs=2, verbose=0, callbacks=[rule]).history


def test_the_error_of_which_output_is_never_guessed(caplog):
    both = {"image": ["mse"], "digit": ["mse"]}
    with pytest.raises(ValueError, match="2 metrics 'mse', as of several outputs"):
        fit_two_outputs(both)
    caplog.clear()
    history = fit_two_outputs({"digit": ["mse"]})
    assert "digit_mse" in history
    words = "gamma follows digit_mse, the error of one of several outputs"
    assert caplog.text.count(words) == 1


def test_sample_weights_count_in_a_weighted_metric():
    x = data(32)
    weights = np.repeat([0.0, 2.0, 1.0, 0.5], 8).astype("float32")
    inputs = keras.Input((6,))
    model = keras.Model(inputs, keras.layers.Dense(6, use_bias=False)(inputs))
    model.gamma = keras.Variable(1.0, trainable=False)
    model.compile(keras.optimizers.SGD(0.0), "mse", weighted_metrics=["mse"])
    errors = ((model.predict(x, verbose=0) - x) ** 2).mean(1)
    fit = {"sample_weight": weights, "batch_size": 16, "shuffle": False, "verbose": 0}
    rule = callbacks.ComputedGamma("batch")
    history = model.fit(x, x, callbacks=[rule], **fit).history
    expected = np.average(errors[16:], weights=weights[16:]) ** 0.5
    assert history["gamma"][0] == pytest.approx(expected, rel=1e-5)


def test_a_metric_that_the_step_does_not_feed_is_reported():
    class Forgetful(StrangersVAE):
        def compute_loss(self, x, y, y_pred, sample_weight=None, training=True):
            return keras.ops.mean(keras.ops.square(x - y_pred["x"]))

    model = Forgetful()
    model.compile("sgd")
    with pytest.raises(ValueError, match="'mse' got nothing in this step"):
        model.fit(data(), verbose=0, callbacks=[callbacks.ComputedGamma()])


def test_config_round_trip():
    callback = callbacks.ComputedGamma("ratchet", decay=0.5, floor=0.1)
    again = keras.saving.deserialize_keras_object(
        keras.saving.serialize_keras_object(callback)
    )
    assert (
        again.get_config()
        == callback.get_config()
        == {
            "rule": "ratchet",
            "decay": 0.5,
            "floor": 0.1,
            "attribute": "gamma",
        }
    )
