"""The variables, metrics and optimizers of other people's models that would make what a
callback sets or counts wrong: read rightly, refused or warned about.
"""

import functools
import math

import keras
import numpy as np
import pytest
from keras import layers, ops
from small_models import StrangersVAE, warnings_of

import callbacks
from callbacks.training_progress import TrainingProgress, batches_per_step

BACKEND = keras.backend.backend()


def data(rows=40):
    return np.random.default_rng(0).normal(size=(rows, 6)).astype("float32")


def number(variable):
    return float(ops.convert_to_numpy(ops.convert_to_tensor(variable)))


class Linear(keras.Model):
    """An autoencoder whose loss is the squared error times a weight."""

    def __init__(self):
        super().__init__()
        self.decoder = layers.Dense(6)

    def call(self, x):
        return self.decoder(x)

    def compute_loss(self, x, y, y_pred, sample_weight=None, training=True):
        return ops.mean(ops.square(x - y_pred)) * self.kl_weight


class Tracked(Linear):
    def __init__(self):
        super().__init__()
        self.kl_weight = keras.Variable(1.0, trainable=False, name="weight")


def untracked():
    """As where the weight belongs to a loss object."""
    weight = keras.Variable(1.0, name="weight")
    kind = type("Untracked", (Linear,), {"kl_weight": property(lambda self: weight)})
    return kind()


@pytest.mark.parametrize("make", [Tracked, untracked])
def test_a_variable_that_the_model_does_not_track(make, caplog):
    """On JAX the compiled step holds its first value for ever, so it is refused."""
    model = make()
    model.compile(keras.optimizers.SGD(0.0))
    watch = [callbacks.KLWarmup(8, start=1.0, end=0.0)]

    def fit():
        return model.fit(data(), batch_size=10, epochs=2, verbose=0, callbacks=watch)

    if BACKEND == "jax" and make is untracked:
        with pytest.raises(ValueError, match=r"track.*self\.kl_weight = the variable"):
            fit()
        return
    losses = fit().history["loss"]
    weights = [np.mean([1, 7 / 8, 6 / 8, 5 / 8]), np.mean([4, 3, 2, 1]) / 8]
    assert losses[1] / losses[0] == pytest.approx(weights[1] / weights[0], rel=0.05)
    found = [text for text in warnings_of(caplog) if "is not saved with" in text]
    assert len(found) == (make is untracked)


@pytest.mark.parametrize("dtype", ["float16", "bfloat16"])
def test_a_gamma_of_16_bits_is_refused(dtype):
    model = StrangersVAE()
    model.gamma = model.add_weight(
        name="gamma", shape=(), initializer="ones", trainable=False, dtype=dtype
    )
    model.compile("sgd")
    with pytest.raises(ValueError, match=rf'a {dtype}, expected a float32.*dtype="fl'):
        model.fit(data(), verbose=0, callbacks=[callbacks.ComputedGamma("ema")])


@pytest.mark.parametrize("dtype", ["float16", "bfloat16"])
def test_a_metric_of_16_bits_is_refused(dtype):
    model = StrangersVAE(metric=functools.partial(keras.metrics.Mean, dtype=dtype))
    model.compile("sgd")
    with pytest.raises(ValueError, match=f"adds up in {dtype}, expected float32"):
        model.fit(data(), verbose=0, callbacks=[callbacks.ComputedGamma()])


@pytest.mark.parametrize("bad", [math.nan, math.inf])
@pytest.mark.parametrize("rule", ["minimum", "ratchet", "ema", "batch"])
def test_gamma_does_not_follow_an_error_that_is_not_finite(rule, bad, caplog):
    model = StrangersVAE()
    model.compile("sgd")
    watch = callbacks.ComputedGamma(rule)
    watch.set_model(model)
    watch.on_train_begin()
    for batch, error in enumerate([0.25, bad, bad, 0.16]):
        watch.on_train_batch_begin(batch)
        model.mse.update_state(error)
        watch.on_train_batch_end(batch)
        if not math.isfinite(error):  # of a mean, so every later sum is, too
            model.mse.reset_state()
    decay = {"minimum": 0.0, "batch": 0.0}.get(rule, 0.99)
    expected = 1.0
    for error in (0.25, 0.16):
        expected = decay * expected + (1 - decay) * error
    assert number(model.gamma) == pytest.approx(math.sqrt(expected), rel=1e-5)
    assert sum("does not follow it" in text for text in warnings_of(caplog)) == 1


