"""What the page of `twostage explore` shows, without the page: by known answers."""

import dataclasses
import io
import json
import sys

import keras
import numpy as np
import pytest
from PIL import Image

from twostage import export
from twostage.cli import explore
from twostage.config import DENSITY_METHODS, SAMPLING_METHODS, Stage1Config
from twostage.errors import InputError
from twostage.evaluation.latent_metrics import most_active
from twostage.explore import latents
from twostage.explore.explorer import explorer_of
from twostage.explore.server import POLICY, OwnSourcesOnly, served
from twostage.explore.sources import EXPORTED, KerasSource, open_source
from twostage.explore.uploads import ANY_SIZE, uploads_for
from twostage.export.saved_vae import LARGEST
from twostage.models.gaussian_mixture import Mixture
from twostage.two_stage_vae import FIRST_STAGE, load

ON_TENSORFLOW = keras.backend.backend() == "tensorflow"
SIDE = 8


@pytest.fixture(scope="module", params=["saved_model", "keras"])
def explorer(request, small_run):
    if request.param == "saved_model" and not ON_TENSORFLOW:
        pytest.skip("the run of another backend has no SavedModel")
    return explorer_of(small_run[0], keras=request.param == "keras")


def digit(seed=0, side=SIDE):
    """uint8 (side, side), gray."""
    return np.random.default_rng(seed).integers(0, 256, (side, side), dtype="uint8")


def png(pixels, kind="png"):
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, kind)
    return file.getvalue()


@pytest.fixture
def image_file(tmp_path):
    def write(pixels, name="mine.png"):
        path = tmp_path / name
        path.write_bytes(pixels if isinstance(pixels, bytes) else png(pixels))
        return str(path)

    return write


# the models


@pytest.mark.skipif(not ON_TENSORFLOW, reason="the run has no SavedModel")
def test_a_seed_gives_the_images_of_the_savedmodel(small_run):
    explorer = explorer_of(small_run[0])
    model = export.load(small_run[0] / "saved_model")
    shown = explorer.samples(EXPORTED, 9, 5)
    np.testing.assert_array_equal(shown.images, model.sample(9, 5))
    shown = explorer.samples(FIRST_STAGE, 9, 5)
    np.testing.assert_array_equal(shown.images, model.sample_first_stage(9, 5))
    assert "saved_model" in explorer.source.description
    assert load(small_run[0]).sampling in explorer.source.samplers[EXPORTED]


def test_a_seed_gives_the_images_of_the_keras_files(small_run):
    explorer, model = explorer_of(small_run[0], keras=True), load(small_run[0])
    assert set(explorer.source.samplers) == {*SAMPLING_METHODS, FIRST_STAGE}
    assert next(iter(explorer.source.samplers)) == model.sampling
    for method in explorer.source.samplers:
        shown = explorer.samples(method, 3, 5)
        np.testing.assert_array_equal(
            shown.images, model.sample(3, seed=5, method=method)
        )
    assert ".keras" in explorer.source.description


def test_without_a_savedmodel_the_keras_files_are_shown(small_run, tmp_path):
    load(small_run[0]).save(tmp_path)
    source = open_source(tmp_path)
    assert isinstance(source, KerasSource)
    assert source.image_shape == (SIDE, SIDE, 1)


@pytest.mark.parametrize("method", DENSITY_METHODS)
def test_a_fitted_mixture_is_a_sampler(small_run, tmp_path, method):
    model = load(small_run[0])
    z = np.random.default_rng(0).standard_normal((60, 4))
    model.mixture = Mixture(z, DENSITY_METHODS[method])
    model.save(tmp_path)
    source = KerasSource(tmp_path)
    assert set(source.samplers) == {*SAMPLING_METHODS, method, FIRST_STAGE}
    drawn = model.mixture.draw(1, 3)
    np.testing.assert_allclose(source.latents(method, 3), drawn, rtol=1e-6)


