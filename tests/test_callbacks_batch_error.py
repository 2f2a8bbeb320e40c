"""Whose error ComputedGamma follows where the model is evaluated, encoded or fed with
weights between its steps.
"""

import keras
import numpy as np
import pytest
from keras import layers, ops
from replica_processes import on_replicas
from small_models import OneDense, StrangersVAE

import callbacks

BACKEND = keras.backend.backend()
WAYS = ("compiled", "rows", "variable")
FIT = {"batch_size": 16, "shuffle": False, "verbose": 0}


def data(rows=64):
    return np.random.default_rng(0).normal(size=(rows, 6)).astype("float32")


def compiled(way, **options):
    model = OneDense(way)
    metrics = {"metrics": ["mse"]} if way == "compiled" else {}
    model.compile(keras.optimizers.SGD(0.0), **{**metrics, **options})
    return model


def root_error(model, x):
    return float(np.sqrt(np.mean((x - ops.convert_to_numpy(model(x))) ** 2)))


class Hooks(keras.callbacks.Callback):
    """Calls `call(model)` at a batch's end, or at its beginning."""

    def __init__(self, call, at="end"):
        super().__init__()
        setattr(self, f"on_train_batch_{at}", lambda batch, logs=None: call(self.model))


def evaluations():
    x = 5 * data(16)
    return {
        "evaluate": lambda model: model.evaluate(x, x, verbose=0),
        "test_on_batch": lambda model: model.test_on_batch(x, x),
        "predict": lambda model: model.predict(x, verbose=0),
        "predict_on_batch": lambda model: model.predict_on_batch(x),
    }


@pytest.mark.parametrize("name", ["evaluate", "test_on_batch", "predict_on_batch"])
@pytest.mark.parametrize("is_first", [True, False])
@pytest.mark.parametrize("way", WAYS)
def test_what_other_callbacks_evaluate_is_not_followed(way, is_first, name):
    """In either order. (An epoch of one batch: the metric is empty before it.)"""
    for rows in (16, 64):
        model, x = compiled(way), data(rows)
        watch = [callbacks.ComputedGamma("batch"), Hooks(evaluations()[name])]
        watch = watch[::-1] if is_first else watch
        history = model.fit(x, x, callbacks=watch, **FIT).history
        assert history["gamma"][0] == pytest.approx(
            root_error(model, x[-16:]), rel=1e-5
        )
        assert not {"make_test_function", "make_predict_function"} & set(vars(model))


class Assigns(keras.Model):
    """Its call assigns the error, whatever calls it."""

    def __init__(self):
        super().__init__()
        inputs = keras.Input((6,))
        heads = [layers.Dense(3)(inputs), layers.Dense(3)(inputs)]
        self.encoder, self.decoder = keras.Model(inputs, heads), layers.Dense(6)
        self.gamma, self.batch_mse = (
            self.add_weight(
                name=name, shape=(), initializer="ones", trainable=False, autocast=False
            )
            for name in ("gamma", "batch_mse")
        )

    def call(self, x):
        mean, log_var = self.encoder(x)
        drawn = self.decoder(mean)
        error = ops.mean(ops.square(x - drawn))
        self.batch_mse.assign(error)
        self.add_loss(error / self.gamma**2)
        return drawn, mean, log_var


@pytest.mark.parametrize("name", ["predict", "predict_on_batch"])
def test_a_prediction_that_assigns_the_error_is_not_followed(name):
    model, x = Assigns(), data()
    model.compile(keras.optimizers.SGD(0.0))
    watch = [Hooks(evaluations()[name]), callbacks.ComputedGamma("batch")]
    gamma = model.fit(x, callbacks=watch, **FIT).history["gamma"][0]
    expected = np.sqrt(np.mean((x[48:] - model.predict(x[48:], verbose=0)[0]) ** 2))
    assert gamma == pytest.approx(float(expected), rel=1e-5)


@pytest.mark.parametrize("is_first", [True, False])
def test_a_watcher_whose_encoder_assigns_the_error_changes_no_number(is_first):
    x = data()
    found = []
    for watched in (False, True):
        keras.utils.set_random_seed(0)
        model = Assigns()
        model.compile(keras.optimizers.SGD(0.0))
        watch = [callbacks.ComputedGamma("batch")]
        if watched:
            encode = lambda model, x: model(x)[1:]  # noqa: E731
            moments = callbacks.LatentMoments(5 * x, encode, every_steps=1)
            watch.insert(0 if is_first else 1, moments)
        history = model.fit(x, callbacks=watch, **FIT).history
        found.append((history["gamma"], history["loss"]))
    assert found[0] == found[1]


def test_metrics_that_an_encoder_updates_are_as_before():
    class Counting(StrangersVAE):
        def posterior(self, x):
            mean, log_var = self.encoder(x)
            self.mse.update_state(ops.mean(x**2), ops.shape(x)[0])
            return mean, log_var

    x, found = data(), []
    for watch in ([], [callbacks.LatentMoments(5 * x, every_steps=1)]):
        keras.utils.set_random_seed(0)
        model = Counting(log_var=-60.0)
        model.compile(keras.optimizers.SGD(0.0))
        rule = callbacks.ComputedGamma("batch")
        history = model.fit(x, callbacks=[*watch, rule], **FIT).history
        found.append((history["gamma"], history["loss"]))
    assert found[0] == found[1]


