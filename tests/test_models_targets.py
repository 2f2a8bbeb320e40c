"""Targets, weights and labels that a VAE is given: used, refused, or ignored aloud."""

import keras
import numpy as np
import pytest
from keras import ops
from small_models import linear_vae

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