def test_latents_of_a_sampler_decode_to_its_first_sample(explorer):
    source = explorer.source
    for sampler in source.with_latents:
        decoded = source.decode(source.latents(sampler, 7))
        np.testing.assert_allclose(decoded, source.sample(sampler, 1, 7), atol=1e-6)
    assert FIRST_STAGE in source.with_latents


def test_a_black_image_is_encoded_as_beside_others(explorer):
    black, other = np.zeros((1, SIDE, SIDE, 1), "uint8"), digit()[None, ..., None]
    both = explorer.source.encode(np.concatenate([black, other]))
    for alone, beside in zip(explorer.source.encode(black), both, strict=True):
        assert alone.shape == (1, 4)
        np.testing.assert_allclose(alone, beside[:1], atol=1e-5)


def test_a_run_without_models_is_an_error_in_one_line(tmp_path):
    with pytest.raises(InputError, match="stage1 does not exist"):
        explorer_of(tmp_path)


# sliders


def test_sliders_are_of_the_most_active_latents(explorer):
    source = explorer.source
    samples = source.sample(next(iter(source.samplers)), 256, 0)
    moments = source.encode(np.rint(samples * 255).astype("uint8"))
    np.testing.assert_array_equal(explorer.sliders, most_active(*moments)[:8])
    assert sorted(explorer.sliders) == [0, 1, 2, 3]  # of four latents all


def test_sliders_at_their_own_values_reproduce_the_sample(explorer):
    start = explorer.start_of_sample(FIRST_STAGE, 4)
    shown = explorer.edit(start, explorer.slider_values(start))
    assert shown.images.shape == (2, SIDE, SIDE, 1) and shown.columns == 2
    np.testing.assert_array_equal(shown.images[0], shown.images[1])
    sample = explorer.source.sample(FIRST_STAGE, 1, 4)
    np.testing.assert_allclose(shown.images[:1], sample, atol=1e-6)


def test_a_slider_changes_its_latent_alone(explorer):
    start = explorer.start_of_sample(FIRST_STAGE, 4)
    values = explorer.slider_values(start)
    values[1] = 2.5
    z = start.z.copy()
    z[0, explorer.sliders[1]] = 2.5
    shown = explorer.edit(start, values)
    np.testing.assert_allclose(shown.images[1:], explorer.source.decode(z), atol=1e-6)
    assert np.abs(shown.images[0] - shown.images[1]).max() > 1e-4


def test_edited_keeps_what_was_not_moved_to_the_last_bit():
    z = np.array([[0.12345, -1.0, 3.14159]])
    numbers, values = np.array([2, 0]), np.array([3.14, 0.13])
    result = latents.edited(z, numbers, values)
    np.testing.assert_array_equal(result, [[0.13, -1.0, 3.14159]])
    assert z[0, 0] == 0.12345


@pytest.mark.parametrize("values, far", [([0.5, -2], 3), ([3.01], 4), ([-7], 7)])
def test_sliders_reach_every_value(values, far):
    assert latents.reach(np.array(values)) == far


# one's own image


def test_an_image_is_shown_with_its_reconstruction(explorer, image_file):
    pixels = digit()
    start = explorer.start_of_image(image_file(pixels), any_size=False)
    shown = explorer.edit(start, explorer.slider_values(start))
    np.testing.assert_allclose(shown.images[0, ..., 0], pixels / 255, atol=1e-6)
    z, _ = explorer.source.encode(pixels[None, ..., None])
    expected = explorer.source.decode(z)
    np.testing.assert_allclose(shown.images[1:2], expected, atol=1e-6)
    np.testing.assert_array_equal(shown.images[1], shown.images[2])


