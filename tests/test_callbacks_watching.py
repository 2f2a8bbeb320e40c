"""VarianceLaw, ActiveLatents and the others that watch: known answers, in a real fit of
a stranger's VAE.
"""

import functools
import json
import re

import keras
import numpy as np
import pytest
from small_models import StrangersVAE, warnings_of

import callbacks
from callbacks import statistics

N = 200_000


def posteriors():
    """Of 4 latents: one ignored, one perfect, one half, one collapsed with its variance
    blown up.
    """
    generator = np.random.default_rng(0)
    prior = np.zeros((N, 1)), np.zeros((N, 1))
    perfect = generator.normal(size=(N, 1)), np.full((N, 1), -40.0)
    half = generator.normal(size=(N, 1)) * 0.5**0.5, np.full((N, 1), np.log(0.5))
    blown = np.zeros((N, 1)), np.full((N, 1), np.log(3.0))
    return tuple(
        np.concatenate(parts, 1)
        for parts in zip(prior, perfect, half, blown, strict=True)
    )


def test_statistics_of_known_posteriors():
    mean, log_var = posteriors()
    np.testing.assert_allclose(
        statistics.variance_law(mean, log_var), [1, 1, 1, 3], rtol=0.01
    )  # 1 of the prior, and wherever it is matched
    np.testing.assert_allclose(
        statistics.variance_law_sd(mean, log_var),
        [1, 1, 0.5 + 0.5**0.5, 3**0.5],
        rtol=0.01,
    )
    np.testing.assert_allclose(
        statistics.mean_variance(log_var), [1, 0, 0.5, 3], atol=1e-6
    )
    np.testing.assert_allclose(
        statistics.kl_per_latent(mean, log_var)[[0, 3]],
        [0, 0.5 * (3 - np.log(3) - 1)],
        atol=1e-9,
    )
    np.testing.assert_allclose(
        statistics.kl_per_latent(mean, log_var)[2], 0.5 * np.log(2), rtol=0.01
    )
    assert statistics.count_active(mean, log_var) == (2, 2, 3)
    assert statistics.count_active(mean, log_var, threshold=0.4)[0] == 1


@pytest.fixture
def fitted():
    def fit(epochs=2, **options):
        x = np.random.default_rng(0).normal(size=(120, 6)).astype("float32")
        model = StrangersVAE(log_var=-1.0)
        model.compile(
            keras.optimizers.SGD(0.0)
        )  # nothing moves: every number is known beforehand
        watch = [
            callbacks.VarianceLaw(x, **options),
            callbacks.ActiveLatents(x, **options),
        ]
        history = model.fit(x, epochs=epochs, verbose=0, callbacks=watch).history
        kernel, bias = model.encoder.get_weights()[:2]
        return x, x @ kernel + bias, history

    return fit


def test_metrics_of_a_strangers_vae(fitted):
    _, mean, history = fitted()
    law = mean.var(0) + np.exp(-1.0)
    np.testing.assert_allclose(history["variance_law"], [law.mean()] * 2, rtol=1e-4)
    np.testing.assert_allclose(
        history["variance_law_sd"], [(mean.var(0) + np.exp(-0.5)).mean()] * 2, rtol=1e-4
    )
    assert (
        history["active_latents"]
        == history["active_latents_mu"]
        == history["active_latents_kl"]
        == [3, 3]
    )


def test_errors_of_the_law_do_not_cancel():
    log_var = np.log([[0.5, 1.5]] * 4)
    found = callbacks.VarianceLaw(np.zeros((4, 2))).measure(np.zeros((4, 2)), log_var)
    assert found["variance_law"] == pytest.approx(1)
    assert found["variance_law_error"] == pytest.approx(0.5)


@pytest.mark.parametrize(("threshold", "active"), [(0.8, 2), (0.4, 1)])
def test_each_count_of_active_latents_is_by_its_own_test(threshold, active):
    watch = callbacks.ActiveLatents(np.zeros((2, 4)), threshold=threshold)
    found = watch.measure(*posteriors())
    counts = {"active_latents": active, "active_latents_mu": 2, "active_latents_kl": 3}
    assert {name: found[name] for name in counts} == counts


