"""What an encoder may return: read rightly, or refused when training begins."""

import collections

import keras
import numpy as np
import pytest
from keras import layers, ops
from small_models import warnings_of

import callbacks
from callbacks import posterior as posteriors

BACKEND = keras.backend.backend()


def data(rows=300):
    return np.random.default_rng(0).normal(size=(rows, 6)).astype("float32")


class Draw(layers.Layer):
    """z of N(mean, sigma^2), where sigma is a function of the second input."""

    def __init__(self, sigma, seed=None, **options):
        super().__init__(**options)
        self.sigma = sigma
        self.seed = seed or keras.random.SeedGenerator(0)

    def call(self, inputs):
        mean, scale = inputs
        noise = keras.random.normal(ops.shape(mean), seed=self.seed)
        return mean + self.sigma(scale) * noise


def heads(name="log_var", activation=None):
    inputs = keras.Input((6,))
    scale = layers.Dense(
        3, activation, name=name, bias_initializer=keras.initializers.Constant(-1.0)
    )(inputs)
    return inputs, layers.Dense(3, name="mean")(inputs), scale


def logged(model, posterior=None, x=None):
    """What VarianceLaw adds to the logs, without a fit."""
    watch = callbacks.VarianceLaw(data() if x is None else x, posterior)
    watch.set_model(model)
    watch.on_train_begin()
    watch.on_epoch_begin(0)
    logs = {}
    watch.on_epoch_end(0, logs)
    return logs


def law(encoder, to_variance=np.exp):
    """The variance law by NumPy, from the outputs named mean and the second one."""
    x = data()
    mean, scale = (ops.convert_to_numpy(part) for part in encoder(x)[:2])
    return (mean.var(0) + to_variance(scale).mean(0)).mean()


def stranger(encoder):
    return type("Stranger", (), {"encoder": staticmethod(encoder)})()


@pytest.mark.parametrize("seed", [None, 1337])
def test_an_encoder_whose_first_output_is_drawn_is_refused(seed):
    """A fixed seed gives the same noise in every call, by the place in the batch."""
    inputs, mean, log_var = heads()
    z = Draw(lambda v: ops.exp(v / 2), seed)([mean, log_var])
    model = stranger(keras.Model(inputs, [z, mean, log_var]))
    with pytest.raises(ValueError, match=r"without noise.*model.encoder\(x\)\[1:3\]"):
        logged(model)
    ordered = keras.Model(inputs, [mean, log_var, z])
    found = logged(model, lambda model, x: model.encoder(x)[1:3])
    assert found["variance_law"] == pytest.approx(law(ordered), rel=1e-5)
    assert found == logged(stranger(ordered))


def test_a_dict_is_read_by_its_names():
    inputs, mean, log_var = heads()
    pair = keras.Model(inputs, [mean, log_var])
    for mean_name in ("mean", "z_mean", "mu"):
        for name, convert in (
            ("z_log_var", lambda v: v),
            ("logvar", lambda v: v),
            ("log_std", lambda v: v / 2),
            ("sigma", lambda v: ops.exp(v / 2)),
            ("variance", ops.exp),
        ):

            def encoder(x, mean_name=mean_name, name=name, convert=convert):
                mean, log_var = pair(x)
                return {"z": mean, mean_name: mean, name: convert(log_var)}

            found = logged(stranger(encoder))["variance_law"]
            assert found == pytest.approx(law(pair), rel=1e-5), (mean_name, name)
    with pytest.raises(ValueError, match="a dict of 'a', 'b', expected 'mean' and"):
        logged(stranger(lambda x: dict(zip("ab", pair(x), strict=True))))


