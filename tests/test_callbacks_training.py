"""The callbacks through the trainings that others write: evaluation within an epoch,
loops of `fit`, several optimizers, variables of other names or without effect.
"""

import logging
import math

import keras
import numpy as np
import pytest
from keras import layers, ops
from small_models import StrangersVAE, warnings_of

import callbacks

BACKEND = keras.backend.backend()


def data(rows=40):
    return np.random.default_rng(0).normal(size=(rows, 6)).astype("float32")


def number(variable):
    return float(ops.convert_to_numpy(ops.convert_to_tensor(variable)))


def scalar(model, name, start="ones"):
    return model.add_weight(name=name, shape=(), initializer=start, trainable=False)


class Full(StrangersVAE):
    """With every variable that a callback may set, read by the loss."""

    def __init__(self, **options):
        super().__init__(**options)
        self.kl_weight = scalar(self, "kl_weight")
        self.free_bits = scalar(self, "free_bits", "zeros")

    def compute_loss(self, x, y, y_pred, sample_weight=None, training=True):
        mean, log_var = y_pred["mean"], y_pred["log_var"]
        kl = 0.5 * ops.mean(ops.square(mean) + ops.exp(log_var) - log_var - 1, 0)
        granted = ops.sum(ops.maximum(kl, self.free_bits))
        return super().compute_loss(x, y, y_pred) + self.kl_weight * granted


def fitted(model, watch, x=None, rate=1e-3, **options):
    model.compile(keras.optimizers.SGD(rate))
    options = {"batch_size": 10, "verbose": 0, "epochs": 2, **options}
    return model.fit(data() if x is None else x, callbacks=watch, **options).history


class Evaluating(keras.callbacks.Callback):
    """Evaluates on other data after every step."""

    def on_train_batch_end(self, batch, logs=None):
        self.model.evaluate(9 * data(70), batch_size=7, verbose=0)


class Reconstructing(keras.Model):
    """A plain autoencoder, whose mean squared error is a compiled metric."""

    def __init__(self):
        super().__init__()
        self.decoder, self.gamma = layers.Dense(6), scalar(self, "gamma")

    def call(self, x):
        return self.decoder(x)


@pytest.mark.parametrize("rule", ["batch", "ema"])
def test_an_evaluation_within_an_epoch_leaves_gamma_right(rule):
    x, gammas = data(), []
    for before, after in (([], []), ([], [Evaluating()]), ([Evaluating()], [])):
        keras.utils.set_random_seed(0)
        model = Reconstructing()
        model.compile(keras.optimizers.SGD(0.0), "mse", metrics=["mse"])
        model.evaluate = lambda x, model=model, **options: keras.Model.evaluate(
            model, x, x, **options
        )
        watch = [*before, callbacks.ComputedGamma(rule), *after]
        options = {"batch_size": 10, "epochs": 2, "shuffle": False, "verbose": 0}
        model.fit(x, x, callbacks=watch, **options)
        gammas.append(number(model.gamma))
    errors = ((x - model.predict(x, verbose=0)) ** 2).reshape(4, -1).mean(1)
    expected = errors[-1] if rule == "batch" else 1.0
    for error in [] if rule == "batch" else [*errors, *errors]:
        expected = 0.99 * expected + 0.01 * error
    # the evaluation leaves large sums in the metric, of float32
    assert gammas == pytest.approx([math.sqrt(expected)] * 3, rel=1e-4)


class Unread(Full):
    """Has all variables. The loss reads none, a metric reads gamma."""

    def __init__(self, **options):
        super().__init__(**options)
        self.shown = keras.metrics.Mean(name="shown")

    def compute_loss(self, x, y, y_pred, sample_weight=None, training=True):
        error = ops.mean(ops.square(x - y_pred["x"]))
        self.mse.update_state(error)
        self.shown.update_state(self.gamma)
        return error


WATCHES = {
    "gamma": lambda: callbacks.ComputedGamma(),
    "kl_weight": lambda: callbacks.KLWarmup(5),
    "free_bits": lambda: callbacks.FreeBits(0.1),
    "gamma ": lambda: callbacks.GammaSchedule([0.5]),
    "gamma  ": lambda: callbacks.GammaSchedule([0.5], unit="epoch"),
}


