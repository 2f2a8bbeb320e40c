"""Every observation model against TensorFlow Probability, SciPy and closed forms;
trained, saved, sampled.
"""

import math
import zipfile

import keras
import numpy as np
import pytest
from keras import layers, ops
from scipy import special, stats
from small_models import linear_vae

import twostage
from twostage.models.compilation import jit_compile

pytestmark = pytest.mark.usefixtures("without_saved_model")

TENSORFLOW = keras.backend.backend() == "tensorflow"
MODELS = {
    "gaussian": lambda: twostage.GaussianLikelihood(0.2),
    "diagonal": twostage.DiagonalGaussianLikelihood,
    "image": twostage.OptimalGaussianLikelihood,
    "batch": lambda: twostage.OptimalGaussianLikelihood("batch"),
    "bernoulli": twostage.BernoulliLikelihood,
    "logistic": twostage.DiscretizedLogisticLikelihood,
}


def case(likelihood, shape=(5, 4, 4, 3), seed=0):
    """Levels x of 8-bit images, and what a decoder might give for them."""
    generator = np.random.default_rng(seed)
    x = (generator.integers(0, 256, shape) / 255).astype("float32")
    x.flat[:4] = (0, 1, 0, 1)
    blocks = [
        (
            generator.random(shape)
            if head == "sigmoid"
            else generator.normal(-1.5, 1, shape)
        )
        for head in likelihood.heads
    ]
    return (
        x,
        np.concatenate(blocks, -1).astype("float32"),
        [block.astype("float64") for block in blocks],
    )


def nats(likelihood, x, parameters, **options):
    tensors = (ops.convert_to_tensor(each, "float32") for each in (x, parameters))
    return ops.convert_to_numpy(likelihood(*tensors, **options)).astype("float64")


@pytest.mark.skipif(not TENSORFLOW, reason="TensorFlow Probability is TensorFlow's")
@pytest.mark.parametrize("name", ["gaussian", "diagonal", "logistic", "bernoulli"])
def test_nats_are_tensorflow_probabilitys(name):
    likelihood = MODELS[name]()
    x, parameters, _ = case(likelihood)
    levels = {"logistic": np.rint(x * 255), "bernoulli": np.rint(x)}.get(
        name, x
    ).astype("float32")
    found = nats(likelihood, np.rint(x) if name == "bernoulli" else x, parameters)
    distribution = likelihood.as_distribution(ops.convert_to_tensor(parameters))
    assert distribution.event_shape == (4, 4, 3)
    np.testing.assert_allclose(found, -distribution.log_prob(levels).numpy(), rtol=2e-4)


def test_the_diagonal_gaussian_is_scipys():
    likelihood = twostage.DiagonalGaussianLikelihood(floor=0.05)
    x, parameters, (mean, s) = case(likelihood)
    sigma = np.sqrt(0.05**2 + np.exp(2 * s))
    np.testing.assert_allclose(
        nats(likelihood, x, parameters),
        -stats.norm(mean, sigma).logpdf(x).sum((1, 2, 3)),
        rtol=1e-4,
    )
    free = nats(twostage.DiagonalGaussianLikelihood(floor=0), x, parameters)
    np.testing.assert_allclose(
        free, -stats.norm(mean, np.exp(s)).logpdf(x).sum((1, 2, 3)), rtol=1e-4
    )


def test_the_diagonal_gaussians_bound_is_reached_not_passed():
    """-log p >= (D/2) log(2 pi floor^2), with equality for a perfect mean and s to
    minus infinity.
    """
    x = np.full((1, 10), 0.3, "float32")
    for s in (-1.0, -5.0, -30.0):
        parameters = np.concatenate([x, np.full((1, 10), s, "float32")], -1)
        bound = 10 / 2 * math.log(2 * math.pi * 0.01**2)
        found = nats(twostage.DiagonalGaussianLikelihood(floor=0.01), x, parameters)[0]
        assert found >= bound - 1e-3
        free = nats(twostage.DiagonalGaussianLikelihood(floor=0), x, parameters)[0]
        assert free == pytest.approx(
            10 * (s + 0.5 * math.log(2 * math.pi)), rel=1e-5
        )  # without bound
    assert found == pytest.approx(bound, rel=1e-5)