def distributions():
    """Diagonal Gaussians of the frameworks that this backend has."""
    if BACKEND == "torch":
        import torch.distributions as d

        yield lambda mean, std: d.Normal(mean, std)
        yield lambda mean, std: d.Independent(d.Normal(mean, std), 1)
    elif BACKEND == "tensorflow":
        import tensorflow_probability as tfp

        d = tfp.distributions
        yield lambda mean, std: d.Normal(mean, std)
        yield lambda mean, std: d.MultivariateNormalDiag(mean, std)
        yield lambda mean, std: d.Independent(d.Normal(mean, std), 1)


@pytest.mark.skipif(BACKEND == "jax", reason="it has no distributions")
def test_a_diagonal_gaussian_is_read():
    inputs, mean, log_var = heads()
    pair = keras.Model(inputs, [mean, log_var])
    for make in distributions():

        def encoder(x, make=make):
            mean, log_var = pair(x)
            return make(mean, ops.exp(log_var / 2))

        found = logged(stranger(encoder))["variance_law"]
        assert found == pytest.approx(law(pair), rel=1e-5)


def test_other_distributions_are_refused():
    class Laplace:
        mean = variance = np.zeros((2, 3))

        def log_prob(self, z):
            return z

    with pytest.raises(ValueError, match="gave a Laplace, expected a Gaussian with a"):
        logged(stranger(lambda x: Laplace()))


def test_one_output_of_both_halves_is_refused_with_the_line_that_splits_it():
    inputs, mean, log_var = heads()
    both = keras.Model(inputs, layers.Concatenate()([mean, log_var]))
    with pytest.raises(ValueError, match=r"ops.split\(model.encoder\(x\), 2, axis=-1"):
        logged(stranger(both))
    found = logged(
        stranger(both), lambda model, x: ops.split(model.encoder(x), 2, axis=-1)
    )
    pair = keras.Model(inputs, [mean, log_var])
    assert found["variance_law"] == pytest.approx(law(pair), rel=1e-5)


@pytest.mark.parametrize(
    "scale, activation, sigma, to_variance, remedy",
    [
        (
            "log standard deviation",
            None,
            ops.exp,
            lambda v: np.exp(2 * v),
            "2 * log_std",
        ),
        ("standard deviation", "softplus", lambda v: v, np.square, "2 * keras.ops.log"),
        ("variance", "softplus", ops.sqrt, lambda v: v, "keras.ops.log(variance)"),
    ],
)
def test_draws_show_what_the_second_output_is(
    scale, activation, sigma, to_variance, remedy
):
    inputs, mean, value = heads("second", activation)
    model = stranger(keras.Model(inputs, [mean, value, Draw(sigma)([mean, value])]))
    with pytest.raises(ValueError) as caught:
        logged(model)
    assert f"looks like the {scale}, expected" in str(caught.value)
    assert remedy in str(caught.value)
    convert = posteriors.SCALES[scale]

    def posterior(model, x):
        mean, value, _ = model.encoder(x)
        return mean, convert(ops.convert_to_numpy(value))

    found = logged(model, posterior)["variance_law"]
    assert found == pytest.approx(law(model.encoder, to_variance), rel=1e-5)


@pytest.mark.parametrize(
    "scale, sigma, bias",
    [
        ("standard deviation", lambda v: v, 1.0),
        ("variance", ops.sqrt, 1.0),
        ("log standard deviation", ops.exp, 0.0),
        ("log variance", lambda v: ops.exp(v / 2), 0.0),
    ],
)
def test_draws_of_scales_near_one(scale, sigma, bias):
    """As before training: then, or once the scale has moved away from 1."""
    inputs = keras.Input((6,))
    small = keras.initializers.RandomNormal(0.0, 1e-4, seed=0)
    value = layers.Dense(3, None, kernel_initializer=small, bias_initializer="ones")
    if bias == 0.0:
        value.bias_initializer = keras.initializers.Zeros()
    second, mean = value(inputs), layers.Dense(3)(inputs)
    z = Draw(sigma)([mean, second])
    model = stranger(keras.Model(inputs, [mean, second, z]))
    watch = callbacks.VarianceLaw(data(2000))
    watch.set_model(model)
    if bias == 1.0:
        with pytest.raises(ValueError, match=r"looks like the (standard|variance)"):
            watch.on_train_begin()
        return
    watch.on_train_begin()
    value.bias.assign([-1.0, 0.5, -2.0])
    watch.on_epoch_begin(0)
    if scale == "log variance":
        watch.on_epoch_end(0, {})
    else:
        with pytest.raises(ValueError, match=f"looks like the {scale}, expected"):
            watch.on_epoch_end(0, {})