def test_an_evaluation_before_the_step_is_refused_with_the_right_order():
    x = data()
    hook = Hooks(evaluations()["test_on_batch"], at="begin")
    rule = callbacks.ComputedGamma("batch")
    model = compiled("rows")
    with pytest.raises(ValueError, match="put ComputedGamma after that callback"):
        model.fit(x, x, callbacks=[rule, hook], **FIT)
    for way, watch in (("rows", [hook, rule]), ("variable", [rule, hook])):
        model = compiled(way)
        gamma = model.fit(x, x, callbacks=watch, **FIT).history["gamma"][0]
        assert gamma == pytest.approx(root_error(model, x[48:]), rel=1e-5)


@pytest.mark.parametrize("way", WAYS)
def test_train_on_batch_resets_metrics_and_gamma_is_right(way):
    """Keras does that in every call, before the step."""
    for sizes in ((16, 16, 16), (8, 16, 24)):
        model, x = compiled(way), data()
        rule = callbacks.ComputedGamma("batch")
        rule.set_model(model)
        rule.on_train_begin()
        rule.on_epoch_begin(0)
        for batch, size in enumerate(sizes):
            part = x[:size] / (1 + batch)
            rule.on_train_batch_begin(batch)
            model.train_on_batch(part, part)
            rule.on_train_batch_end(batch)
            found = float(ops.convert_to_numpy(model.gamma.value))
            assert found == pytest.approx(root_error(model, part), rel=1e-5)
        rule.on_epoch_end(0)


def test_a_loop_that_leaves_a_hook_out_is_told_which():
    rule, model = callbacks.ComputedGamma(), compiled("rows")
    rule.set_model(model)
    rule.on_train_begin()
    with pytest.raises(ValueError, match="call on_train_batch_begin"):
        rule.on_train_batch_end(0)


def test_a_heavy_example_does_not_stop_gamma():
    """The rows of a metric are the sums of the weights."""
    x, weights = data(), np.ones(64, "float32")
    weights[0] = 50
    weighted = {"weighted_metrics": ["mse"]}
    model = compiled("compiled", metrics=None, **weighted)
    options = {"sample_weight": weights, **FIT}
    rule = callbacks.ComputedGamma("batch")
    gamma = model.fit(x, x, callbacks=[rule], **options).history["gamma"][0]
    assert gamma == pytest.approx(root_error(model, x[48:]), rel=1e-5)


def test_a_batch_without_weight_moves_no_gamma():
    x, weights = data(), np.ones(64, "float32")
    weights[48:] = 0
    model = compiled("compiled", metrics=None, weighted_metrics=["mse"])
    options = {"sample_weight": weights, **FIT}
    rule = callbacks.ComputedGamma("batch")
    gamma = model.fit(x, x, callbacks=[rule], **options).history["gamma"][0]
    assert gamma == pytest.approx(root_error(model, x[32:48]), rel=1e-5)


def test_two_gammas_do_not_follow_one_error():
    class Two(OneDense):
        def __init__(self):
            super().__init__("variable")
            self.other = self.add_weight(
                name="other", shape=(), initializer="ones", trainable=False
            )

    model, x = Two(), data()
    model.compile(keras.optimizers.SGD(0.0))
    rules = [callbacks.ComputedGamma(attribute=name) for name in ("gamma", "other")]
    with pytest.raises(ValueError, match="two ComputedGamma callbacks follow one"):
        model.fit(x, x, callbacks=rules, **FIT)
    if BACKEND != "jax":  # Keras loses the weights there
        history = model.fit(x, x, callbacks=rules[:1], **FIT).history
        assert 0 < history["gamma"][0] < 2


REPLICAS = """
import keras, numpy as np, tensorflow as tf
from small_models import OneDense
import callbacks

cpus = tf.config.list_physical_devices("CPU")
two = [tf.config.LogicalDeviceConfiguration()] * 2
tf.config.set_logical_device_configuration(cpus[0], two)
x = np.random.default_rng(0).normal(size=(16, 6)).astype("float32")
x[8:] *= 4
for aggregation in ("mean", "none"):
    with tf.distribute.MirroredStrategy(["CPU:0", "CPU:1"]).scope():
        model = OneDense("variable", aggregation=aggregation)
        model.compile(keras.optimizers.SGD(0.0))
    watch = [callbacks.ComputedGamma("batch")]
    try:
        history = model.fit(x, batch_size=16, verbose=0, callbacks=watch).history
        gamma = history["gamma"][0]
        print(gamma, float(np.sqrt(np.mean((x - np.asarray(model(x))) ** 2))))
    except ValueError as error:
        print(error)
"""


@pytest.mark.slow
@pytest.mark.skipif(BACKEND != "tensorflow", reason="MirroredStrategy is TensorFlow's")
def test_the_error_of_one_replica_is_refused(tmp_path):
    script = tmp_path / "replicas.py"
    script.write_text(REPLICAS)
    numbers, refusal = on_replicas(script).splitlines()[-2:]
    gamma, expected = map(float, numbers.split())
    assert gamma == pytest.approx(expected, rel=1e-5)
    assert 'build it with aggregation="mean"' in refusal
