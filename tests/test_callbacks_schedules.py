"""GammaSchedule, KLWarmup, FreeBits and NaNDiagnosis: what the step really used, in a
stranger's VAE and in ours.
"""

import keras
import numpy as np
import pytest
from keras import ops
from small_models import StrangersVAE, linear_vae

import callbacks


def data(rows=40):
    return np.random.default_rng(0).normal(size=(rows, 6)).astype("float32")


class Recorder(keras.callbacks.Callback):
    """The losses of the single steps, from the running means."""

    def on_train_begin(self, logs=None):
        self.losses = []

    def on_train_batch_end(self, batch, logs=None):
        if batch == 0:
            self.total = 0.0
        total = float(logs["loss"]) * (batch + 1)
        self.losses.append(total - self.total)
        self.total = total


def fixed_terms(model, x):
    """(mean squared error, KL) of a model that neither learns nor draws noise."""
    mean, log_var = (ops.convert_to_numpy(part) for part in model.encoder(x)[:2])
    again = ops.convert_to_numpy(model.decoder(mean))
    return ((x - again) ** 2).mean(), 0.5 * (
        mean**2 + np.exp(log_var) - log_var - 1
    ).mean(0)


def gaussian_nll(error, gamma, constant):
    return 6 * (error / (2 * gamma**2) + np.log(gamma) + constant)


CURVE = [1.0, 0.8, 0.5, 0.4, 0.3]


@pytest.mark.parametrize(
    "make, constant", [(StrangersVAE, 0.0), (linear_vae, 0.5 * np.log(2 * np.pi))]
)
@pytest.mark.parametrize("curve", [CURVE, lambda step: CURVE[min(step, 4)]])
def test_each_step_uses_the_curves_gamma(make, constant, curve):
    x = data(10)
    model, recorder = make(log_var=-60.0), Recorder()
    model.compile(keras.optimizers.SGD(0.0))
    error, kl = fixed_terms(model, x)
    watch = [callbacks.GammaSchedule(curve), recorder]
    history = model.fit(
        np.tile(x, (4, 1)),
        batch_size=10,
        epochs=2,
        shuffle=False,
        verbose=0,
        callbacks=watch,
    ).history
    gammas = [*CURVE, CURVE[-1], CURVE[-1], CURVE[-1]]
    np.testing.assert_allclose(
        recorder.losses,
        [gaussian_nll(error, g, constant) + kl.sum() for g in gammas],
        rtol=1e-4,
    )
    np.testing.assert_allclose(history["gamma"], [0.4, 0.3], rtol=1e-6)


def test_a_recorded_history_is_replayed_epoch_by_epoch():
    vae = linear_vae()
    several = 1 if keras.backend.backend() == "torch" else 3  # Keras has 1 alone there
    vae.compile(keras.optimizers.SGD(0.0), steps_per_execution=several)
    history = vae.fit(
        data(),
        batch_size=8,
        epochs=4,
        verbose=0,
        callbacks=[callbacks.GammaSchedule([0.9, 0.7, 0.6], unit="epoch")],
    ).history
    np.testing.assert_allclose(history["gamma"], [0.9, 0.7, 0.6, 0.6], rtol=1e-6)


def test_warmup_ramps_the_weight_step_by_step():
    x = data(10)
    vae, recorder = linear_vae(log_var=-60.0, kl_weight=3.0), Recorder()
    vae.compile(keras.optimizers.SGD(0.0))
    error, kl = fixed_terms(vae, x)
    watch = [callbacks.KLWarmup(steps=4, start=0.0, end=2.0), recorder]
    history = vae.fit(
        np.tile(x, (3, 1)),
        batch_size=10,
        epochs=2,
        shuffle=False,
        verbose=0,
        callbacks=watch,
    ).history
    nll = gaussian_nll(error, 1.0, 0.5 * np.log(2 * np.pi))
    np.testing.assert_allclose(
        recorder.losses, [nll + w * kl.sum() for w in (0, 0.5, 1, 1.5, 2, 2)], rtol=1e-4
    )
    np.testing.assert_allclose(history["kl_weight"], [1.0, 2.0], rtol=1e-6)