@pytest.mark.parametrize("factor", [1.0, 0.1])
def test_draws_of_a_log_variance_pass_whatever_the_noise(factor):
    inputs, mean, log_var = heads("z_log_sigma")  # a name that says something else
    z = Draw(lambda v: factor * ops.exp(v / 2))([mean, log_var])
    model = stranger(keras.Model(inputs, [mean, log_var, z]))
    assert logged(model)["variance_law"] == pytest.approx(law(model.encoder), rel=1e-5)


@pytest.mark.parametrize(
    "name, scale",
    [
        ("z_log_sigma", "log standard deviation"),
        ("log_std", "log standard deviation"),
        ("stddev", "standard deviation"),
        ("variance", "variance"),
        ("z_log_var", None),
        ("dense_7", None),
    ],
)
def test_without_draws_the_outputs_name_decides(name, scale):
    activation = "softplus" if scale in posteriors.POSITIVE else None
    inputs, mean, value = heads(name, activation)
    model = stranger(keras.Model(inputs, [mean, value]))
    if scale:
        with pytest.raises(ValueError, match=f"looks like the {scale}, expected"):
            logged(model)
    else:
        assert logged(model)["variance_law"] == pytest.approx(
            law(model.encoder), rel=1e-5
        )


@pytest.mark.parametrize("name", ["z_sigma", "variance"])
def test_a_standard_deviation_below_zero_is_none(name):
    inputs, mean, log_var = heads(name)
    pair = keras.Model(inputs, [mean, log_var])
    for encoder in (pair, lambda x: dict(zip(("mean", name), pair(x), strict=True))):
        with pytest.raises(ValueError, match=f"'{name}' has negative values, expected"):
            logged(stranger(encoder))
    found = logged(stranger(pair), lambda model, x: model.encoder(x)[:2])
    assert found["variance_law"] == pytest.approx(law(pair), rel=1e-5)
    with pytest.raises(ValueError, match="log variance of NaN beside finite means"):
        logged(stranger(pair), lambda model, x: (pair(x)[0], 2 * ops.log(pair(x)[1])))


def test_an_encoder_that_draws_in_training_alone_is_refused():
    """As z it gives the mean then, and the mean stands where log_var is expected."""
    inputs, mean, log_var = heads()
    model = stranger(keras.Model(inputs, [layers.Identity()(mean), mean, log_var]))
    with pytest.raises(ValueError, match=r"same numbers twice.*encoder\(x\)\[1:3\]"):
        logged(model)


def test_a_namedtuple_is_read_by_its_names():
    inputs, mean, log_var = heads()
    pair = keras.Model(inputs, [mean, log_var])
    swapped = collections.namedtuple("Swapped", "log_var mean")
    scaled = collections.namedtuple("Scaled", "mean std z")
    other = collections.namedtuple("Other", "first second")
    for make in (
        lambda mean, log_var: swapped(log_var, mean),
        lambda mean, log_var: scaled(mean, ops.exp(log_var / 2), mean),
        other,
    ):
        found = logged(stranger(lambda x, make=make: make(*pair(x))))
        assert found["variance_law"] == pytest.approx(law(pair), rel=1e-5)


