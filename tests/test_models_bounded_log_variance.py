"""The bounded head of the log variance: where it is the identity, and how it grows."""

import keras
import numpy as np
import pytest
from keras import ops

import twostage
from twostage import BoundedLogVariance
from twostage.models.networks import dai_wipf, rae


def bounded(values, bound=2.0):
    layer = BoundedLogVariance(bound)
    return ops.convert_to_numpy(layer(np.asarray(values, "float32")))


def test_it_is_the_identity_up_to_the_bound():
    """Bit for bit: an encoder whose posterior is narrower than e^2 is unchanged."""
    values = np.linspace(-90, 2, 1001, dtype="float32")
    np.testing.assert_array_equal(bounded(values), values)


def test_the_variance_grows_linearly_above_it():
    """exp(c + log(1 + v - c)) = e^c (1 + v - c)."""
    values = np.array([2.0, 3.0, 21.0, 1e4], "float32")
    np.testing.assert_allclose(
        np.exp(bounded(values)), np.exp(2.0) * (values - 1), rtol=1e-5
    )
    np.testing.assert_allclose(bounded([0.5, 3.0], 0.0), np.log([1.5, 4.0]), rtol=1e-6)


@pytest.mark.skipif(
    keras.backend.backend() != "tensorflow", reason="a gradient by TensorFlow's tape"
)
def test_its_gradient_is_continuous_and_never_vanishes():
    import tensorflow as tf

    values = tf.constant([-5.0, 1.999, 2.001, 6.0, 101.0])
    with tf.GradientTape() as tape:
        tape.watch(values)
        total = tf.reduce_sum(BoundedLogVariance()(values))
    gradient = tape.gradient(total, values).numpy()
    np.testing.assert_allclose(gradient, [1, 1, 1 / 1.001, 1 / 5, 1 / 100], rtol=1e-5)


def encoders():
    return {
        "resnet": twostage.resnet_encoder((16, 16, 1), 4, base_dim=4, fc_dim=8),
        "dense": twostage.dense_encoder(6, width=8),
        "infogan": dai_wipf.infogan_encoder((28, 28, 1), 4),
        "wae": dai_wipf.wae_encoder((64, 64, 3), 4),
        "rae": rae.rae_encoder((32, 32, 3), 4, variational=True),
    }


@pytest.mark.parametrize("name", ["resnet", "dense", "infogan", "wae", "rae"])
def test_no_encoder_can_return_an_exploding_variance(name):
    """Twenty units of weights in the last layer are what Adam's first steps make."""
    encoder = encoders()[name]
    for weight in encoder.weights[-4:]:
        weight.assign(ops.full(weight.shape, 20.0))
    x = np.ones((3, *encoder.input_shape[1:]), "float32")
    _, log_var = (ops.convert_to_numpy(part) for part in encoder(x))
    assert np.isfinite(log_var).all() and log_var.max() < 16


def test_a_negative_bound_is_refused():
    for bound in (-1.0, float("nan"), float("inf")):
        with pytest.raises(ValueError, match=r"received bound=.*at least 0"):
            BoundedLogVariance(bound)


def test_config_round_trip():
    layer = BoundedLogVariance(3.0)
    config = keras.saving.serialize_keras_object(layer)
    assert keras.saving.deserialize_keras_object(config).bound == 3.0