def test_a_variable_in_a_nested_model_is_found():
    class Scale(layers.Layer):
        def __init__(self):
            super().__init__()
            self.gamma = self.add_weight(
                name="gamma", shape=(), initializer="ones", trainable=False
            )

        def call(self, x):
            return x * self.gamma

    scale = Scale()
    inner = keras.Sequential([keras.Input((6,)), layers.Dense(6), scale])
    model = keras.Sequential([keras.Input((6,)), inner])
    model.compile("sgd", "mse", metrics=["mse"])
    watch = [callbacks.ComputedGamma()]
    history = model.fit(data(), data(), epochs=1, verbose=0, callbacks=watch).history
    assert history["gamma"] == [number(scale.gamma)]
    assert number(scale.gamma) < 1.2


def test_a_step_that_fails_leaves_nothing_behind():
    """As in a notebook: the loss is mended, and the same callbacks are used again."""

    class Failing(StrangersVAE):
        def compute_loss(self, *arguments, **options):
            raise RuntimeError("a mistake in the loss")

    watch = callbacks.ComputedGamma("minimum")
    failing = Failing()
    failing.compile("sgd")
    with pytest.raises(RuntimeError, match="a mistake in the loss"):
        failing.fit(data(), verbose=0, callbacks=[watch])
    model = StrangersVAE()
    model.compile("sgd")
    history = model.fit(data(), verbose=0, callbacks=[watch]).history
    assert history["gamma"] == [number(model.gamma)]
    kinds = {type(variable) for variable in [*failing.variables, *model.variables]}
    assert kinds == {keras.Variable}


def test_a_new_optimizer_starts_again():
    model, weights = StrangersVAE(), []
    model.kl_weight = model.add_weight(
        name="kl_weight", shape=(), initializer="ones", trainable=False
    )
    watch = callbacks.KLWarmup(8)
    moments = callbacks.LatentMoments(data(), every_steps=1)
    see = keras.callbacks.LambdaCallback(
        on_train_batch_begin=lambda batch, logs: weights.append(number(model.kl_weight))
    )
    for _ in range(3):
        model.compile(keras.optimizers.SGD(1e-3))
        options = {"batch_size": 10, "verbose": 0}
        model.fit(data(), callbacks=[watch, moments, see], **options)
    assert weights == [0, 1 / 8, 2 / 8, 3 / 8] * 3
    assert moments.records["step"].tolist() == [1, 2, 3, 4]


def test_steps_that_loss_scaling_skips_never_lower_the_count():
    model = StrangersVAE()
    optimizer = keras.optimizers.LossScaleOptimizer(keras.optimizers.SGD(1e-3))
    model.compile(optimizer)
    model(data())
    optimizer.build(model.trainable_variables)
    progress, counts = TrainingProgress(), []
    progress.begin(model)
    for is_skipped in (True, True, False, False, False):
        if not is_skipped:
            optimizer.inner_optimizer.iterations.assign_add(1)
        progress.count()
        counts.append(progress.steps(model))
    assert counts == [1, 2, 2, 2, 3]


def test_accumulation_is_seen_through_loss_scaling():
    model = StrangersVAE()
    inner = keras.optimizers.SGD(1e-3, gradient_accumulation_steps=4)
    model.compile(keras.optimizers.LossScaleOptimizer(inner))
    assert batches_per_step(model) == 4


