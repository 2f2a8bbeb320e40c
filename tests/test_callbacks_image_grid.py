"""ImageGrid: what its pictures show, in files that say so."""

import keras
import numpy as np
import pytest
from PIL import Image
from small_models import StrangersVAE

import callbacks


def images_vae(images):
    """Reconstructs perfectly: the latents are the pixels."""
    inputs = keras.Input(images.shape[1:])
    flat = keras.layers.Flatten()(inputs)
    model = StrangersVAE()
    model.encoder = keras.Model(inputs, [flat, keras.layers.Rescaling(0.0)(flat)])
    model.decoder = keras.Sequential(
        [keras.Input((flat.shape[1],)), keras.layers.Reshape(images.shape[1:])]
    )
    return model


def test_the_grid_shows_originals_reconstructions_and_fixed_z(tmp_path):
    images = np.random.default_rng(0).random((50, 4, 4, 3)).astype("float32")
    model = images_vae(images)
    grid = callbacks.ImageGrid(tmp_path, images, rows=4, freq=2)
    grid.set_model(model)
    grid.on_train_begin()
    for epoch in range(4):
        grid.on_epoch_end(epoch, {})
    assert sorted(path.name for path in tmp_path.iterdir()) == [
        f"{kind}_000{e}.png" for kind in ("reconstructions", "samples") for e in (2, 4)
    ]
    with Image.open(tmp_path / "reconstructions_0002.png") as file:
        picture = np.asarray(file)
    factor = 512 // 20
    picture = picture[::factor, ::factor]
    assert picture.shape == (20, 20, 3)
    np.testing.assert_array_equal(
        picture[:4, :4], picture[:4, 5:9]
    )  # an original and, right of it, its reconstruction
    np.testing.assert_array_equal(
        picture[:4, :4], np.rint(callbacks.examples.random_subset(images, 8)[0] * 255)
    )
    assert (tmp_path / "samples_0002.png").read_bytes() == (
        tmp_path / "samples_0004.png"
    ).read_bytes()
    z = (
        np.random.default_rng(0)
        .standard_normal((16, 48), dtype="float32")[0]
        .reshape(4, 4, 3)
    )
    with Image.open(tmp_path / "samples_0002.png") as file:
        np.testing.assert_array_equal(
            np.asarray(file)[::factor, ::factor][:4, :4],
            np.rint(np.clip(z, 0, 1) * 255),
        )


def test_image_grid_needs_pillow(tmp_path, monkeypatch):
    monkeypatch.setattr("callbacks.image_grid.find_spec", lambda name: None)
    with pytest.raises(ValueError, match="pip install pillow"):
        callbacks.ImageGrid(tmp_path, latent_dim=2).on_train_begin()


def test_image_grid_config_round_trip():
    callback = callbacks.ImageGrid("folder", latent_dim=3, rows=5, seed=2)
    again = keras.saving.deserialize_keras_object(
        keras.saving.serialize_keras_object(callback)
    )
    assert again.get_config() == callback.get_config()
