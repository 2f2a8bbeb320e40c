"""Recalibrated batch normalization: the statistics of the data, whatever they were
before.
"""

import keras
import numpy as np
import pytest
from keras import layers

import twostage
from twostage.models.layers.batch_normalization import BatchNormalization
from twostage.models.layers.spectral_normalization import SpectralNormalization
from twostage.models.networks.dai_wipf import infogan_decoder, infogan_encoder
from twostage.models.recalibrate import recalibrate


def test_spectral_normalization_stays_as_it_is():
    encoder, decoder = infogan_encoder((8, 8, 1), 3), infogan_decoder((8, 8, 1), 3)
    vae = twostage.VAE(encoder, decoder, twostage.GaussianLikelihood(), seed=0)
    images = np.random.default_rng(0).random((200, 8, 8, 1), "float32")
    vae(images)
    before = vae.get_weights()
    assert recalibrate(vae, images, batch_size=50) == 5
    for weight, old, new in zip(vae.weights, before, vae.get_weights(), strict=True):
        assert np.array_equal(old, new) != ("moving" in weight.path), weight.path
    assert {
        layer.iterations
        for layer in vae._flatten_layers()
        if isinstance(layer, SpectralNormalization)
    } == {1}


@pytest.mark.parametrize("kind", [BatchNormalization, layers.BatchNormalization])
def test_the_statistics_become_those_of_the_data(kind):
    inputs = keras.Input((5,))
    x = kind(name="first")(inputs)
    heads = [layers.Dense(2)(x), layers.Dense(2)(x)]
    decoder = keras.Sequential([keras.Input((2,)), layers.Dense(5), kind(name="last")])
    vae = twostage.VAE(
        keras.Model(inputs, heads), decoder, twostage.GaussianLikelihood(), seed=0
    )
    data = (
        np.random.default_rng(0).normal(size=(1_000, 5)) * [1, 2, 3, 4, 5] + 7
    ).astype("float32")
    layer, last = vae.encoder.get_layer("first"), vae.decoder.get_layer("last")
    before = [weight.copy() for weight in vae.get_weights()]
    others = [
        i
        for i, weight in enumerate(vae.weights)
        if "moving" not in weight.path and "seed" not in weight.path
    ]
    momentum = layer.momentum
    assert recalibrate(vae, data, batch_size=100) == 2
    np.testing.assert_allclose(layer.moving_mean, data.mean(0), rtol=1e-4)
    np.testing.assert_allclose(layer.moving_variance, data.var(0), rtol=1e-3)
    assert np.abs(keras.ops.convert_to_numpy(last.moving_mean)).max() > 0.01
    for i in others:
        np.testing.assert_array_equal(vae.get_weights()[i], before[i])
    assert layer.momentum == momentum
