"""The callbacks in models that are not this project's, beside Keras's own callbacks,
and where something is wrong: reported at once, and nothing is left behind.
"""

import logging
from types import SimpleNamespace

import keras
import numpy as np
import pytest
from keras import ops
from small_models import StrangersVAE

import callbacks
from twostage.errors import DivergedError
from twostage.training.checkpoint import Checkpoint


def data(rows=40):
    return np.random.default_rng(0).normal(size=(rows, 6)).astype("float32")


def value(variable):
    return float(ops.convert_to_numpy(variable))


class Full(StrangersVAE):
    """With every variable that a callback may set."""

    def __init__(self, **options):
        super().__init__(**options)
        for name, start in (("kl_weight", "ones"), ("free_bits", "zeros")):
            setattr(
                self,
                name,
                self.add_weight(
                    name=name, shape=(), initializer=start, trainable=False
                ),
            )


def fitted(model, watch, x=None, **options):
    model.compile(keras.optimizers.SGD(1e-3))
    return model.fit(
        data() if x is None else x,
        batch_size=10,
        verbose=0,
        callbacks=watch,
        **{"epochs": 2, **options},
    ).history


class Interrupting(keras.callbacks.Callback):
    def on_train_batch_end(self, batch, logs=None):
        if batch == 2:
            raise KeyboardInterrupt


@pytest.mark.parametrize("first", [True, False])
def test_free_bits_are_inactive_whatever_restores_weights(first):
    model, free = Full(), callbacks.FreeBits(0.05)
    best = keras.callbacks.EarlyStopping("loss", restore_best_weights=True)
    history = fitted(model, [free, best] if first else [best, free])
    assert (
        history["free_bits"] == [pytest.approx(0.05)] * 2
        and value(model.free_bits) == 0
    )


def test_free_bits_are_off_in_saved_weights_and_after_a_stop(tmp_path):
    model = Full()
    fitted(
        model,
        [
            callbacks.FreeBits(0.05),
            keras.callbacks.ModelCheckpoint(
                tmp_path / "a.weights.h5", save_weights_only=True
            ),
        ],
    )
    model.free_bits.assign(9.0)
    model.load_weights(tmp_path / "a.weights.h5")
    assert value(model.free_bits) == 0
    with pytest.raises(KeyboardInterrupt):
        fitted(model, [callbacks.FreeBits(0.05), Interrupting()])
    fitted(model, [callbacks.FreeBits(0.05)])
    assert value(model.free_bits) == 0


class NaNGradient(StrangersVAE):
    """A finite loss whose gradient is none, from the fourth step on."""

    def __init__(self):
        super().__init__()
        self.steps = self.add_weight(
            name="steps", shape=(), initializer="zeros", trainable=False
        )

    def compute_loss(self, x, y, y_pred, sample_weight=None, training=True):
        self.steps.assign_add(1.0)
        late = ops.where(self.steps > 3, 0.0, 1.0)
        return super().compute_loss(x, y, y_pred) + ops.sqrt(
            ops.sum(late * y_pred["x"] ** 2)
        )


def test_weights_that_are_not_finite_are_no_good_weights(tmp_path):
    """The fourth step is the first epoch's last: its loss is finite, and what it made
    of the weights is not.
    """
    path = tmp_path / "folder" / "good.weights.h5"
    watch = callbacks.NaNDiagnosis(path)
    assert len(fitted(NaNGradient(), [watch])["loss"]) == 1
    assert (
        watch.diagnosis.startswith("step 4: the losses are finite")
        and "weights no longer finite" in watch.diagnosis
        and not path.exists()
    )
    fitted(StrangersVAE(), [watch])
    assert watch.diagnosis is None and path.exists()
    fitted(NaNGradient(), [watch])
    assert "last good" not in watch.diagnosis  # the file is of an earlier fit


def test_no_checkpoint_of_weights_that_are_not_finite(tmp_path):
    (tmp_path / "checkpoints").mkdir()
    checkpoint = Checkpoint(
        SimpleNamespace(path=tmp_path, command="python train_stage1.py")
    )
    model = NaNGradient()
    with pytest.raises(
        DivergedError,
        match=(
            r"the weights of epoch 2 are not finite; .* keeps the last good checkpoint"
        ),
    ):
        fitted(model, [checkpoint], data(20))
    assert [path.name for path in (tmp_path / "checkpoints").iterdir()] == [
        "epoch-00001-step-000000.npz"
    ]