@pytest.mark.parametrize(
    "content, message",
    [
        (b"no image", r"received mine.png \(not an image\), expected a whole JPEG"),
        (b"", r"received mine.png \(empty file\)"),
        (png(digit(side=40))[:-900], r"received mine.png \("),
        (png(digit(side=40)), f"40x40, expected 8x8, as .*: tick .{ANY_SIZE}"),
    ],
)
def test_a_bad_image_is_an_error_in_one_line(explorer, image_file, content, message):
    with pytest.raises(InputError, match=message) as caught:
        explorer.start_of_image(image_file(content), any_size=False)
    assert "\n" not in str(caught.value)


def test_no_image_is_an_error(explorer):
    with pytest.raises(InputError, match="no image, expected an image file"):
        explorer.start_of_image(None, any_size=True)


def test_an_image_of_any_size_is_cropped_and_resized(explorer, image_file):
    """The middle of the image is white, what is cropped away is black."""
    wide = np.zeros((40, 120, 3), "uint8")
    wide[:, 40:80] = 255
    path = image_file(wide)
    start = explorer.start_of_image(path, any_size=True)
    np.testing.assert_array_equal(start.images[0], np.ones((SIDE, SIDE, 1)))


CONFIG = Stage1Config(data="photos")


@pytest.mark.parametrize(
    "changes, size, shape",
    [
        ({"side": 16}, (30, 20), (16, 16, 3)),
        ({"side": 16, "fit": "letterbox"}, (30, 20), (16, 16, 3)),
        ({"side": 16, "crop": "center", "pad": 32}, (30, 20), (32, 32, 1)),
        ({"side": 64, "crop": "128"}, (178, 218), (64, 64, 3)),
        ({"pad": 32}, (28, 28), (32, 32, 1)),
        ({"pad": 32, "jpeg_roundtrip": True}, (28, 28), (32, 32, 1)),
    ],
)
def test_an_image_is_prepared_as_those_of_the_run(tmp_path, changes, size, shape):
    """As a folder of it, read by the run's settings."""
    from twostage.data.loading import load as load_images

    levels = np.random.default_rng(0).integers(0, 256, (*size[::-1], 3), dtype="uint8")
    (tmp_path / "photos").mkdir()
    for name in ("a.png", "b.png"):  # a folder needs two
        (tmp_path / "photos" / name).write_bytes(png(levels))
    config = dataclasses.replace(CONFIG, **changes)
    folder = tmp_path / "photos"
    options = {**changes, "channels": shape[2], "partial": True}
    images, _ = load_images(folder, **options)
    pixels = uploads_for(config, shape).pixels(png(levels), "a.png")
    np.testing.assert_array_equal(pixels[0], images[0])
    assert pixels.shape == (1, *shape)


def test_an_image_that_a_crop_does_not_fit(tmp_path):
    config = dataclasses.replace(CONFIG, side=64, crop="128")
    uploads = uploads_for(config, (64, 64, 3))
    content = png(digit(side=100))
    with pytest.raises(InputError, match="100x100, expected one that the run's crop"):
        uploads.pixels(content, "a.png")
    assert uploads.pixels(content, "a.png", any_size=True).shape == (1, 64, 64, 3)


def test_the_scale_of_an_array_is_not_for_image_files():
    config = dataclasses.replace(CONFIG, data="floats.npy", scale=255.0)
    pixels = uploads_for(config, (SIDE, SIDE, 1)).pixels(png(digit()), "a.png")
    np.testing.assert_array_equal(pixels[0, ..., 0], digit())


# interpolation


@pytest.mark.parametrize("path", latents.PATHS)
def test_interpolation_begins_and_ends_with_the_images(explorer, image_file, path):
    pixels = [digit(seed) for seed in (1, 2)]
    names = [image_file(each, f"{i}.png") for i, each in enumerate(pixels)]
    shown = explorer.between_images(tuple(names), 5, path, any_size=False)
    assert shown.images.shape == (5, SIDE, SIDE, 1) and shown.columns == 5
    for i, each in ((0, pixels[0]), (-1, pixels[1])):
        z, _ = explorer.source.encode(each[None, ..., None])
        expected = explorer.source.decode(z)[0]
        np.testing.assert_allclose(shown.images[i], expected, atol=1e-6)