@pytest.mark.parametrize("bias", [-1.0, 0.0, 1.0])
def test_draws_of_a_head_that_is_changed_first_are_reported(bias, caplog):
    inputs = keras.Input((6,))
    raw = layers.Dense(3, bias_initializer=keras.initializers.Constant(bias))(inputs)
    mean = layers.Dense(3)(inputs)
    z = Draw(ops.softplus)([mean, raw])
    model = stranger(keras.Model(inputs, [mean, raw, z]))
    try:
        logged(model, x=data(2000))
        text = caplog.text
    except ValueError as error:
        text = str(error)
    assert "times the variance that it states as log" in text
    assert "if the encoder changes it first, as by softplus" in text


def test_a_log_variance_of_one_number_is_refused_by_its_shape():
    inputs, mean, _ = heads()
    encoder = keras.Model(inputs, mean)
    with pytest.raises(ValueError, match=r"shapes \(3, 3\) and \(\), expected mean"):
        logged(stranger(encoder), lambda model, x: (model.encoder(x), ops.zeros(())))


def test_a_failing_posterior_is_named():
    """A head that takes features, not data."""
    model = stranger(None)
    model.posterior = layers.Dense(3)
    model.posterior.build((2, 4))
    with pytest.raises(ValueError, match=r"by Stranger.posterior, failed"):
        logged(model)


@pytest.mark.parametrize("activation", ["softplus", "exponential"])
@pytest.mark.parametrize("latents", [3, 20])
def test_without_draws_or_names_a_positive_output_is_no_log_variance(
    activation, latents
):
    """Refused at once, or, as few log variances may be positive by chance, at the first
    epoch's end.
    """
    inputs = keras.Input((6,))
    mean = layers.Dense(latents)(inputs)
    model = stranger(
        keras.Model(inputs, [mean, layers.Dense(latents, activation)(inputs)])
    )
    watch = callbacks.VarianceLaw(data())
    watch.set_model(model)
    words = r"looks like the standard deviation or variance, expected the log variance"
    if latents == 20:
        with pytest.raises(ValueError, match=words):
            watch.on_train_begin()
        return
    watch.on_train_begin()
    watch.on_epoch_begin(0)
    with pytest.raises(ValueError, match=words + r".*2 \* keras\.ops\.log\(std\), or"):
        watch.on_epoch_end(0, {})


def test_few_log_variances_may_begin_above_zero():
    inputs = keras.Input((6,))
    bias = keras.initializers.Constant(5.0)
    log_var = layers.Dense(2, kernel_initializer="zeros", bias_initializer=bias)
    model = stranger(keras.Model(inputs, [layers.Dense(2)(inputs), log_var(inputs)]))
    watch = callbacks.VarianceLaw(data())
    watch.set_model(model)
    watch.on_train_begin()
    log_var.bias.assign([-1.0, 0.5])
    watch.on_epoch_begin(0)
    logs = {}
    watch.on_epoch_end(0, logs)
    assert logs["variance_law"] == pytest.approx(law(model.encoder), rel=1e-5)


@pytest.mark.parametrize("draws", [False, True])
def test_names_that_say_the_mean_is_second_are_refused(draws):
    inputs, mean, log_var = heads("z_log_var")
    outputs = [log_var, mean]
    if draws:
        outputs.append(Draw(lambda value: ops.exp(value / 2))([mean, log_var]))
    with pytest.raises(ValueError, match="'z_log_var' and 'mean', expected the mean"):
        logged(stranger(keras.Model(inputs, outputs)))


