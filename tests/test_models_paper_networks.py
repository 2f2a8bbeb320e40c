"""The other papers' networks: parameter counts, shapes, spectral normalization; each
saved and loaded.
"""

import keras
import numpy as np
import pytest
from keras import layers, ops

import twostage
from twostage.models.compilation import jit_compile
from twostage.models.layers.spectral_normalization import SpectralNormalization
from twostage.models.networks import berger_sebag, beta_sigma, dai_wipf, rae


def trainable(model):
    return sum(int(np.prod(weight.shape)) for weight in model.trainable_weights)


@pytest.mark.parametrize(
    "shape, latents, encoder, decoder",
    [((64, 64, 3), 64, 3_329_504, 1_853_539), ((28, 28, 1), 32, 822_112, 469_409)],
)
def test_beta_sigma_has_the_codes_parameters(shape, latents, encoder, decoder):
    assert trainable(beta_sigma.beta_sigma_encoder(shape, latents)) == encoder
    assert trainable(beta_sigma.beta_sigma_decoder(shape, latents)) == decoder


@pytest.mark.parametrize(
    "shape, latents, encoder, decoder",
    [
        ((32, 32, 1), 16, 11_083_408, 11_606_273),
        ((32, 32, 3), 128, 11_546_368, 18_954_499),
        ((64, 64, 3), 64, 18_267_200, 21_475_331),
    ],
)
def test_rae_has_the_codes_parameters(shape, latents, encoder, decoder):
    """To the 10,000 of the authors' code: 11.08, 11.61, 11.55, 18.95, 18.27 and 21.48
    million.
    """
    assert trainable(rae.rae_encoder(shape, latents)) == encoder
    assert trainable(rae.rae_decoder(shape, latents)) == decoder


PAIRS = {
    "beta_sigma 28": (
        beta_sigma.beta_sigma_encoder,
        beta_sigma.beta_sigma_decoder,
        (28, 28, 1),
    ),
    "infogan 28": (dai_wipf.infogan_encoder, dai_wipf.infogan_decoder, (28, 28, 1)),
    "infogan 32": (dai_wipf.infogan_encoder, dai_wipf.infogan_decoder, (32, 32, 3)),
    "convolutional 28": (
        berger_sebag.convolutional_encoder,
        berger_sebag.convolutional_decoder,
        (28, 28, 1),
    ),
}


@pytest.mark.parametrize("name", PAIRS)
def test_networks_map_images_to_latents_and_back(name, tmp_path):
    encode, decode, shape = PAIRS[name]
    encoder, decoder = (
        encode(shape, latent_dim=5),
        decode(shape, latent_dim=5, heads=("sigmoid", "linear")),
    )
    images = np.random.default_rng(0).random((3, *shape)).astype("float32")
    mean, log_var = encoder(images)
    assert mean.shape == log_var.shape == (3, 5)
    decoded = ops.convert_to_numpy(decoder(mean))
    assert (
        decoded.shape == (3, *shape[:2], 2 * shape[2])
        and decoded[..., : shape[2]].min() > 0
        and decoded[..., : shape[2]].max() < 1
    )
    vae = twostage.VAE(encoder, decoder, twostage.DiagonalGaussianLikelihood(), seed=0)
    vae.compile("sgd", jit_compile=jit_compile())  # Adam would triple the file
    assert np.isfinite(
        vae.fit(images, batch_size=3, epochs=2, verbose=0).history["loss"]
    ).all()
    vae.save(tmp_path / "vae.keras")
    again = keras.saving.load_model(tmp_path / "vae.keras")
    np.testing.assert_allclose(
        again.predict(images, verbose=0), vae.predict(images, verbose=0), atol=1e-5
    )


def test_wae_takes_64():
    mean, _ = dai_wipf.wae_encoder((64, 64, 3), 4)(np.zeros((1, 64, 64, 3), "float32"))
    assert mean.shape == (1, 4) and dai_wipf.wae_decoder((64, 64, 3), 4)(
        mean
    ).shape == (1, 64, 64, 3)


def test_the_dense_residual_network_has_four_blocks_of_200():
    encoder = berger_sebag.residual_encoder()
    assert trainable(encoder) == (2 * 200 + 200) + 4 * 2 * (200 * 200 + 200) + 2 * (
        200 * 2 + 2
    )
    assert berger_sebag.residual_decoder(heads=("linear", "linear")).output_shape == (
        None,
        4,
    )