def test_free_bits_enter_as_the_larger_of_kl_and_nats():
    x = data(10)
    vae = linear_vae(log_var=-1.0)
    vae.encoder.set_weights(
        [w * s for w, s in zip(vae.encoder.get_weights(), (0.3, 1, 1, 1), strict=True)]
    )
    vae.compile(keras.optimizers.SGD(0.0))
    _, kl = fixed_terms(vae, x)
    nats = float(np.sort(kl)[1] + 0.01)  # two of the three latents lie below it
    plain, free = (
        vae.fit(x, batch_size=10, verbose=0, callbacks=watch).history
        for watch in ([], [callbacks.FreeBits(nats)])
    )
    extra = (free["loss"][0] - free["reconstruction"][0]) - (
        plain["loss"][0] - plain["reconstruction"][0]
    )
    assert extra == pytest.approx(np.maximum(nats - kl, 0).sum(), rel=1e-3)
    assert free["kl"][0] == pytest.approx(
        kl.sum(), rel=1e-4
    )  # the logged KL stays the true one
    assert (
        free["free_bits"] == [pytest.approx(nats)]
        and float(ops.convert_to_numpy(vae.free_bits)) == 0
    )


def test_free_bits_keep_latents_from_being_pruned():
    x = data(400)
    counts = {}
    for name, watch in {"plain": [], "free": [callbacks.FreeBits(0.2)]}.items():
        keras.utils.set_random_seed(0)
        vae = linear_vae(kl_weight=5.0, seed=0)
        vae.compile(keras.optimizers.Adam(0.02))
        vae.fit(x, batch_size=40, epochs=30, verbose=0, callbacks=watch)
        mean, log_var = (ops.convert_to_numpy(part) for part in vae.posterior(x))
        counts[name] = callbacks.statistics.kl_per_latent(mean, log_var)
    assert counts["plain"].max() < 0.05 and counts["free"].min() > 0.1


class Exploding(StrangersVAE):
    """Its loss is no number from the seventh step on."""

    def __init__(self):
        super().__init__()
        self.steps = self.add_weight(
            name="steps", shape=(), initializer="zeros", trainable=False
        )

    def compute_loss(self, x, y, y_pred, sample_weight=None, training=True):
        loss = super().compute_loss(x, y, y_pred)
        self.steps.assign_add(1.0)
        return loss * ops.where(self.steps > 6, float("nan"), 1.0)


def test_a_nan_is_reported_with_step_term_and_inputs(tmp_path, caplog):
    x, model = data(40), Exploding()
    model.compile(keras.optimizers.SGD(0.01))
    watch = callbacks.NaNDiagnosis(str(tmp_path / "good.weights.h5"), x)
    history = model.fit(
        x, batch_size=10, epochs=5, verbose=0, callbacks=[watch]
    ).history
    assert len(history["loss"]) == 2  # stopped in the second epoch
    assert (
        watch.diagnosis.startswith("step 7: not finite: loss;")
        and "weights no longer finite" in watch.diagnosis
    )
    assert (
        f"inputs: float32, from {x.min():.4g} to {x.max():.4g}, 0 NaN"
        in watch.diagnosis
    )
    assert watch.diagnosis in caplog.text
    again = Exploding()
    again.build((None, 6))
    again.load_weights(tmp_path / "good.weights.h5")
    assert (
        all(np.isfinite(w).all() for w in again.get_weights())
        and float(ops.convert_to_numpy(again.steps)) == 4
    )