@pytest.mark.parametrize("name", WATCHES)
def test_a_variable_that_no_loss_reads_is_warned_about_once(name, caplog):
    attribute = name.strip()
    watch = WATCHES[name]()
    model = Unread()
    model.gamma.assign(5.0)  # above the error
    fitted(model, [watch])
    found = warnings_of(caplog)
    assert len(found) == 1 and found[0].startswith(
        f"Unread.{attribute} is not used by the loss"
    )
    assert f"self.{attribute}" in found[0].split("such as")[1]
    caplog.clear()
    model.fit(data(), verbose=0, callbacks=[watch])
    assert not warnings_of(caplog)
    model = Full()
    model.gamma.assign(5.0)
    for fresh in (WATCHES[name](), WATCHES[name]()):  # compiled before, at the second
        fitted(model, [fresh])
        model.fit(data(), verbose=0, callbacks=[fresh])
    assert not warnings_of(caplog)
    assert type(getattr(model, attribute)) is keras.Variable


def test_what_is_missing_is_named_where_it_goes():
    functional = keras.Sequential([keras.Input((6,)), layers.Dense(6)])
    functional.compile("sgd", "mse")
    with pytest.raises(
        ValueError, match=r"layer's __init__: self.gamma = .*to its call: loss = "
    ):
        functional.fit(data(), data(), verbose=0, callbacks=[callbacks.ComputedGamma()])
    model = StrangersVAE()
    model.mse.name = "error"
    with pytest.raises(
        ValueError, match=r"compile\(metrics=\['mse'\]\).*self.batch_mse.assign\(mse\)"
    ):
        del model.mse
        fitted(model, [callbacks.ComputedGamma()])


class BatchError(StrangersVAE):
    """The loss is added in call(), and the error assigned there."""

    def __init__(self):
        super().__init__()
        self.batch_mse = scalar(self, "batch_mse")

    def call(self, x, training=False):
        found = super().call(x, training)
        error = ops.mean(ops.square(x - found["x"]))
        self.batch_mse.assign(error)
        self.add_loss(error / self.gamma**2 + ops.log(1.0 * self.gamma))
        return found["x"]

    compute_loss = keras.Model.compute_loss


def test_an_error_that_call_assigns_serves_on_every_backend():
    model = BatchError()
    fitted(model, [callbacks.ComputedGamma("batch")], epochs=1, rate=0.0)
    assert number(model.gamma) == pytest.approx(
        math.sqrt(number(model.batch_mse)), rel=1e-6
    )


class Unassigned(BatchError):
    def call(self, x, training=False):
        found = StrangersVAE.call(self, x, training)
        self.add_loss(ops.mean(ops.square(x - found["x"])) * self.gamma)
        return found["x"]


@pytest.mark.skipif(BACKEND == "jax", reason="an error in a fit costs JAX the weights")
def test_an_error_that_no_step_assigns_is_refused():
    with pytest.raises(ValueError, match="batch_mse was not assigned in this step"):
        fitted(Unassigned(), [callbacks.ComputedGamma()])


@pytest.mark.parametrize("policy", ["mixed_float16", "mixed_bfloat16"])
def test_the_advice_on_batch_mse_holds_in_mixed_precision(policy):
    """Built as the message says: `autocast=False`."""
    keras.config.set_dtype_policy(policy)
    layer = ErrorLayer()
    inputs = keras.Input((6,))
    model = keras.Model(inputs, layer(inputs))
    fitted(model, [callbacks.ComputedGamma("batch")], epochs=1, rate=0.0)
    assert number(layer.gamma) == pytest.approx(
        math.sqrt(number(layer.batch_mse)), rel=1e-6
    )


class ErrorLayer(layers.Layer):
    def __init__(self):
        super().__init__()
        self.dense = layers.Dense(6)
        self.gamma = scalar(self, "gamma")
        self.batch_mse = self.add_weight(
            name="batch_mse",
            shape=(),
            initializer="zeros",
            trainable=False,
            autocast=False,
        )

    def call(self, x):
        error = ops.mean(ops.square(ops.cast(x - self.dense(x), "float32")))
        self.batch_mse.assign(error)
        self.add_loss(error / ops.cast(self.gamma, "float32") ** 2)
        return x


def test_a_gamma_that_cannot_fall_is_warned_about(caplog):
    for start, warned in ((0.5, True), (20.0, False)):
        model = StrangersVAE()
        model.gamma.assign(start)
        fitted(model, [callbacks.ComputedGamma("minimum")], 3 * data())
        found = [text for text in warnings_of(caplog) if "gamma can only fall" in text]
        assert len(found) == warned
        caplog.clear()