@pytest.mark.parametrize(
    "make, words",
    [
        (lambda: beta_sigma.beta_sigma_encoder((32, 32, 3)), "28x28 or 64x64"),
        (lambda: rae.rae_encoder((28, 28, 1)), "32x32 or 64x64.*`pad=32`"),
        (
            lambda: dai_wipf.infogan_encoder((30, 30, 1)),
            "that 4 divides: pad them with `pad=32`",
        ),
        (lambda: dai_wipf.wae_encoder((32, 32, 3)), "expected 64x64"),
        (lambda: berger_sebag.convolutional_encoder((4, 4, 1)), "at least 8 pixels"),
    ],
)
def test_other_sizes_are_refused(make, words):
    with pytest.raises(twostage.InputError, match=words):
        make()


LAYERS = {
    "dense": (lambda: layers.Dense(5), (6,)),
    "convolution": (lambda: layers.Conv2D(5, 3, strides=2, padding="same"), (6, 6, 4)),
    "transposed": (
        lambda: layers.Conv2DTranspose(5, 4, strides=2, padding="same"),
        (6, 6, 4),
    ),
}


@pytest.mark.parametrize("kind", LAYERS)
def test_spectral_norm_divides_by_the_largest_singular_value(kind, tmp_path):
    make, shape = LAYERS[kind]
    inputs = keras.Input(shape)
    model = keras.Model(inputs, SpectralNormalization(make(), iterations=50)(inputs))
    x = np.random.default_rng(0).normal(size=(3, *shape)).astype("float32")
    wrapper = model.layers[-1]
    generator, shape = np.random.default_rng(1), wrapper.layer.kernel.shape
    largest = np.outer(
        generator.normal(size=np.prod(shape[:-1])), generator.normal(size=shape[-1])
    )  # so that 50 iterations are enough
    wrapper.layer.kernel.assign(
        (generator.normal(size=shape) + largest.reshape(shape)).astype("float32")
    )
    model(x, training=True)
    kernel = ops.convert_to_numpy(wrapper.layer.kernel)
    sigma = np.linalg.svd(kernel.reshape(-1, kernel.shape[-1]), compute_uv=False)[0]
    plain = make()
    plain.build((None, *x.shape[1:]))
    plain.kernel.assign(kernel / sigma)
    np.testing.assert_allclose(
        ops.convert_to_numpy(model(x)),
        ops.convert_to_numpy(plain(x)),
        atol=2e-5,
        rtol=1e-4,
    )
    np.testing.assert_array_equal(
        ops.convert_to_numpy(wrapper.layer.kernel), kernel
    )  # the raw kernel stays
    model.save(tmp_path / "model.keras")
    np.testing.assert_allclose(
        ops.convert_to_numpy(keras.saving.load_model(tmp_path / "model.keras")(x)),
        ops.convert_to_numpy(model(x)),
        atol=1e-6,
    )


@pytest.mark.parametrize("kind", LAYERS)
def test_its_gradient_flows_through_sigma(kind):
    """kernel / sigma does not change with the kernel's length, so the gradient is
    orthogonal to the kernel. Keras's own layer fails here.
    """
    make, shape = LAYERS[kind]
    inputs = keras.Input(shape)
    model = keras.Model(inputs, SpectralNormalization(make())(inputs))
    model.compile(keras.optimizers.SGD(1.0), "mse")
    x = np.random.default_rng(0).normal(size=(8, *shape)).astype("float32")
    before = ops.convert_to_numpy(model.layers[-1].layer.kernel).copy()
    model.train_on_batch(x, np.ones((8, *model.output_shape[1:]), "float32"))
    step = ops.convert_to_numpy(model.layers[-1].layer.kernel) - before
    assert np.abs(step).max() > 1e-3 and abs(
        (step * before).sum()
    ) < 1e-4 * np.linalg.norm(step) * np.linalg.norm(before)


def test_other_layers_are_refused():
    with pytest.raises(
        ValueError,
        match="a layer of type ReLU, expected Dense, Conv2D or Conv2DTranspose",
    ):
        SpectralNormalization(layers.ReLU())