def test_the_variance_per_image_is_at_its_optimum():
    x, parameters, (mean,) = case(twostage.OptimalGaussianLikelihood(), seed=1)
    m = ((x - mean) ** 2).mean((1, 2, 3))
    expected = 48 / 2 * (np.log(2 * np.pi * m + 1e-5) + 1)
    np.testing.assert_allclose(
        nats(twostage.OptimalGaussianLikelihood(), x, parameters), expected, rtol=1e-5
    )
    for i in range(
        5
    ):  # the best fixed gamma of each image gives the same, up to the floor
        fixed = nats(
            twostage.GaussianLikelihood(float(m[i] ** 0.5)),
            x[i : i + 1],
            parameters[i : i + 1],
        )[0]
        assert fixed == pytest.approx(expected[i], abs=1e-3)
    perfect = nats(twostage.OptimalGaussianLikelihood(), x, x)
    np.testing.assert_allclose(perfect, 48 / 2 * (math.log(1e-5) + 1), rtol=1e-5)


def test_the_variance_per_batch_has_a_soft_floor():
    """log sigma <- -6 + softplus(log sigma + 6), as the authors' code: -2.748 gives
    -2.710.
    """
    likelihood = twostage.OptimalGaussianLikelihood("batch")
    mean = np.zeros((3, 100), "float32")
    x = np.full((3, 100), math.exp(-2.748), "float32")
    log_sigma = -6 + math.log1p(math.exp(-2.748 + 6))
    assert log_sigma == pytest.approx(-2.710, abs=1e-3)
    expected = 100 * (
        0.5 * math.exp(2 * (-2.748 - log_sigma))
        + log_sigma
        + 0.5 * math.log(2 * math.pi)
    )
    found = nats(likelihood, x, mean, training=True)
    np.testing.assert_allclose(found, expected, rtol=1e-5)
    for near in (mean, mean + 1e-6):
        assert np.isfinite(nats(likelihood, near, mean, training=True)).all()


def test_outside_training_the_batch_does_not_matter():
    """Its variance is the running mean of the training batches."""
    likelihood = twostage.OptimalGaussianLikelihood("batch")
    generator = np.random.default_rng(0)
    mean, x = np.zeros((20, 30), "float32"), generator.normal(size=(20, 30))
    x = x.astype("float32")
    nats(likelihood, 0.5 * x, mean, training=True)
    variance = np.square(0.5 * x).mean()
    assert float(ops.convert_to_numpy(likelihood.gamma)) ** 2 == pytest.approx(variance)
    sigma = math.exp(-6 + math.log1p(variance**0.5 * math.exp(6)))  # the soft floor
    expected = -stats.norm(0, sigma).logpdf(x).sum(1)
    np.testing.assert_allclose(nats(likelihood, x, mean), expected, rtol=1e-5)
    sample_std = float(ops.convert_to_numpy(likelihood.standard_deviation(mean)))
    assert sample_std == pytest.approx(sigma, rel=1e-5)
    for rows in (slice(1), slice(7)):
        np.testing.assert_array_equal(
            nats(likelihood, x[rows], mean[rows]), nats(likelihood, x, mean)[rows]
        )


def test_a_batch_without_weight_is_not_remembered():
    likelihood = twostage.OptimalGaussianLikelihood("batch")
    x, mean = np.ones((4, 5), "float32"), np.zeros((4, 5), "float32")
    for weights in (np.ones(4), np.zeros(4), np.ones((4, 1))):
        options = {"sample_weight": weights.astype("float32"), "training": True}
        found = nats(likelihood, x, mean, **options)
        assert np.isfinite(found).all()
        assert float(ops.convert_to_numpy(likelihood.gamma)) == pytest.approx(1)


def test_a_scale_beyond_float32_is_no_infinity():
    likelihood = twostage.DiscretizedLogisticLikelihood()
    found = nats(likelihood, np.full((1, 1), 0.5), np.array([[0.5, 100.0]]))
    # a level gets at most step / (4 scale)
    assert found[0] == pytest.approx(70 + math.log(4 * 255), rel=1e-3)