class Named(Full):
    """Its `gamma` is a capacity weight; the standard deviation has another name."""

    def __init__(self):
        super().__init__()
        self.sigma, self.beta, self.grant = (
            self.gamma,
            self.kl_weight,
            self.free_bits,
        )
        self.capacity = scalar(self, "capacity", keras.initializers.Constant(1000.0))
        self.gamma = self.capacity

    def compute_loss(self, *arguments, **options):
        kept, self.gamma = self.gamma, self.sigma
        try:
            return super().compute_loss(*arguments, **options)
        finally:
            self.gamma = kept


def test_variables_of_other_names():
    model = Named()
    history = fitted(
        model,
        [
            callbacks.ComputedGamma("batch", attribute="sigma"),
            callbacks.KLWarmup(4, attribute="beta"),
            callbacks.FreeBits(0.1, attribute="grant"),
        ],
    )
    assert number(model.capacity) == 1000
    assert history["sigma"][-1] == number(model.sigma) != 1
    assert history["beta"] == [0.75, 1] and history["grant"][0] > 0
    assert not {"gamma", "kl_weight", "free_bits"} & set(history)
    fitted(model, [callbacks.GammaSchedule([0.5, 0.25], "epoch", attribute="sigma")])
    assert number(model.sigma) == 0.25 and number(model.capacity) == 1000


@pytest.mark.parametrize(
    "start, x",
    [(1000.0, 1.0), (0.0, 1.0), (-1.0, 1.0), (math.nan, 1.0), (200.0, 1e-2)],
)
def test_a_gamma_that_is_no_standard_deviation_is_left_alone(start, x):
    model = StrangersVAE()
    model.gamma.assign(start)
    with pytest.raises(ValueError, match=r"standard deviation.*attribute=\"...\""):
        fitted(model, [callbacks.ComputedGamma()], x * data())
    if BACKEND != "jax":
        assert number(model.gamma) == pytest.approx(start, nan_ok=True)


def watched(tmp_path):
    """Callbacks that count epochs or steps, and what each has counted."""
    x = data()
    return [
        callbacks.GammaSchedule([0.9, 0.8, 0.7, 0.6], unit="epoch"),
        callbacks.KLWarmup(16),
        callbacks.LatentMoments(x, every_steps=2),
        callbacks.VarianceLaw(x, freq=2),
        callbacks.ImageGrid(
            tmp_path,
            latent_dim=3,
            decode=lambda model, z: np.zeros((len(z), 4, 4, 1)),
            rows=2,
        ),
    ]


def test_a_loop_of_fits_is_one_training(tmp_path):
    """Keras counts epochs from 0 in each; the callbacks keep counting."""
    x = data()
    once, often = watched(tmp_path / "once"), watched(tmp_path / "often")
    keras.utils.set_random_seed(0)
    expected = fitted(Full(), once, epochs=4, shuffle=False)
    keras.utils.set_random_seed(0)
    model = Full()
    model.compile(keras.optimizers.SGD(1e-3))
    found = {}
    for _ in range(4):
        history = model.fit(
            x, batch_size=10, verbose=0, shuffle=False, callbacks=often
        ).history
        for key, values in history.items():
            found.setdefault(key, []).extend(values)
    for key in ("gamma", "kl_weight"):
        assert found[key] == pytest.approx(expected[key])
    assert found["gamma"] == pytest.approx([0.9, 0.8, 0.7, 0.6])
    assert found["kl_weight"] == pytest.approx([3 / 16, 7 / 16, 11 / 16, 15 / 16])
    for name, values in once[2].records.items():
        np.testing.assert_allclose(often[2].records[name], values, rtol=1e-4)
    assert once[2].records["step"].tolist() == [2, 4, 6, 8, 10, 12, 14, 16]
    names = [path.name for path in sorted((tmp_path / "often").iterdir())]
    assert names == [f"samples_000{epoch}.png" for epoch in (1, 2, 3, 4)]


def test_a_collapse_alarm_remembers_over_a_loop_of_fits(caplog):
    variances = iter([0.2, 0.9, 0.9])

    def posterior(model, x):
        variance = 0.2 if len(x) == 3 else next(variances)
        return np.zeros((len(x), 2)), np.full((len(x), 2), np.log(variance))

    model, watch = StrangersVAE(), callbacks.CollapseAlarm(data(), posterior)
    model.compile(keras.optimizers.SGD(0.0))
    died = [
        model.fit(data(), verbose=0, callbacks=[watch]).history["latents_died"][0]
        for _ in range(3)
    ]
    assert died == [0, 2, 2] and len(warnings_of(caplog)) == 1