def test_the_alarm_goes_by_its_own_bounds_and_by_the_means():
    watch = callbacks.CollapseAlarm(np.zeros((2, 3)), threshold=0.5, limit=2.0)
    means = np.array([[0, 0, -1.5], [0, 0, 1.5]])
    watch.measure(0 * means, np.log([[0.4, 0.4, 0.4]] * 2))
    found = watch.measure(means, np.log([[0.4, 0.6, 0.4]] * 2))
    assert found == {"latents_died": 1, "latents_blown_up": 1}


def test_skipped_epochs_do_not_get_the_keys(fitted):
    """The first epoch does: CSVLogger takes its columns from there."""
    _, _, history = fitted(epochs=4, freq=2)
    for key in (
        "variance_law",
        "variance_law_sd",
        "active_latents",
        "active_latents_mu",
        "active_latents_kl",
    ):
        assert len(history[key]) == 3 and np.isfinite(history[key]).all()


def test_posterior_argument_and_random_subset():
    """Sorted data: the first rows would give another variance than a random few."""
    x = (
        np.sort(np.random.default_rng(0).normal(size=(5_000, 1)), 0)
        .repeat(6, 1)
        .astype("float32")
    )
    model = StrangersVAE()
    model.compile(keras.optimizers.SGD(0.0))
    seen = []

    def posterior(model, batch):
        seen.append(len(batch))
        return batch[:, :2], np.zeros((len(batch), 2))

    history = model.fit(
        x[:64],
        verbose=0,
        callbacks=[callbacks.VarianceLaw(x, posterior, max_samples=1000)],
    ).history
    assert seen[:2] == [3, 3] and sum(seen[2:]) == 1000  # three when training begins
    assert history["variance_law"][0] == pytest.approx(2.0, abs=0.15)


def test_keys_reach_the_csv_file_and_early_stopping(tmp_path):
    x = np.random.default_rng(0).normal(size=(64, 6)).astype("float32")
    model = StrangersVAE()
    model.compile(keras.optimizers.SGD(0.0))
    readers = [
        keras.callbacks.CSVLogger(tmp_path / "log.csv"),
        keras.callbacks.EarlyStopping("variance_law", patience=1, mode="max"),
    ]
    watch = [
        callbacks.ComputedGamma(),
        callbacks.VarianceLaw(x),
        callbacks.ActiveLatents(x),
    ]
    model.fit(x, epochs=9, verbose=0, callbacks=[*watch, *readers])
    lines = (tmp_path / "log.csv").read_text().splitlines()
    assert {"gamma", "variance_law", "active_latents"} <= set(lines[0].split(","))
    assert len(lines) == 3  # the law never rises, so training stopped after two epochs


def test_missing_parts_are_reported_when_training_begins():
    x = np.zeros((32, 6), "float32")

    def plain():
        model = keras.Sequential([keras.Input((6,)), keras.layers.Dense(6)])
        model.compile("sgd", "mse")
        return model

    for callback, words in (
        (callbacks.VarianceLaw(x), "no encoder that could be.*posterior=lambda"),
        (callbacks.ActiveLatents(x), "no encoder that could be.*posterior=lambda"),
        (
            callbacks.ImageGrid("never-made", latent_dim=2),
            "no decoder to draw with.*decode=lambda",
        ),
    ):
        with pytest.raises(ValueError, match=words):
            plain().fit(x, x, verbose=0, callbacks=[callback])


def test_bad_arguments_are_reported():
    x = np.zeros((32, 6), "float32")
    for make in (
        lambda: callbacks.VarianceLaw(x, freq=0),
        lambda: callbacks.VarianceLaw([1, 2]),
        lambda: callbacks.ActiveLatents(x, threshold=1.5),
        lambda: callbacks.ActiveLatents(x[:0]),
        lambda: callbacks.ImageGrid("folder"),
        lambda: callbacks.ImageGrid("folder", x, rows=1),
    ):
        with pytest.raises(ValueError, match="received"):
            make()