def test_interpolation_begins_and_ends_with_the_samples_of_the_seeds(explorer):
    for sampler in explorer.source.with_latents:
        shown = explorer.between_seeds(sampler, (3, 9), 4)
        for i, seed in ((0, 3), (-1, 9)):
            sample = explorer.source.sample(sampler, 1, seed)[0]
            np.testing.assert_allclose(shown.images[i], sample, atol=1e-6)


def test_paths_between_latents():
    first, second = np.array([[2.0, 0.0]]), np.array([[0.0, 2.0]])
    line = latents.interpolated(first, second, 3, "linear")
    np.testing.assert_allclose(line, [[2, 0], [1, 1], [0, 2]])
    arc = latents.interpolated(first, second, 3, "spherical")
    np.testing.assert_allclose(arc, [[2, 0], [2**0.5, 2**0.5], [0, 2]], atol=1e-6)
    for parallel in (2 * first, -first, 0 * first):
        path = latents.interpolated(first, parallel, 5, "spherical")
        line = latents.interpolated(first, parallel, 5, "linear")
        np.testing.assert_allclose(path, line, atol=1e-6)


# what a user gives


@pytest.mark.parametrize(
    "n, seed, message",
    [
        (0, 0, "0 as number of images, expected a whole number, 1 to 400"),
        (None, 0, "no value as number of images"),
        (4, -1, "-1 as seed, expected a whole number, 0 to 2147483647"),
        (4, LARGEST + 1, "2147483648 as seed"),
        (4, 1.5, "1.5 as seed"),
        (4, float("nan"), "nan as seed"),
    ],
)
def test_bad_numbers(explorer, n, seed, message):
    with pytest.raises(InputError, match=message):
        explorer.samples(FIRST_STAGE, n, seed)


def test_the_largest_seed(explorer):
    shown = explorer.samples(FIRST_STAGE, 1, LARGEST)
    assert shown.images.shape == (1, SIDE, SIDE, 1)
    assert shown.name == "samples-first-stage-1-seed-2147483647"


def command(capsys, *arguments):
    with pytest.raises(SystemExit) as caught:
        explore.main(list(map(str, arguments)))
    assert caught.value.code == 2
    return capsys.readouterr().err.splitlines()[-1]


def test_without_gradio_the_extra_is_named(monkeypatch, capsys, small_run):
    monkeypatch.setitem(sys.modules, "gradio", None)
    assert command(capsys, "--run", small_run[0]) == (
        "error: received no gradio, expected it for the page: pip install gradio (the"
        " extra `explore`)"
    )


@pytest.mark.parametrize(
    "address, message",
    [
        ({"port": 70_000}, "`port=70000`, expected 1 to 65535"),
        ({"host": "192.0.2.1", "port": 7999}, r"host='192.0.2.1', port=7999` \("),
    ],
)
def test_an_address_that_is_not_free(address, message):
    with pytest.raises(InputError, match=message), served(None, **address):
        pass


def test_every_answer_forbids_other_sources():
    import asyncio

    sent = []

    async def app(scope, receive, send):
        await send({"type": "http.response.start", "headers": [(b"a", b"b")]})
        await send({"type": "http.response.body"})

    async def send(message):
        sent.append(message)

    asyncio.run(OwnSourcesOnly(app)({}, None, send))
    header = (b"content-security-policy", POLICY.encode())
    assert sent[0]["headers"] == [(b"a", b"b"), header]
    assert sent[1] == {"type": "http.response.body"}


def test_uploads_are_prepared_by_the_runs_config(explorer, small_run):
    saved = json.loads((small_run[0] / "stage1" / "config.json").read_text())
    preprocessing = explorer.uploads.preprocessing
    for name in ("crop", "side", "pad", "fit", "resize", "jpeg_roundtrip"):
        assert getattr(preprocessing, name) == saved["config"][name]