class Stop(keras.callbacks.Callback):
    def on_epoch_begin(self, epoch, logs=None):
        if epoch == 2:
            raise KeyboardInterrupt


@pytest.mark.parametrize("path", [True, False])
def test_a_training_that_backup_and_restore_resumes(path, tmp_path, caplog):
    """As in another process: new callbacks, a new model."""
    x = data()
    variances = [[0.2, 0.2, 1.0], [0.2, 0.9, 1.0], [0.9, 0.9, 1.0]]
    seen = iter([0, 1, 2] if path else [0, 1, 1, 2])

    def posterior(model, x):
        variance = variances[0] if len(x) == 3 else variances[next(seen)]
        return np.zeros((len(x), 3)), np.log([variance] * len(x))

    def make():
        alarm = tmp_path / "folder" / "alarm.json" if path else None
        return [
            callbacks.CollapseAlarm(x, posterior, path=alarm),
            callbacks.LatentMoments(x, path=tmp_path / "moments.npz", every_steps=2),
            callbacks.KLWarmup(20),
            keras.callbacks.BackupAndRestore(tmp_path / "backup"),
        ]

    first, second = Full(), Full()
    for model in (first, second):
        model(x)  # BackupAndRestore needs a built one
    with pytest.raises(KeyboardInterrupt):
        fitted(first, [*make(), Stop()], epochs=3)
    watch = make()
    history = fitted(second, watch, epochs=3)
    assert history["kl_weight"] == [pytest.approx(11 / 20)]
    assert watch[1].records["step"].tolist() == [2, 4, 6, 8, 10, 12]
    assert history["latents_died"] == [2 if path else 1]
    assert [text.split(":")[0] for text in warnings_of(caplog)] == [
        "latents 1 collapsed",
        "latents 0 collapsed",
    ]


class TwoOptimizers(Full):
    """A training step of its own, whose optimizers Keras does not know."""

    def __init__(self):
        super().__init__()
        self.first = keras.optimizers.SGD(1e-3)
        self.second = keras.optimizers.SGD(1e-3)

    def _losses_of(self, x):
        return self.compute_loss(x, None, self(x, training=True))

    def _tensorflow(self, x):
        import tensorflow as tf

        with tf.GradientTape(persistent=True) as tape:
            loss = self._losses_of(x)
        for optimizer, part in (
            (self.first, self.encoder),
            (self.second, self.decoder),
        ):
            weights = part.trainable_variables
            optimizer.apply(tape.gradient(loss, weights), weights)
        return loss

    def _torch(self, x):
        import torch

        self.zero_grad()
        loss = self._losses_of(x)
        loss.backward()
        with torch.no_grad():
            for optimizer, part in (
                (self.first, self.encoder),
                (self.second, self.decoder),
            ):
                weights = part.trainable_variables
                optimizer.apply([w.value.grad for w in weights], weights)
        return loss

    def train_step(self, batch):
        x = batch[0] if isinstance(batch, (list, tuple)) else batch
        loss = self._tensorflow(x) if BACKEND == "tensorflow" else self._torch(x)
        return {"loss": loss, "mse": self.mse.result()}


@pytest.mark.skipif(
    BACKEND == "jax", reason="a train_step on JAX is stateless; Keras has one optimizer"
)
def test_steps_are_counted_where_the_optimizers_are_the_models_own(tmp_path, caplog):
    watch = watched(tmp_path)
    model = TwoOptimizers()
    model.compile()
    history = model.fit(
        data(), batch_size=10, epochs=4, verbose=0, callbacks=watch
    ).history
    assert number(model.optimizer.iterations) == 0
    assert history["kl_weight"] == pytest.approx([3 / 16, 7 / 16, 11 / 16, 15 / 16])
    assert watch[2].records["step"].tolist() == [2, 4, 6, 8, 10, 12, 14, 16]
    assert len(history["variance_law"]) == 3 and not warnings_of(caplog)
    stepwise = callbacks.GammaSchedule(lambda step: 1 / (1 + step))
    model.fit(data(), batch_size=10, verbose=0, callbacks=[stepwise])
    assert number(model.gamma) == pytest.approx(1 / 4)