def test_nan_diagnosis_names_no_log_variance_that_is_a_mean(caplog):
    """An encoder of [z, mean, log_var]: the second output is no log variance."""
    model = StrangersVAE()
    encoder = model.encoder
    seed = keras.random.SeedGenerator(0)

    def reordered(x):
        mean, log_var = encoder(x)[:2]
        return keras.random.normal(ops.shape(mean), seed=seed), mean, log_var

    watch = callbacks.NaNDiagnosis(data=data())
    watch.set_model(model)
    watch.on_train_begin()
    watch.on_epoch_begin(0)
    watch.on_epoch_end(0, {"kl_loss": 2e6})
    assert "largest" in warnings_of(caplog)[0]
    model.__dict__["encoder"] = reordered
    caplog.clear()
    watch.on_epoch_end(1, {"kl_loss": 2e6})
    found = warnings_of(caplog)
    assert len(found) == 1 and "mean KL 2e+06" in found[0]
    assert "largest" not in found[0]


WATCHES = {
    "gamma": lambda: callbacks.ComputedGamma(),
    "kl_weight": lambda: callbacks.KLWarmup(5),
    "free_bits": lambda: callbacks.FreeBits(0.1),
}


class Settable(StrangersVAE):
    """Has the three variables; its loss reads none of them, or all."""

    def __init__(self, reads=True, trainable=False):
        super().__init__()
        self.reads = reads
        for name, start in (
            ("gamma", "ones"),
            ("kl_weight", "ones"),
            ("free_bits", "zeros"),
        ):
            options = {"initializer": start, "trainable": trainable}
            setattr(self, name, self.add_weight(name=name, shape=(), **options))

    def compute_loss(self, x, y, y_pred, sample_weight=None, training=True):
        if not self.reads:
            error = ops.mean(ops.square(x - y_pred["x"]))
            self.mse.update_state(error)
            return error
        loss = super().compute_loss(x, y, y_pred)
        return loss * self.kl_weight + ops.maximum(loss, self.free_bits)


@pytest.mark.parametrize("name", WATCHES)
def test_a_trainable_variable_is_refused(name):
    """`add_weight` makes one unless it is asked not to."""
    model = Settable(trainable=True)
    model.compile("sgd")
    with pytest.raises(ValueError, match=f"{name} is a trainable weight, which the"):
        model.fit(data(), verbose=0, callbacks=[WATCHES[name]()])


@pytest.mark.parametrize("name", WATCHES)
def test_a_second_model_is_watched_as_the_first(name, caplog):
    watch = WATCHES[name]()
    for reads, count in ((True, 0), (False, 1), (False, 2)):
        model = Settable(reads)
        model.gamma.assign(5.0)
        model.compile(keras.optimizers.SGD(0.0))
        model.fit(data(), verbose=0, callbacks=[watch])
        found = [line for line in warnings_of(caplog) if "is not used by" in line]
        assert len(found) == count


@pytest.mark.skipif(BACKEND != "tensorflow", reason="tf.Variable is TensorFlow's")
def test_a_variable_of_tensorflow_is_not_saved_and_a_warning_says_so(caplog):
    import tensorflow as tf

    model = StrangersVAE()
    model.gamma = tf.Variable(5.0, trainable=False)
    model.compile(keras.optimizers.SGD(0.0))
    model.fit(data(), verbose=0, callbacks=[callbacks.ComputedGamma()])
    (found,) = warnings_of(caplog)
    assert "does not track, so it is not saved" in found and "add_weight" in found


class OwnOptimizer(keras.Model):
    """Its training step has an optimizer that Keras does not see."""

    def __init__(self):
        super().__init__()
        self.decoder = layers.Dense(6)
        self.decoder.build((None, 6))
        names = ("kl_weight", "steps")
        self.kl_weight, self.steps = (
            self.add_weight(name=name, shape=(), initializer="zeros", trainable=False)
            for name in names
        )
        self.built = True

    def call(self, x):
        return self.decoder(x)

    def train_step(self, x):
        self.steps.assign_add(1.0)
        loss = self.kl_weight * ops.mean(ops.square(x - self.decoder(x)))
        return {"loss": ops.where(self.steps == 10, float("nan"), loss)}