class Unbuilt(StrangersVAE):
    """As keras.io's VAE: for Keras it is never built."""

    built = property(lambda self: False, lambda self, value: None)


@pytest.mark.skipif(
    keras.backend.backend() == "jax", reason="Keras does not train such a model on JAX"
)
def test_a_model_that_keras_has_not_built_loses_no_epoch(tmp_path, caplog):
    with caplog.at_level(logging.WARNING):
        assert (
            len(
                fitted(Unbuilt(), [callbacks.NaNDiagnosis(tmp_path / "a.weights.h5")])[
                    "loss"
                ]
            )
            == 2
        )
    assert caplog.text.count("call it once on a batch before fit") == 1


class TrainableGamma(StrangersVAE):
    def __init__(self):
        super().__init__()
        self.gamma = self.add_weight(name="gamma", shape=(), initializer="ones")


class WrongShape(StrangersVAE):
    def __init__(self):
        super().__init__()
        self.gamma = self.add_weight(
            name="gamma", shape=(1,), initializer="ones", trainable=False
        )


class OwnMetrics(StrangersVAE):
    metrics = property(lambda self: [])


class NumberAsError(StrangersVAE):
    batch_mse = 0.0


class OneHead(StrangersVAE):
    def posterior(self, x):
        return self.encoder(x)[0]


@pytest.mark.parametrize(
    "make, watch, words",
    [
        (
            TrainableGamma,
            lambda: [callbacks.ComputedGamma()],
            "gamma is a trainable weight",
        ),
        (
            TrainableGamma,
            lambda: [callbacks.GammaSchedule([0.5])],
            "gamma is a trainable weight",
        ),
        (
            WrongShape,
            lambda: [callbacks.ComputedGamma()],
            r"gamma has shape \(1,\), expected one number",
        ),
        (
            OwnMetrics,
            lambda: [callbacks.ComputedGamma()],
            "add self.mse to what the property returns",
        ),
        (
            NumberAsError,
            lambda: [callbacks.ComputedGamma()],
            "batch_mse is a float, expected a variable",
        ),
        (
            StrangersVAE,
            lambda: [callbacks.ComputedGamma("batch"), callbacks.GammaSchedule([0.5])],
            "expected nothing else to move it",
        ),
        (
            OneHead,
            lambda: [callbacks.VarianceLaw(data())],
            "the posterior gave a.*Tensor|the posterior gave an ArrayImpl",
        ),
        (
            StrangersVAE,
            lambda: [callbacks.VarianceLaw(data(), posterior=3)],
            "received posterior=3, expected a function",
        ),
        (
            StrangersVAE,
            lambda: [callbacks.LatentMoments(data(), lambda model, x: (x[0], x[0]))],
            r"the posterior of 3 examples gave shapes \(6,\)",
        ),
        (
            StrangersVAE,
            lambda: [callbacks.ImageGrid("never-made", latent_dim=3)],
            r"the decoder gave shape \(2, 6\)",
        ),
    ],
)
def test_faults_are_reported_at_the_first_step(make, watch, words):
    steps = []
    count = keras.callbacks.LambdaCallback(
        on_train_batch_end=lambda batch, logs: steps.append(batch)
    )
    with pytest.raises(ValueError, match=words):
        fitted(make(), [*watch(), count])
    assert len(steps) <= 1


def test_images_of_another_shape_than_the_data_are_reported(tmp_path):
    def decode(model, z):
        return np.zeros((len(z), 8, 8, 1))

    def posterior(model, x):
        return (
            np.zeros((len(x), 3)),
            np.zeros((len(x), 3)),
        )

    with pytest.raises(
        ValueError, match=r"\(8, 8, 1\), expected that of the data, \(7, 7, 1\)"
    ):
        images = np.zeros((9, 7, 7, 1))
        fitted(
            StrangersVAE(),
            [callbacks.ImageGrid(tmp_path, images, posterior=posterior, decode=decode)],
        )
    callbacks.ImageGrid(
        tmp_path, np.zeros((9, 8, 8, 1)), posterior=posterior, decode=decode, rows=3
    )