class Bare:
    """No Keras model: what someone trains in a loop of their own."""

    def __init__(self):
        self.vae = StrangersVAE()
        self.encoder, self.decoder = self.vae.encoder, self.vae.decoder
        self.gamma = self.vae.gamma
        self.trainable_variables = self.vae.trainable_variables
        self.kl_weight = scalar(self.vae, "kl_weight")
        self.batch_mse = scalar(self.vae, "batch_mse")


def test_a_training_loop_without_fit(caplog):
    x, model = data(), Bare()
    watch = [
        callbacks.KLWarmup(4),
        callbacks.ComputedGamma("batch"),
        callbacks.VarianceLaw(x),
        callbacks.LatentMoments(x),
        callbacks.NaNDiagnosis(data=x),
    ]

    def call(hook, *arguments):
        for callback in watch:
            getattr(callback, hook)(*arguments)

    call("set_model", model)
    call("on_train_begin")
    for epoch in range(2):
        call("on_epoch_begin", epoch)
        for step in range(3):
            call("on_train_batch_begin", step)
            model.batch_mse.assign(0.25)
            call("on_train_batch_end", step)
        logs = {}
        call("on_epoch_end", epoch, logs)
    call("on_train_end")
    assert logs["kl_weight"] == 1 and logs["gamma"] == 0.5
    assert watch[3].records["step"].tolist() == [3, 6]
    assert not warnings_of(caplog)


@pytest.mark.skipif(BACKEND != "tensorflow", reason="tf_keras is TensorFlow's")
def test_models_of_keras_2_are_refused():
    tf_keras = pytest.importorskip("tf_keras")
    model = tf_keras.Sequential([tf_keras.Input((6,)), tf_keras.layers.Dense(6)])
    model.compile("sgd", "mse")
    x = data()
    for watch in (
        callbacks.VarianceLaw(x),
        callbacks.ComputedGamma(),
        callbacks.KLWarmup(3),
        callbacks.FreeBits(0.1),
        callbacks.GammaSchedule([0.5]),
        callbacks.NaNDiagnosis(),
        callbacks.ImageGrid("never-made", latent_dim=2),
    ):
        with pytest.raises(
            ValueError, match=r"tf_keras \(Keras 2\), expected one of K"
        ):
            model.fit(x, x, verbose=0, callbacks=[watch])


def test_plateaus_are_those_of_measured_epochs(capsys):
    """Epochs that `freq` skips neither cut the rate nor show in the progress bar."""
    x, rates = data(), []
    laws = iter([3.0, 2.0, 1.5, 1.2])

    def posterior(model, x):
        law = 1.0 if len(x) == 3 else next(laws)
        return np.zeros((len(x), 2)), np.full((len(x), 2), np.log(law))

    class Rates(keras.callbacks.Callback):
        def on_epoch_end(self, epoch, logs=None):
            rates.append(number(self.model.optimizer.learning_rate))

    plateau = keras.callbacks.ReduceLROnPlateau(
        "variance_law_error", patience=2, mode="min"
    )
    stop = keras.callbacks.EarlyStopping(
        "variance_law_error", patience=2, mode="min", restore_best_weights=True
    )
    watch = [callbacks.VarianceLaw(x, posterior, freq=4), plateau, stop, Rates()]
    with pytest.warns(UserWarning, match="not available"):
        history = fitted(StrangersVAE(), watch, epochs=12, verbose=1)
    assert history["variance_law_error"] == pytest.approx([2, 1, 0.5, 0.2])
    assert rates == pytest.approx([1e-3] * 12)
    shown = capsys.readouterr().out
    assert "nan" not in shown and shown.count("variance_law_error") >= 4


def test_two_watchers_of_a_kind(caplog):
    x, held_out = data(), 3 * data(20)
    with caplog.at_level(logging.WARNING):
        history = fitted(
            StrangersVAE(),
            [
                callbacks.VarianceLaw(x),
                callbacks.VarianceLaw(held_out, prefix="val_"),
                callbacks.ActiveLatents(held_out, prefix="val_"),
            ],
            rate=0.0,
        )
    assert history["val_variance_law"][0] > 2 * history["variance_law"][0]
    assert "val_active_latents" in history and not warnings_of(caplog)
    fitted(StrangersVAE(), [callbacks.VarianceLaw(x), callbacks.VarianceLaw(held_out)])
    assert len(warnings_of(caplog)) == 1 and "prefix='val_'" in warnings_of(caplog)[0]