NOT_WHOLE = (0, -1, 1.5, np.nan, np.inf, "2", True, None, [2])
COUNTS = [  # argument, what takes it, and which of NOT_WHOLE it may be
    ("freq", functools.partial(callbacks.VarianceLaw, np.zeros((32, 6))), ()),
    ("freq", functools.partial(callbacks.ImageGrid, "folder", latent_dim=2), ()),
    ("max_samples", functools.partial(callbacks.KLPerLatent, np.zeros((32, 6))), ()),
    (
        "every_steps",
        functools.partial(callbacks.LatentMoments, np.zeros((32, 6))),
        (0,),
    ),
    ("rows", functools.partial(callbacks.ImageGrid, "folder", latent_dim=2), ()),
    ("seed", functools.partial(callbacks.ImageGrid, "folder", latent_dim=2), (0,)),
    ("latent_dim", functools.partial(callbacks.ImageGrid, "folder"), (None,)),
]


@pytest.mark.parametrize(
    ("name", "make", "value"),
    [
        (name, make, value)
        for name, make, allowed in COUNTS
        for value in NOT_WHOLE
        if value not in allowed
    ],
)
def test_numbers_that_are_not_whole_are_refused(name, make, value):
    words = f"received {name}={value!r}, expected a whole number of at least"
    with pytest.raises(ValueError, match=re.escape(words)):
        make(**{name: value})


def test_a_whole_number_may_be_a_float():
    assert callbacks.VarianceLaw(np.zeros((32, 6)), freq=np.float32(2)).freq == 2


def test_a_curve_is_checked_before_training():
    for curve in ([0.5, np.nan], [0.5, 0.0], [np.inf], np.array([1, -1])):
        with pytest.raises(
            ValueError, match=r"the curve gave .* at epoch [01], expect"
        ):
            callbacks.GammaSchedule(curve, unit="epoch")


@pytest.mark.parametrize("kind", ["VarianceLaw", "ActiveLatents"])
def test_watchers_config_round_trip(kind):
    x = np.arange(12.0).reshape(4, 3)
    callback = getattr(callbacks, kind)(x, max_samples=10, freq=3)
    again = keras.saving.deserialize_keras_object(
        keras.saving.serialize_keras_object(callback)
    )
    np.testing.assert_array_equal(again.data, x)
    assert (again.freq, again.max_samples) == (3, 10)


def test_kl_per_latent_in_a_fit():
    x, model = (
        np.random.default_rng(0).normal(size=(120, 6)).astype("float32"),
        StrangersVAE(log_var=-1.0),
    )
    model.compile(keras.optimizers.SGD(0.0))
    watch = callbacks.KLPerLatent(x)
    history = model.fit(x, verbose=0, callbacks=[watch]).history
    kernel, bias = model.encoder.get_weights()[:2]
    kl = 0.5 * (((x @ kernel + bias) ** 2).mean(0) + np.exp(-1.0) + 1.0 - 1.0)
    np.testing.assert_allclose(watch.values, kl, rtol=1e-4)
    found = [
        history[key][0]
        for key in ("kl_latent_min", "kl_latent_median", "kl_latent_max")
    ]
    np.testing.assert_allclose(found, np.sort(kl), rtol=1e-4)


def test_latent_moments_are_recorded_within_and_after_epochs(tmp_path):
    x, model = (
        np.random.default_rng(0).normal(size=(60, 6)).astype("float32"),
        StrangersVAE(log_var=-1.0),
    )
    model.compile(keras.optimizers.SGD(0.0))
    watch = callbacks.LatentMoments(
        x, every_steps=2, path=str(tmp_path / "moments.npz")
    )
    history = model.fit(
        x, batch_size=12, epochs=2, verbose=0, callbacks=[watch]
    ).history
    kernel, bias = model.encoder.get_weights()[:2]
    mean = x @ kernel + bias
    with np.load(tmp_path / "moments.npz") as records:
        assert records["step"].tolist() == [2, 4, 5, 7, 9, 10]
        np.testing.assert_allclose(
            records["mean"], np.tile(mean.mean(0), (6, 1)), rtol=1e-3, atol=1e-5
        )
        np.testing.assert_allclose(
            records["variance_of_mean"], np.tile(mean.var(0), (6, 1)), rtol=1e-4
        )
        np.testing.assert_allclose(
            records["mean_variance"], np.full((6, 3), np.exp(-1.0)), rtol=1e-5
        )
    assert history["posterior_variance_max"] == pytest.approx(
        [np.exp(-1.0)] * 2, rel=1e-5
    )
    model.fit(x, batch_size=12, epochs=1, verbose=0, callbacks=[watch])
    assert watch.records["step"].tolist() == [2, 4, 5, 7, 9, 10, 12, 14, 15]
    model.compile(keras.optimizers.SGD(0.0))  # another training
    model.fit(x, batch_size=12, epochs=1, verbose=0, callbacks=[watch])
    assert watch.records["step"].tolist() == [2, 4, 5]