def test_levels_of_the_discretized_logistic_share_all_the_mass():
    likelihood = twostage.DiscretizedLogisticLikelihood()
    for location, log_scale in ((0.0, -4.0), (0.37, -6.0), (0.9, -1.0), (1.0, -3.0)):
        x = (np.arange(256) / 255).astype("float32")[:, None]
        parameters = np.tile(np.array([[location, log_scale]], "float32"), (256, 1))
        found = nats(likelihood, x, parameters)
        assert np.exp(-found).sum() == pytest.approx(1, abs=1e-4)
        scale = 1e-4 + math.exp(log_scale)
        middle = x[1:-1, 0].astype("float64")
        mass = special.expit((middle + 1 / 510 - location) / scale) - special.expit(
            (middle - 1 / 510 - location) / scale
        )
        likely = mass > 1e-10
        np.testing.assert_allclose(
            found[1:-1][likely], -np.log(mass[likely]), rtol=1e-3
        )
    far = nats(
        likelihood, np.array([[0.5]], "float32"), np.array([[0.0, -8.0]], "float32")
    )
    assert (
        np.isfinite(far).all() and far > 500
    )  # in the tail, where a difference of two sigmoids is 0


def test_the_bernoulli_is_scipys_and_takes_gray_levels():
    likelihood = twostage.BernoulliLikelihood()
    x, parameters, (logits,) = case(likelihood)
    p = special.expit(logits)
    expected = -(special.xlogy(x, p) + special.xlog1py(1 - x, -p)).sum((1, 2, 3))
    np.testing.assert_allclose(nats(likelihood, x, parameters), expected, rtol=1e-5)
    np.testing.assert_allclose(
        ops.convert_to_numpy(likelihood.mean(parameters)), p, atol=1e-6
    )


@pytest.mark.parametrize("name", MODELS)
def test_samples_have_the_moments_of_the_model(name):
    likelihood = MODELS[name]()
    blocks = {"diagonal": [0.4, -1.0], "bernoulli": [0.8], "logistic": [0.5, -3.5]}.get(
        name, [0.4]
    )
    parameters = np.tile(np.array([blocks], "float32"), (40_000, 1))
    draws = ops.convert_to_numpy(likelihood.sample(parameters, seed=3)).astype(
        "float64"
    )
    sigma = {
        "gaussian": 0.2,
        "diagonal": math.hypot(math.exp(-1), 1 / (255 * math.sqrt(12))),
        "image": 1.0,
        "batch": 1.0,
        "bernoulli": math.sqrt(special.expit(0.8) * special.expit(-0.8)),
        "logistic": (1e-4 + math.exp(-3.5)) * math.pi / math.sqrt(3),
    }[name]
    assert draws.mean() == pytest.approx(
        float(ops.convert_to_numpy(likelihood.mean(parameters))[0, 0]),
        abs=5 * sigma / 200,
    )
    assert draws.std() == pytest.approx(sigma, rel=0.02)
    assert name != "logistic" or np.allclose(
        draws * 255, np.rint(draws * 255), atol=1e-3
    )


@pytest.mark.parametrize("precision", ["float32", "mixed_bfloat16"])
@pytest.mark.parametrize("name", MODELS)
def test_each_trains_is_saved_and_comes_back(name, precision, tmp_path):
    keras.config.set_dtype_policy(precision)
    likelihood = MODELS[name]()
    images, z = keras.Input((8, 8, 1)), keras.Input((4,))
    x = layers.Dense(16, activation="relu")(layers.Flatten()(images))
    heads = [layers.Dense(4, dtype="float32")(x), layers.Dense(4, dtype="float32")(x)]
    y = layers.Reshape((8, 8, len(likelihood.heads)))(
        layers.Dense(64 * len(likelihood.heads), dtype="float32")(
            layers.Dense(16, activation="relu")(z)
        )
    )
    from twostage.models.networks.heads import activated

    vae = twostage.VAE(
        keras.Model(images, heads),
        keras.Model(z, activated(y, likelihood.heads)),
        likelihood,
        seed=0,
    )
    data = twostage_digits()
    vae.compile(keras.optimizers.Adam(3e-3), jit_compile=jit_compile())
    history = vae.fit(data, batch_size=100, epochs=6, verbose=0).history
    assert (
        np.isfinite(history["loss"]).all()
        and history["loss"][-1] < history["loss"][0]
        and ("gamma" in history) == hasattr(likelihood, "gamma")
    )
    assert history["mse"][-1] < 0.9 * history["mse"][0]
    vae.save(tmp_path / "vae.keras")
    again = keras.saving.load_model(tmp_path / "vae.keras")
    np.testing.assert_allclose(
        again.predict(data[:7], verbose=0), vae.predict(data[:7], verbose=0), atol=1e-6
    )
    assert again.predict(data[:7], verbose=0).shape == (7, 8, 8, 1)
    assert {**again.likelihood.get_config()} == {**likelihood.get_config()}