def test_an_exploded_step_is_reported(caplog):
    x = data(40)
    for log_var, words in (
        (18.0, "epoch 1: mean KL 9.85e+07 nats: a step exploded"),
        (0.0, None),
    ):
        caplog.clear()
        vae = linear_vae(log_var=log_var)
        vae.compile(keras.optimizers.SGD(0.0))
        vae.fit(x, batch_size=10, verbose=0, callbacks=[callbacks.NaNDiagnosis()])
        assert (
            words in caplog.text if words else "exploded" not in caplog.text
        )  # 3 latents, each exp(18) / 2 nats


def test_missing_parts_and_bad_arguments_are_reported():
    x, stranger = data(), StrangersVAE
    for callback, words, options in (
        (
            callbacks.KLWarmup(10),
            (
                r"kl_weight is missing, expected a variable.*self\.add_weight"
                r".*loss = reconstruction \+ self\.kl_weight \* kl"
            ),
            {},
        ),
        (
            callbacks.FreeBits(0.1),
            r"free_bits is missing, expected a variable.*self\.free_bits",
            {},
        ),
        (
            callbacks.GammaSchedule(CURVE),
            "steps_per_execution=3, expected 1",
            {"steps_per_execution": 3},
        ),
        (
            callbacks.GammaSchedule([0.5, -1.0].__getitem__),
            "the curve gave -1.0 at step 1",
            {},
        ),
    ):
        if keras.backend.backend() == "torch" and options:
            continue  # Keras has no steps_per_execution there
        model = stranger()
        model.compile("sgd", **options)
        with pytest.raises(ValueError, match=words):
            model.fit(x, batch_size=10, verbose=0, callbacks=[callback])
    vae = linear_vae()
    vae.compile("sgd")
    with pytest.raises(ValueError, match="both ComputedGamma and GammaSchedule"):
        vae.fit(
            x,
            verbose=0,
            callbacks=[callbacks.GammaSchedule(CURVE), callbacks.ComputedGamma()],
        )
    for make in (
        lambda: callbacks.GammaSchedule([]),
        lambda: callbacks.GammaSchedule(CURVE, unit="batch"),
        lambda: callbacks.KLWarmup(0),
        lambda: callbacks.FreeBits(0),
        lambda: callbacks.NaNDiagnosis("weights.h5"),
    ):
        with pytest.raises(ValueError, match="received"):
            make()


@pytest.mark.parametrize(
    "callback",
    [
        callbacks.GammaSchedule(CURVE, "epoch"),
        callbacks.KLWarmup(5, 0.1, 2.0),
        callbacks.FreeBits(0.3),
        callbacks.NaNDiagnosis("a.weights.h5"),
    ],
    ids=lambda callback: type(callback).__name__,
)
def test_config_round_trip(callback):
    again = keras.saving.deserialize_keras_object(
        keras.saving.serialize_keras_object(callback)
    )
    assert type(again) is type(callback) and again.get_config() == callback.get_config()


def test_an_explosion_by_the_means_names_the_largest_and_no_bound(caplog):
    x = data(40)
    vae = linear_vae(log_var=1.0)
    vae.encoder.layers[1].set_weights([np.zeros((6, 3)), np.array([0.0, 5.0, -9e3])])
    vae.compile(keras.optimizers.SGD(0.0))
    vae.fit(x, batch_size=10, verbose=0, callbacks=[callbacks.NaNDiagnosis(data=x)])
    assert "the largest mean is 9000, of latent 2: a step" in caplog.text
    assert "bounded head" not in caplog.text


def test_an_explosion_names_the_largest_log_variance(caplog):
    x = data(40)
    vae = linear_vae(log_var=18.0)
    vae.encoder.layers[-1].bias.assign([1.0, 18.0, 2.0])
    vae.compile(keras.optimizers.SGD(0.0))
    vae.fit(x, batch_size=10, verbose=0, callbacks=[callbacks.NaNDiagnosis(data=x)])
    assert "nats, the largest log variance is 18, of latent 1: a step" in caplog.text
