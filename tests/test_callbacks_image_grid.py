"""ImageGrid: what its images show, in files that say so."""

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
        f"{kind}_000{e}.png"
        for kind in ("reconstructions", "samples")
        for e in (1, 2, 4)
    ]
    with Image.open(tmp_path / "reconstructions_0002.png") as file:
        image = np.asarray(file)
    factor = 512 // 20
    image = image[::factor, ::factor]
    assert image.shape == (20, 20, 3)
    np.testing.assert_array_equal(
        image[:4, :4], image[:4, 5:9]
    )  # an original and, right of it, its reconstruction
    np.testing.assert_array_equal(
        image[:4, :4], np.rint(callbacks.examples.random_subset(images, 8)[0] * 255)
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


def drawn(folder, model, data, **options):
    """The grid of reconstructions, uint8, without its enlargement."""
    grid = callbacks.ImageGrid(folder, data, rows=2, **options)
    grid.set_model(model)
    grid.on_train_begin()
    grid.on_epoch_end(0, {})
    with Image.open(folder / "reconstructions_0001.png") as file:
        factor = file.width // 10
        return np.asarray(file)[::factor, ::factor]


@pytest.mark.parametrize("value_range", [(-1, 1), (0, 255), (0, 1)])
def test_floats_of_other_ranges_are_drawn_alike(value_range, tmp_path):
    low, high = value_range
    images = np.linspace(0, 1, 32).reshape(2, 4, 4, 1).astype("float32")
    data = (low + images * (high - low)).astype("float32")
    found = drawn(tmp_path, images_vae(images), data, value_range=value_range)
    expected = np.rint(images[0, :, :, 0] * 255)
    np.testing.assert_allclose(found[:4, :4], expected, atol=1)
    np.testing.assert_allclose(found[:4, 5:9], expected, atol=1)


@pytest.mark.parametrize(
    "low, high, advice",
    [
        (0, 255, "(0, 255)"),
        (-1, 1, "(-1, 1)"),
        (-0.5, 0.5, "(-0.5, 0.5)"),
        (0, 2, "(0, 2)"),
        (-3, 1, "(-3, 1)"),
    ],
)
def test_images_of_another_range_are_refused(low, high, advice):
    images = np.linspace(low, high, 32).reshape(2, 4, 4, 1)
    with pytest.raises(ValueError) as caught:
        callbacks.ImageGrid("never-made", images)
    assert (
        f"expected [0, 1]. Give their black and white, such as value_range={advice}"
        in (str(caught.value))
    )
    with pytest.raises(ValueError, match="received value_range"):
        callbacks.ImageGrid("never-made", images, value_range=(1, 0))


@pytest.mark.parametrize("channels", [1, 3, 4])
def test_gray_color_and_transparency_are_drawn(channels, tmp_path):
    images = np.random.default_rng(0).random((9, 4, 4, channels)).astype("float32")
    found = drawn(tmp_path, images_vae(images), images)
    assert found.shape == ((10, 10, channels) if channels > 1 else (10, 10))


@pytest.mark.parametrize(
    "change, words",
    [
        (lambda images: images[..., :2], "gave 2 channels, expected 1, 3 or 4"),
        (lambda images: np.tile(images, 5)[..., :5], "gave 5 channels, expected 1, 3"),
        (lambda images: (images, images), "gave a tuple, expected images"),
        (lambda images: {"mean": images}, "gave a dict, expected images"),
        (lambda images: images[:, 0], r"gave shape \(2, 4, 3\), expected images"),
    ],
)
def test_what_is_no_image_is_refused_when_training_begins(change, words, tmp_path):
    images = np.random.default_rng(0).random((9, 4, 4, 3)).astype("float32")
    model = images_vae(images)
    grid = callbacks.ImageGrid(
        tmp_path / "never-made",
        latent_dim=48,
        decode=lambda model, z: change(np.reshape(z, (-1, 4, 4, 3))),
    )
    grid.set_model(model)
    with pytest.raises(ValueError, match=words):
        grid.on_train_begin()
    assert not (tmp_path / "never-made").exists()


def test_a_decoder_of_another_range_is_warned_about_once(tmp_path, caplog):
    images = np.random.default_rng(0).integers(0, 256, (9, 4, 4, 3)).astype("uint8")
    grid = callbacks.ImageGrid(tmp_path, images, rows=2)
    grid.set_model(images_vae(images.astype("float32")))
    grid.on_train_begin()
    for epoch in range(2):
        grid.on_epoch_end(epoch, {})
    assert caplog.text.count("give ImageGrid their value_range") == 1


@pytest.mark.parametrize("gray", [0.1, 0.6])
def test_a_decoder_of_logits_is_warned_about(gray, tmp_path, caplog):
    generator = np.random.default_rng(0)
    images = np.clip(generator.normal(gray, 0.2, (9, 4, 4, 3)), 0.01, 0.99)
    model = images_vae(images)

    def decode(model, z):
        return np.log(z / (1 - z)).reshape(-1, 4, 4, 3)

    def logits(model, z):
        # of samples z is normal
        return decode(model, np.clip(np.abs(z), 0.01, 0.99))

    drawn(tmp_path, model, images.astype("float32"), decode=logits)
    assert caplog.text.count("where they are logits, decode=lambda model, z:") == 1


def test_latents_in_maps_are_drawn(tmp_path):
    images = np.random.default_rng(0).random((9, 4, 4, 3)).astype("float32")
    model = images_vae(images)
    inputs = keras.Input((4, 4, 3))
    model.encoder = keras.Model(inputs, [inputs, keras.layers.Rescaling(0.0)(inputs)])
    model.decoder = keras.Sequential([keras.Input((4, 4, 3)), keras.layers.Identity()])
    found = drawn(tmp_path, model, images)
    np.testing.assert_array_equal(found[:4, :4], found[:4, 5:9])


def test_a_decoder_of_zero_to_one_beside_data_of_255_is_warned_about(tmp_path, caplog):
    images = 255 * np.random.default_rng(0).random((9, 4, 4, 3)).astype("float32")
    model = images_vae(images)
    drawn(
        tmp_path,
        model,
        images,
        value_range=(0, 255),
        decode=lambda model, z: np.clip(model.decoder(z), 0, 255) / 255,
    )
    assert caplog.text.count("decode=lambda model, z: 255 * model.decoder(z)") == 1


def test_flat_images_are_drawn_as_the_one_message_says(tmp_path):
    images = np.random.default_rng(0).random((9, 16)).astype("float32")
    inputs = keras.Input((16,))
    model = StrangersVAE()
    model.encoder = keras.Model(inputs, [inputs, keras.layers.Rescaling(0.0)(inputs)])
    model.decoder = keras.Sequential([keras.Input((16,)), keras.layers.Identity()])
    with pytest.raises(ValueError, match=r"flat images give data.reshape") as caught:
        callbacks.ImageGrid(tmp_path, images)
    advice = str(caught.value).split("images give ")[1].replace(", and", ",")
    made = eval(
        f"ImageGrid(folder, {advice}, rows=2)",
        {"keras": keras, "data": images, "folder": tmp_path, **vars(callbacks)},
    )
    made.set_model(model)
    made.on_train_begin()
    made.on_epoch_end(0, {})
    assert len(list(tmp_path.iterdir())) == 2


def test_a_decoder_that_fails_says_what_it_could_take(tmp_path):
    images = np.random.default_rng(0).random((9, 4, 4, 3)).astype("float32")
    model = images_vae(images)
    model.decoder = keras.Sequential([keras.Input((50,)), keras.layers.Dense(4)])
    with pytest.raises(
        ValueError, match=r"failed on latents of shape \(2, 48\): .*data=\[images, lab"
    ):
        drawn(tmp_path, model, images)


def test_grids_are_written_for_tensorboard_too(tmp_path):
    tf = pytest.importorskip("tensorflow")
    pytest.importorskip("tensorboard")
    images = np.random.default_rng(0).random((9, 4, 4, 3)).astype("float32")
    logs = tmp_path / "logs"
    drawn(tmp_path / "images", images_vae(images), images, tensorboard=logs)
    tags = {
        value.tag
        for path in logs.iterdir()
        for event in tf.compat.v1.train.summary_iterator(str(path))
        for value in event.summary.value
    }
    assert tags == {"reconstructions", "samples"}


@pytest.mark.parametrize("missing", ["tensorboard", "tensorflow"])
def test_a_missing_tensorboard_is_reported_before_the_first_step(
    tmp_path, monkeypatch, missing
):
    """TensorFlow 2.21 does not bring it any more."""

    def find(name):
        return None if name == missing else name

    monkeypatch.setattr("callbacks.image_grid.find_spec", find)
    images = np.zeros((9, 4, 4, 3), "uint8")
    drawn(tmp_path / "images", images_vae(images), images)
    with pytest.raises(ValueError, match=f"needs {missing}, not installed: pip instal"):
        drawn(tmp_path, images_vae(images), images, tensorboard=tmp_path / "logs")


def gray(images):
    """A VAE of gray images that returns noise."""
    model = StrangersVAE()
    inputs = keras.Input(images.shape[1:])
    flat = keras.layers.Flatten()(inputs)
    model.encoder = keras.Model(inputs, [keras.layers.Dense(3)(flat) for _ in "12"])
    shape = [keras.layers.Dense(flat.shape[1]), keras.layers.Reshape(images.shape[1:])]
    model.decoder = keras.Sequential([keras.Input((3,)), *shape])
    return model


def test_images_of_other_whole_numbers_are_not_taken_for_floats_in_0_to_1(tmp_path):
    steps = np.linspace(0, 65535, 4).reshape(1, 4, 1, 1)
    images = np.broadcast_to(steps, (8, 4, 4, 1)).astype("uint16")
    with pytest.raises(ValueError, match="value_range"):
        callbacks.ImageGrid(tmp_path, images)
    found = drawn(tmp_path, gray(images), images, value_range=(0, 65535))
    assert set(np.unique(found[:4, :4])) == {0, 85, 170, 255}


@pytest.mark.parametrize("value_range", [(0, 1), (-1, 1)])
def test_images_of_true_and_false_are_black_and_white(tmp_path, value_range):
    images = np.random.default_rng(0).random((9, 4, 4, 1)) > 0.5
    model = gray(images)
    model.encoder = keras.Sequential([keras.layers.Rescaling(1.0), model.encoder])
    watch = {
        "value_range": value_range,
        "posterior": lambda model, x: [np.zeros((len(x), 3))] * 2,
    }
    found = drawn(tmp_path, model, images, **watch)
    assert set(np.unique(found[:4, :4])) == {0, 255}


def test_channels_first_are_refused_with_what_transposes_them(tmp_path):
    images = np.random.default_rng(0).random((9, 3, 8, 8)).astype("float32")
    with pytest.raises(
        ValueError, match=r"expected \(height, width, channels\).*transp"
    ):
        drawn(tmp_path, images_vae(images), images)