@pytest.mark.parametrize("freq", [1, 2])
def test_watching_changes_no_number_of_a_training_that_draws(freq, tmp_path):
    """The encoder has a layer that draws, as on keras.io; so has the decoder here."""

    class VAE(keras.Model):
        def __init__(self):
            super().__init__()
            inputs, mean, log_var = heads()
            seeds = [keras.random.SeedGenerator(seed) for seed in (1, 2)]
            z = Draw(lambda value: ops.exp(value / 2), seeds[0])([mean, log_var])
            self.encoder = keras.Model(inputs, [mean, log_var, z])
            code = keras.Input((3,))
            decoded = layers.Reshape((2, 3, 1))(layers.Dense(6)(code))
            noisy = Draw(lambda value: 0.1 * value, seeds[1])
            noise = layers.Rescaling(0.0, offset=1.0)(decoded)
            self.decoder = keras.Model(code, noisy([decoded, noise]))

        def call(self, x):
            mean, log_var, z = self.encoder(x)
            self.add_loss(ops.mean(mean**2 + ops.exp(log_var) - log_var - 1))
            return layers.Reshape((6,))(self.decoder(z))

    found = []
    for watch in (
        [],
        [
            callbacks.VarianceLaw(data(40), freq=freq),
            callbacks.ImageGrid(
                tmp_path,
                data(40).reshape(40, 2, 3, 1),
                posterior=lambda model, x: model.encoder(ops.reshape(x, (-1, 6)))[:2],
                rows=2,
                freq=freq,
                value_range=(-4, 4),
            ),
            callbacks.NaNDiagnosis(data=data(40)),
        ],
    ):
        keras.utils.set_random_seed(0)
        model = VAE()
        model.compile("adam", "mse")
        fit = {"epochs": 3, "batch_size": 10, "shuffle": False, "verbose": 0}
        history = model.fit(data(40), data(40), callbacks=watch, **fit).history
        found.append(history["loss"])
    assert found[0] == found[1]


def test_latents_in_maps_are_latents():
    """Of a convolutional posterior, (batch, height, width, channels)."""
    inputs, mean, log_var = heads()
    flat = keras.Model(inputs, [mean, log_var])
    shape = layers.Reshape((3, 1, 1))
    maps = keras.Model(inputs, [shape(mean), shape(log_var)])
    assert logged(stranger(maps)) == logged(stranger(flat))


def test_three_inputs_are_three_inputs():
    x = data()
    parts = [x[:, :2], x[:, 2:4], x[:, 4:]]
    inputs, mean, log_var = heads()
    pair = keras.Model(inputs, [mean, log_var])
    model = stranger(lambda parts: pair(np.concatenate(parts, axis=1)))
    found = logged(model, x=parts)["variance_law"]
    assert found == pytest.approx(law(pair), rel=1e-5)


def test_data_of_other_units_are_warned_about(caplog):
    inputs, mean, log_var = heads()
    model = stranger(keras.Model(inputs, [mean, log_var]))
    logged(model)
    assert not caplog.text
    logged(model, x=100 * data())
    assert caplog.text.count("in other units than those that the model is") == 1


def test_data_that_were_not_scaled_are_warned_about(caplog):
    """Bytes, for an encoder that is trained on [0, 1]: the law is not far from 1."""
    inputs = keras.Input((6,))
    mean = layers.Dense(3, kernel_initializer=keras.initializers.Constant(0.0145))
    log_var = layers.Dense(
        3, kernel_initializer="zeros", bias_initializer=keras.initializers.Constant(-2)
    )
    model = stranger(keras.Model(inputs, [mean(inputs), log_var(inputs)]))
    x = np.random.default_rng(0).integers(0, 256, (300, 6)).astype("uint8")
    assert logged(model, x=x / np.float32(255))["variance_law"] < 1
    assert not caplog.text
    assert 4 < logged(model, x=x)["variance_law"] < 10
    assert caplog.text.count("(from 0 to 255) are in other units") == 1


def test_an_encoder_that_fails_says_on_what():
    inputs, mean, log_var = heads()
    model = stranger(keras.Model(inputs, [mean, log_var]))
    with pytest.raises(
        ValueError,
        match=r"examples float32 \(3, 5\), by .*\.encoder, failed: .*posterior=",
    ):
        logged(model, x=data()[:, :5])

    class Failing(layers.Layer):
        def call(self, x):
            raise TypeError("a float16 and a float32")

    with pytest.raises(ValueError, match=r"failed: a float16 and a float32\. If"):
        logged(stranger(Failing()))