@pytest.mark.skipif(BACKEND != "tensorflow", reason="the step is TensorFlow's")
def test_steps_of_an_own_optimizer_are_counted_over_epochs_and_processes(tmp_path):
    options = {"batch_size": 10, "verbose": 0}
    model, watch = OwnOptimizer(), callbacks.NaNDiagnosis()
    model.compile()
    model.fit(data(), epochs=5, callbacks=[watch], **options)
    assert watch.diagnosis.startswith("step 10: not finite: loss")

    class Dies(keras.callbacks.Callback):
        def on_epoch_begin(self, epoch, logs=None):
            if epoch == 2 and not (tmp_path / "died").exists():
                (tmp_path / "died").touch()
                raise RuntimeError

    def fit():
        model = OwnOptimizer()
        model.compile()
        backup = keras.callbacks.BackupAndRestore(tmp_path / "backup")
        watch = [backup, callbacks.KLWarmup(16), Dies()]
        return model.fit(data(), epochs=4, callbacks=watch, **options).history

    with pytest.raises(RuntimeError):
        fit()
    assert fit()["kl_weight"] == [0.6875, 0.9375]


def test_numbers_of_each_latent_among_the_logs_are_checked_for_nan():
    watch = callbacks.NaNDiagnosis()
    watch.set_model(StrangersVAE())
    watch.on_train_begin()
    watch.on_epoch_begin(0)
    watch.on_train_batch_end(0, {"kl": np.ones(3), "loss": 1.0})
    watch.on_epoch_end(0, {"kl": np.ones(3)})
    assert watch.diagnosis is None
    watch.on_epoch_begin(1)
    watch.on_train_batch_end(0, {"kl": np.array([1.0, np.nan, 1.0]), "loss": 1.0})
    watch.on_epoch_end(1, {"kl": np.ones(3)})
    assert "not finite: kl" in watch.diagnosis


def test_batches_that_are_numbered_through_are_counted_once():
    model = StrangersVAE()
    watch = callbacks.LatentMoments(data(), every_steps=4)
    watch.set_model(model)
    watch.on_train_begin()
    for epoch in range(3):
        watch.on_epoch_begin(epoch)
        for batch in range(4 * epoch, 4 * epoch + 4):
            watch.on_train_batch_begin(batch)
            watch.on_train_batch_end(batch)
        watch.on_epoch_end(epoch, {})
    assert watch.records["step"].tolist() == [4, 8, 12]


@pytest.mark.skipif(BACKEND != "jax", reason="a stateless loop is JAX's")
@pytest.mark.parametrize("is_held_outside", [True, False])
def test_a_loop_that_holds_the_weights_outside_is_warned_about(is_held_outside, caplog):
    model = StrangersVAE()
    model.kl_weight = model.add_weight(
        name="kl_weight", shape=(), initializer="ones", trainable=False
    )
    model(data())
    watches = [callbacks.VarianceLaw(data()), callbacks.KLWarmup(16)]
    for watch in watches:
        watch.set_model(model)
        watch.on_train_begin()
    for epoch in range(4):
        for watch in watches:
            watch.on_epoch_begin(epoch)
            watch.on_train_batch_begin(0)
        if not is_held_outside:
            for weight in model.trainable_variables:
                weight.assign_add(0.01 * ops.ones(weight.shape))
        for watch in watches:
            watch.on_train_batch_end(0)
            watch.on_epoch_end(epoch, {})
    found = [line for line in warnings_of(caplog) if "have not changed" in line]
    assert len(found) == (2 if is_held_outside else 0)
    if is_held_outside:
        assert found[0].startswith("VarianceLaw") and found[1].startswith("KLWarmup")
