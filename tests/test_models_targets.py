"""Targets, weights and labels that a VAE is given: used, refused, or ignored aloud."""

import keras
import numpy as np
import pytest
from keras import ops
from small_models import linear_vae, numpy_rule

import callbacks

X = np.random.default_rng(0).normal(size=(40, 6)).astype("float32")
WEIGHTS = np.linspace(0.0, 2.0, 40)


def vae(**options):
    keras.utils.set_random_seed(0)
    model = linear_vae(log_var=-60.0, seed=0, **options)  # as good as without noise
    model.compile(keras.optimizers.SGD(0.0))
    return model


def nats(model, x, y):
    """Of each example by NumPy, at gamma 1: reconstruction of y, KL of x."""
    mean, log_var = (ops.convert_to_numpy(part) for part in model.posterior(x))
    error = (y - model.predict(x, verbose=0)) ** 2
    nll = 0.5 * (error + np.log(2 * np.pi)).sum(1)
    return nll + 0.5 * (mean**2 + np.exp(log_var) - log_var - 1).sum(1)


def test_weights_multiply_the_nats_of_their_examples():
    model = vae()
    each = nats(model, X, X)
    options = {"batch_size": 40, "verbose": 0}
    history = model.fit(
        X,
        sample_weight=WEIGHTS,
        validation_data=(X, None, 3 * WEIGHTS),
        **options,
    ).history
    expected = (WEIGHTS * each).mean()
    assert history["loss"][0] == pytest.approx(expected, rel=1e-4)
    assert history["val_loss"][0] == pytest.approx(3 * expected, rel=1e-4)
    found = model.evaluate(X, sample_weight=WEIGHTS, return_dict=True, **options)
    assert found["loss"] == pytest.approx(expected, rel=1e-4)
    assert model.fit(X, **options).history["loss"][0] == pytest.approx(
        each.mean(), 1e-4
    )


def test_targets_make_a_denoising_vae():
    """x is encoded, y reconstructed: in the loss, in mse, in validation."""
    model, y = vae(), 2 * X
    expected = nats(model, X, y).mean()
    error = ((y - model.predict(X, verbose=0)) ** 2).mean()
    history = model.fit(X, y, batch_size=40, verbose=0, validation_data=(X, y)).history
    for prefix in ("", "val_"):
        assert history[f"{prefix}loss"][0] == pytest.approx(expected, rel=1e-4)
        assert history[f"{prefix}mse"][0] == pytest.approx(error, rel=1e-4)


def test_targets_of_images_have_the_images_type():
    images = np.random.default_rng(0).integers(0, 256, (40, 6)).astype("uint8")
    model = vae(data_dtype="uint8")
    inverted = 255 - images
    model.fit(images, inverted, batch_size=40, verbose=0)
    found = model.evaluate(images, inverted, verbose=0, return_dict=True)["mse"]
    error = ((inverted / 255 - model.predict(images, verbose=0)) ** 2).mean()
    assert found == pytest.approx(error, rel=1e-4)
    with pytest.raises(ValueError, match="received data of type float32"):
        model.fit(images, X, verbose=0)


class Labeled(keras.utils.PyDataset):
    def __len__(self):
        return 1

    def __getitem__(self, index):
        return X, np.arange(40)


def test_labels_of_a_dataset_are_ignored_and_a_warning_says_so(caplog):
    model = vae()
    expected = nats(model, X, X).mean()
    history = model.fit(Labeled(), epochs=2, verbose=0).history
    assert history["loss"] == pytest.approx([expected] * 2, rel=1e-4)
    assert caplog.text.count("labels, which a VAE does not use") == 1


@pytest.mark.parametrize(
    "options, words",
    [
        ({"y": np.arange(40)}, r"targets y of shape \(40,\).*leave labels out"),
        ({"y": X[:, :5]}, r"targets y of shape \(40, 5\), expected data"),
        ({"class_weight": {0: 1.0}}, "received class_weight, expected none"),
        ({"sample_weight": np.ones((40, 6))}, r"sample_weight of shape \(40, 6\)"),
        ({"sample_weight": np.ones(39)}, r"sample_weight of shape \(39,\)"),
        ({"sample_weight": -WEIGHTS}, "sample_weight with negative"),
        ({"sample_weight": WEIGHTS * np.nan}, "sample_weight with negative or not"),
        ({"validation_data": (X, np.arange(40))}, r"targets y of shape \(40,\)"),
    ],
)
def test_what_cannot_be_used_is_refused(options, words):
    model = vae()
    with pytest.raises(ValueError, match=words):
        model.fit(X, verbose=0, **options)
    assert np.isfinite(model.fit(X, verbose=0).history["loss"][0])