def test_a_file_with_the_british_class_name_loads(tmp_path):
    """As versions before the American spelling wrote it."""
    vae = linear_vae(6, 3, likelihood=twostage.DiscretizedLogisticLikelihood(0.01))
    old, new = tmp_path / "old.keras", tmp_path / "new.keras"
    vae.save(new)
    with zipfile.ZipFile(new) as written, zipfile.ZipFile(old, "w") as altered:
        for name in written.namelist():
            content = written.read(name)
            if name == "config.json":
                assert b"twostage>DiscretizedLogisticLikelihood" in content
                content = content.replace(b"iscretized", b"iscretised")
            altered.writestr(name, content)
    again = keras.saving.load_model(old)
    assert type(again.likelihood) is twostage.DiscretizedLogisticLikelihood
    assert twostage.DiscretisedLogisticLikelihood is type(again.likelihood)
    assert again.likelihood.floor == 0.01
    z = np.ones((2, 3), "float32")
    expected, found = (ops.convert_to_numpy(m.decode(z)) for m in (vae, again))
    np.testing.assert_array_equal(found, expected)
    again.save(old)
    assert b"iscretised" not in zipfile.ZipFile(old).read("config.json").replace(
        b"discretised_logistic_likelihood",
        b"",  # the layer's own name, kept
    )


def twostage_digits():
    from twostage.data import loading

    return loading.load("digits")[0][:600]


def test_bits_are_nats_of_levels():
    discrete, density = (
        twostage.DiscretizedLogisticLikelihood(),
        twostage.GaussianLikelihood(),
    )
    assert discrete.bits_per_dimension(100 * math.log(2), 50) == pytest.approx(2)
    assert density.bits_per_dimension(0.0, 50) == pytest.approx(
        8
    )  # a density of 1 on [0, 1) is 1/256 a level


def test_bad_arguments_are_reported():
    for make, words in (
        (
            lambda: twostage.DiagonalGaussianLikelihood(floor=-1),
            "floor=-1, expected at least 0",
        ),
        (
            lambda: twostage.OptimalGaussianLikelihood("pixel"),
            "per='pixel', expected 'image' or 'batch'",
        ),
        (
            lambda: twostage.OptimalGaussianLikelihood(floor=0),
            "floor=0, expected a positive number",
        ),
        (
            lambda: twostage.DiscretizedLogisticLikelihood(0),
            "floor=0, expected a positive number",
        ),
    ):
        with pytest.raises(ValueError, match=words):
            make()


@pytest.mark.parametrize("name", ["diagonal", "optimal_batch", "logistic"])
def test_each_goes_through_the_commands(name, tmp_path, monkeypatch):
    """Trained by the command in its precision, evaluated: bits only where the
    likelihood is a probability.
    """
    from twostage.cli.main import COMMANDS
    from twostage.evaluation import protocol
    from twostage.system import files

    monkeypatch.setitem(protocol.SPLITS, "fid10k_test", ("test", 100))
    small = [
        "--limit",
        "200",
        "--epochs",
        "1",
        "--base-dim",
        "4",
        "--fc-dim",
        "16",
        "--latent-dim",
        "4",
        "--precision",
        "mixed_bfloat16",
    ]
    COMMANDS["train-stage1"](
        ["--run", str(tmp_path / "run"), "--likelihood", name, *small]
    )
    COMMANDS["evaluate"](
        [
            "--run",
            str(tmp_path / "run"),
            "--extractor",
            "random",
            "--bound-images",
            "10",
            "--importance-samples",
            "3",
            "--half-samples",
            "2",
            "--mixtures",
        ]
    )
    found = files.read_json(
        tmp_path / "run" / "evaluation" / "random_network-fid10k_test.json"
    )
    bits = found["likelihood"]["bits_per_dimension"]
    assert 2 < bits < 20
    assert np.isfinite(found["likelihood"]["importance"])