def test_collapse_alarm_names_the_latents(caplog):
    """Latent 1 becomes inactive in epoch 2, latent 2 blows up in epoch 3, latent 0 was
    never active: each is reported once.
    """
    variances = [[1.0, 0.2, 0.5], [1.0, 0.9, 0.5], [1.0, 0.9, 9.0], [1.0, 0.9, 9.0]]
    x, model, epoch = np.zeros((40, 6), "float32"), StrangersVAE(), iter(range(4))
    model.compile(keras.optimizers.SGD(0.0))

    def posterior(model, x):
        # three examples when training begins
        variance = variances[0] if len(x) == 3 else variances[next(epoch)]
        return np.zeros((len(x), 3)), np.log([variance] * len(x))

    watch = callbacks.CollapseAlarm(x, posterior)
    with caplog.at_level("WARNING", logger="callbacks.collapse_alarm"):
        history = model.fit(x, epochs=4, verbose=0, callbacks=[watch]).history
    found = warnings_of(caplog)
    assert (
        len(found) == 2
        and found[0].startswith("latents 1 collapsed: a smaller KL weight")
        and found[1].startswith("latents 2 exploded: ")
    )
    assert history["latents_died"] == [0, 1, 1, 1] and history["latents_blown_up"] == [
        0,
        0,
        1,
        1,
    ]


class SetState(keras.callbacks.Callback):
    """What a checkpoint does: gives a fresh callback the state, as read from a file,
    that another one had.
    """

    def __init__(self, callback, state):
        super().__init__()
        self.callback, self.state = callback, json.loads(json.dumps(state))

    def on_train_begin(self, logs=None):
        self.callback.set_state(self.state)


def test_callbacks_continue_in_another_process_where_they_were(caplog):
    """A state that went through JSON: nothing is reported twice, no record is lost."""
    x, model = (
        np.random.default_rng(0).normal(size=(60, 6)).astype("float32"),
        StrangersVAE(log_var=-1.0),
    )
    model.compile(keras.optimizers.SGD(0.0))
    variances = iter([[1.0, 0.2, 0.5], [1.0, 0.9, 9.0], [1.0, 0.9, 9.0]])

    def posterior(model, x):
        if len(x) == 3:  # when training begins
            return np.zeros((3, 3)), np.zeros((3, 3))
        return np.zeros((len(x), 3)), np.log([next(variances)] * len(x))

    def make():
        return [
            callbacks.ComputedGamma(floor=5.0),
            callbacks.CollapseAlarm(x, posterior),
            callbacks.LatentMoments(x),
        ]

    with caplog.at_level("WARNING"):
        first, second = make(), make()
        model.fit(x, epochs=2, verbose=0, callbacks=first)
        assert [len(text.split("latents")) for text in warnings_of(caplog)].count(
            1
        ) == 1 and len(warnings_of(caplog)) == 3
        caplog.clear()
        states = [callback.get_state() for callback in first]
        model.fit(
            x, epochs=1, verbose=0, callbacks=[*second, *map(SetState, second, states)]
        )
    assert not warnings_of(caplog)
    assert second[2].records["step"].tolist() == [2, 4, 6]


@pytest.mark.skipif(
    keras.backend.backend() == "torch",
    reason="Keras has no steps_per_execution on PyTorch",
)
def test_latent_moments_see_several_steps_at_once():
    x = np.random.default_rng(0).normal(size=(60, 6)).astype("float32")
    model = StrangersVAE()
    model.compile(keras.optimizers.SGD(0.0), steps_per_execution=4)
    watch = callbacks.LatentMoments(x, every_steps=3)
    model.fit(x, batch_size=10, epochs=1, verbose=0, callbacks=[watch])
    assert watch.records["step"].tolist() == [
        4,
        6,
    ]  # 3 is in the execution that ends with 4; the epoch ends with 6