@pytest.mark.parametrize(
    "options",
    [
        {"loss": "mse"},
        {"metrics": ["mae"]},
        {"weighted_metrics": ["mae"]},
        {"loss_weights": [1.0]},
    ],
)
def test_compile_takes_no_loss_and_no_metrics(options):
    name = next(iter(options))
    with pytest.raises(ValueError, match=f"received {name}=.*, expected none"):
        linear_vae().compile("adam", **options)


class Weighted(keras.utils.PyDataset):
    """Batches of X with weights, in the shape that they are given."""

    def __init__(self, weights):
        super().__init__()
        self.weights = weights

    def __len__(self):
        return 4

    def __getitem__(self, index):
        rows = slice(10 * index, 10 * index + 10)
        return X[rows], X[rows], self.weights[rows]


@pytest.mark.parametrize("rule", ["minimum", "ratchet", "ema", "batch"])
def test_a_column_of_weights_is_a_row_of_them(rule):
    weights, found = np.linspace(0.5, 2.0, 40).astype("float32"), []
    for each in (weights, weights[:, None]):
        model = vae()
        watch = [callbacks.ComputedGamma(rule, floor=1e-3)]
        options = {"callbacks": watch, "epochs": 2, "verbose": 0, "shuffle": False}
        model.fit(Weighted(each), **options)
        found.append(float(ops.convert_to_numpy(model.gamma)))
    errors = ((X - model.predict(X, verbose=0)) ** 2).mean(1)
    parts = zip(np.split(errors, 4), np.split(weights, 4), strict=True)
    batches = [np.average(error, weights=weight) for error, weight in parts]
    expected = numpy_rule(rule, 1.0, batches * 2) ** 0.5
    assert found == pytest.approx([expected, expected], rel=1e-5)


@pytest.mark.parametrize("rule", ["minimum", "ratchet", "ema", "batch"])
def test_a_batch_whose_weights_are_0_moves_no_gamma(rule):
    weights = np.ones(40, "float32")
    weights[10:20] = 0
    model = vae()
    options = {"sample_weight": weights, "batch_size": 10, "shuffle": False}
    watch = [callbacks.ComputedGamma(rule, floor=1e-3)]
    history = model.fit(X, callbacks=watch, verbose=0, **options).history
    assert all(np.isfinite(values).all() for values in history.values())
    errors = ((X - model.predict(X, verbose=0)) ** 2).mean(1)
    batches = [errors[rows].mean() for rows in np.split(np.arange(40), 4)]
    del batches[1]
    expected = numpy_rule(rule, 1.0, batches) ** 0.5
    found = float(ops.convert_to_numpy(model.gamma))
    assert found == pytest.approx(expected, rel=1e-4)
    model.compile(keras.optimizers.Adam(0.01))
    model.fit(X, callbacks=watch, epochs=3, verbose=0, **options)
    assert all(np.isfinite(weight).all() for weight in model.get_weights())


@pytest.mark.parametrize("weight", [0.1, 1.0, 3.0])
def test_free_bits_are_those_of_the_weighted_kl(weight):
    """Below them a latent's KL has no slope, whatever the examples weigh."""
    model = linear_vae(log_var=-0.2, seed=0)
    model.compile(keras.optimizers.SGD(0.0))
    weights = (weight * np.linspace(0, 2, 40)).astype("float32")
    options = {"sample_weight": weights, "batch_size": 40, "verbose": 0}
    free = model.fit(X, callbacks=[callbacks.FreeBits(50.0)], **options).history
    kl = 3 * 50.0  # of each latent: more than it has
    expected = weight * (free["reconstruction"][0] + kl)
    assert free["loss"][0] == pytest.approx(expected, rel=1e-4)


def test_free_bits_are_no_part_of_the_held_out_bound():
    model = linear_vae(seed=0)
    model.compile(keras.optimizers.SGD(0.0))
    options = {"validation_data": (X, X), "batch_size": 40, "verbose": 0}
    found = model.fit(X, callbacks=[callbacks.FreeBits(50.0)], **options).history
    bound = found["val_reconstruction"][0] + found["val_kl"][0]
    assert found["val_loss"][0] == pytest.approx(bound, rel=1e-5)
    assert found["loss"][0] > found["val_loss"][0] + 100