@pytest.mark.parametrize(
    "make",
    [
        lambda: callbacks.GammaSchedule(0.5),
        lambda: callbacks.GammaSchedule("abc"),
        lambda: callbacks.GammaSchedule([[0.5, 0.4], [0.3]]),
        lambda: callbacks.KLWarmup(float("nan")),
        lambda: callbacks.KLWarmup(5, 0, float("inf")),
        lambda: callbacks.FreeBits(float("inf")),
        lambda: callbacks.ComputedGamma(floor=float("inf")),
        lambda: callbacks.LatentMoments(data(), every_steps=0.5),
        lambda: callbacks.NaNDiagnosis(data()),
        lambda: callbacks.VarianceLaw(data() * np.float32("nan")),
    ],
)
def test_values_that_slip_through_are_reported(make):
    _assert_reported(make)


NUMBERS = {
    "threshold": [callbacks.ActiveLatents, callbacks.CollapseAlarm],
    "limit": [callbacks.CollapseAlarm],
    "decay": [callbacks.ComputedGamma],
    "floor": [callbacks.ComputedGamma],
    "nats": [callbacks.FreeBits],
    "steps": [callbacks.KLWarmup],
    "start": [callbacks.KLWarmup],
    "end": [callbacks.KLWarmup],
}
WATCHERS = [
    callbacks.ActiveLatents,
    callbacks.CollapseAlarm,
    callbacks.KLPerLatent,
    callbacks.LatentMoments,
    callbacks.VarianceLaw,
]


@pytest.mark.parametrize("bad", ["0.5", [0.5], True, float("nan"), np.ones(2), -1.0])
@pytest.mark.parametrize(
    ("name", "kind"), [(name, kind) for name in NUMBERS for kind in NUMBERS[name]]
)
def test_what_is_no_number_or_out_of_range_is_reported(name, kind, bad):
    required = {callbacks.KLWarmup: {"steps": 5}}.get(kind, {})
    if kind in WATCHERS:
        required = {"data": data()}
    _assert_reported(lambda: kind(**{**required, name: bad}))


@pytest.mark.parametrize("kind", WATCHERS)
@pytest.mark.parametrize("option", ["posterior", "prefix"])
@pytest.mark.parametrize("bad", [3, ["val_"]])
def test_a_watcher_without_a_function_or_a_text_is_reported(kind, option, bad):
    _assert_reported(lambda: kind(data(), **{option: bad}))


@pytest.mark.parametrize(
    "make",
    [
        lambda: callbacks.ImageGrid("x", data(), posterior=3),
        lambda: callbacks.ImageGrid("x", data(), decode="decode"),
        lambda: callbacks.ImageGrid("x", data(), value_range=("0", "1")),
        lambda: callbacks.ImageGrid("x", data(), value_range=1),
        lambda: callbacks.ImageGrid("x", data(), value_range=(0, float("nan"))),
        lambda: callbacks.ComputedGamma(attribute=None),
        lambda: callbacks.GammaSchedule([0.5], attribute=3),
        lambda: callbacks.KLWarmup(5, attribute=None),
        lambda: callbacks.FreeBits(0.5, attribute=None),
    ],
)
def test_functions_ranges_and_names_of_another_kind_are_reported(make):
    _assert_reported(make)


def test_an_alarm_without_a_limit_never_reports_that_latents_blew_up():
    assert callbacks.CollapseAlarm(data(), limit=float("inf")).limit == float("inf")


def _assert_reported(make):
    with pytest.raises(ValueError, match="received") as caught:
        make()
    assert len(str(caught.value)) < 250


def test_tensors_are_data_too():
    np.testing.assert_array_equal(
        callbacks.VarianceLaw(ops.convert_to_tensor(data()), max_samples=10).data,
        callbacks.VarianceLaw(data(), max_samples=10).data,
    )


def test_a_posterior_of_nan_is_no_collapse(caplog):
    seen = iter([np.log([[0.1, 0.1]] * 40), [[np.nan, np.log(0.1)]] * 40])

    def posterior(model, x):
        # three examples when training begins
        log_var = np.zeros((3, 2)) if len(x) == 3 else np.array(next(seen))
        return np.zeros_like(log_var), log_var

    history = fitted(StrangersVAE(), [callbacks.CollapseAlarm(data(), posterior)])
    assert (
        history["latents_died"] == [0, 0]
        and history["latents_blown_up"] == [0, 1]
        and "collapsed" not in caplog.text
    )