@pytest.mark.skipif(BACKEND != "torch", reason="other backends keep no activations")
def test_the_posterior_is_computed_without_gradients():
    import torch

    seen = []

    def posterior(model, x):
        seen.append((torch.is_grad_enabled(), len(x)))
        return model.encoder(x)

    inputs, mean, log_var = heads()
    logged(stranger(keras.Model(inputs, [mean, log_var])), posterior, data(600))
    assert not any(enabled for enabled, _ in seen)
    assert [count for _, count in seen[-3:]] == [250, 250, 100]
    assert torch.is_grad_enabled()


LEVELS = ("m1", "l1", "m2", "l2")


def levels(order, seed, named=False):
    """An encoder of two levels of latents, each with its mean and log variance."""
    keras.utils.set_random_seed(seed)
    inputs = keras.Input((6,))
    hidden = layers.Dense(16, "tanh")(inputs)
    names = {"m1": "mean", "l1": "log_var"} if named else {}
    outputs = {key: layers.Dense(4, name=names.get(key))(hidden) for key in LEVELS}
    return keras.Model(inputs, [outputs[key] for key in order])


@pytest.mark.parametrize("seed", range(5))
def test_the_mean_of_another_level_is_no_draw_of_the_first(seed, caplog):
    x = data(2000)
    model = stranger(levels(LEVELS, seed))
    mean, log_var = (ops.convert_to_numpy(part) for part in model.encoder(x)[:2])
    expected = (mean.var(0) + np.exp(log_var).mean(0)).mean()
    assert logged(model, x=x)["variance_law"] == pytest.approx(expected, rel=1e-4)
    (found,) = warnings_of(caplog)
    assert "has 4 outputs, and the third is no draw of the posterior" in found
    caplog.clear()
    logged(stranger(levels(LEVELS, seed, named=True)), x=x)
    assert not warnings_of(caplog)


def test_draws_do_not_depend_on_the_mean():
    generator = np.random.default_rng(0)
    for rows in (3, 50, 2000):
        mean, noise = generator.normal(size=(2, rows, 64))
        assert posteriors.are_draws(mean, mean + noise)
        assert posteriors.are_draws(mean, mean + np.exp(mean) * noise)
        assert posteriors.are_draws(mean, mean)
    assert not posteriors.are_draws(mean, noise)  # of 2,000 rows
    assert not posteriors.are_draws(mean, 0.5 * mean + 0.1 * noise)


@pytest.mark.parametrize(
    ("posterior", "shape"),
    [
        (lambda pair: [ops.mean(part, 0, keepdims=True) for part in pair], "(1, 3)"),
        (lambda pair: [pair, pair], "(2, 3, 3)"),
        (lambda pair: [ops.stack([part, part]) for part in pair], "(2, 3, 3)"),
        (lambda pair: [part[1:] for part in pair], "(2, 3)"),
    ],
)
def test_a_posterior_of_other_rows_is_refused_by_its_shape(posterior, shape):
    inputs, mean, log_var = heads()
    pair = keras.Model(inputs, [mean, log_var])
    with pytest.raises(ValueError) as caught:
        logged(stranger(pair), lambda model, x: posterior(model.encoder(x)))
    assert f"of 3 examples gave shapes {shape}" in str(caught.value)
    assert "each (3, k)" in str(caught.value)


def test_a_network_that_is_the_posterior_is_checked_as_an_encoder_is():
    inputs, mean, std = heads("std", "softplus")
    model = type("Stranger", (), {"posterior": keras.Model(inputs, [mean, std])})()
    with pytest.raises(ValueError, match=r"posterior's second output looks like the s"):
        logged(model)
    inputs, mean, log_var = heads()
    pair = keras.Model(inputs, [mean, log_var])
    model = type("Stranger", (), {"posterior": pair})()
    assert logged(model)["variance_law"] == pytest.approx(law(pair), rel=1e-5)
