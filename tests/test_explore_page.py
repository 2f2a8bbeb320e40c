"""The page of `twostage explore` in Chromium, by real clicks."""

import contextlib
import io
import time

import numpy as np
import pytest
from chromium import PATIENCE, PROGRAM, Chromium
from PIL import Image

from twostage.explore.explorer import explorer_of
from twostage.explore.server import served
from twostage.reporting.png import save_png, tile
from twostage.two_stage_vae import FIRST_STAGE

pytest.importorskip("gradio")
pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(PROGRAM is None, reason="there is no Chromium"),
]
ERROR = "[...document.querySelectorAll('.error')].find(e => e.offsetParent)"
GRID = "[...document.querySelectorAll('.shown img')].find(e => e.offsetParent)"


@pytest.fixture(scope="module")
def explorer(small_run):
    return explorer_of(small_run[0])


@pytest.fixture(scope="module")
def address(explorer):
    with served(explorer) as url:
        yield url


@pytest.fixture(params=[1280, 420])
def page(request, address, tmp_path):
    with Chromium(request.param) as page:
        page.call(
            "Browser.setDownloadBehavior",
            behavior="allow",
            downloadPath=str(tmp_path / "downloads"),
        )
        page.open(address)
        page.wait(GRID)
        yield page
        assert page.hosts() == {"127.0.0.1"}
        assert page.errors() == []
        assert page.js("document.documentElement.scrollWidth <= innerWidth")


def visible(selector, order=0):
    return (
        f"[...document.querySelectorAll({selector!r})]"
        f".filter(e => e.closest('.tabitem').offsetParent)[{order}]"
    )


def named(selector, text):
    return (
        f"[...document.querySelectorAll({selector!r})]"
        f".find(e => e.innerText.trim() == {text!r} && e.offsetParent)"
    )


def source_of_grid(page):
    page.wait(f"{GRID} && {GRID}.naturalWidth")
    return page.js(f"{GRID}.src")


def pixels_of_grid(page):
    """As the browser decoded them, (height, width)."""
    source_of_grid(page)
    values = page.js(
        f"(() => {{ const image = {GRID};"
        " const canvas = document.createElement('canvas');"
        " canvas.width = image.naturalWidth; canvas.height = image.naturalHeight;"
        " const context = canvas.getContext('2d'); context.drawImage(image, 0, 0);"
        " const data = context.getImageData(0, 0, canvas.width, canvas.height).data;"
        " return [canvas.height, canvas.width, [...data.filter((_, i) => i % 4 == 0)]];"
        " })()"
    )
    height, width, levels = values
    return np.array(levels, "uint8").reshape(height, width)


def expected(folder, images, columns=None):
    save_png(folder / "expected.png", tile(images, columns=columns))
    return np.asarray(Image.open(folder / "expected.png"))


def image_file(folder, seed, side=8):
    levels = np.random.default_rng(seed).integers(0, 256, (side, side), dtype="uint8")
    file = io.BytesIO()
    Image.fromarray(levels).save(file, "png")
    path = folder / f"mine-{seed}-{side}.png"
    path.write_bytes(file.getvalue())
    return path


def test_samples_of_a_seed_are_shown_and_downloaded(page, explorer, tmp_path):
    assert explorer.source.description.split(":")[0] in page.js(
        "document.body.innerText"
    )
    before = source_of_grid(page)
    page.click(visible("input[aria-label='Seed'], [type=number]:not([min])"))
    page.type("7")
    page.wait(f"{GRID} && {GRID}.src != {before!r}")
    sampler = next(iter(explorer.source.samplers))
    images = explorer.source.sample(sampler, 64, 7)
    wanted = expected(tmp_path, images)
    np.testing.assert_array_equal(pixels_of_grid(page), wanted)
    page.click(named("button, a", "Download as PNG"))
    ends, files = time.monotonic() + PATIENCE, []
    while time.monotonic() < ends and not files:
        files = list((tmp_path / "downloads").glob("*.png"))
        time.sleep(0.1)
    assert [file.name[-10:] for file in files] == ["seed-7.png"]
    np.testing.assert_array_equal(np.asarray(Image.open(files[0])), wanted)


def test_a_slider_edits_the_sample(page, explorer, tmp_path):
    page.click(named("button[role=tab]", "Latents"))
    sampler = explorer.source.with_latents[0]
    start = explorer.start_of_sample(sampler, 0)
    values = explorer.slider_values(start)
    shown = explorer.edit(start, values)
    wanted = expected(tmp_path, shown.images, shown.columns)
    np.testing.assert_array_equal(pixels_of_grid(page), wanted)
    before = source_of_grid(page)
    page.click(visible("input[type=range]"), 0.1)
    page.wait(f"{GRID} && {GRID}.src != {before!r}")
    values[0] = float(page.js(visible("input[type=range]") + ".value"))
    shown = explorer.edit(start, values)
    wanted = expected(tmp_path, shown.images, shown.columns)
    np.testing.assert_array_equal(pixels_of_grid(page), wanted)


def test_ones_own_image(page, explorer, tmp_path):
    page.click(named("button[role=tab]", "Your image"))
    page.wait(visible("input[type=file]"))
    path = image_file(tmp_path, 1)
    page.upload(visible("input[type=file]"), path)
    start = explorer.start_of_image(str(path), any_size=False)
    shown = explorer.edit(start, explorer.slider_values(start))
    wanted = expected(tmp_path, shown.images, shown.columns)
    np.testing.assert_array_equal(pixels_of_grid(page), wanted)
    remove = "[...document.querySelectorAll('button')].find("
    remove += "e => /remove|clear/i.test(e.ariaLabel || '') && e.offsetParent)"
    text = tmp_path / "notes.png"
    text.write_text("no image")
    for bad, message in (
        (text, "received notes.png (not an image), expected a whole JPEG"),
        (image_file(tmp_path, 2, 40), "received an image of 40x40, expected 8x8"),
    ):
        page.click(remove)
        page.wait(visible("input[type=file]"))
        page.upload(visible("input[type=file]"), bad)
        page.wait(f"{ERROR} && {ERROR}.innerText.startsWith({message!r})")
        assert not page.js(f"Boolean({GRID})")
    page.click(visible("input[type=checkbox]"))
    page.wait(GRID)
    assert not page.js(f"Boolean({ERROR})")


def test_interpolation_between_seeds_and_images(page, explorer, tmp_path):
    page.click(named("button[role=tab]", "Interpolation"))
    shown = explorer.between_seeds(explorer.source.with_latents[0], (0, 1), 9)
    wanted = expected(tmp_path, shown.images, shown.columns)
    np.testing.assert_array_equal(pixels_of_grid(page), wanted)
    page.click(visible("input[type=radio]", 1))
    paths = [image_file(tmp_path, seed) for seed in (1, 2)]
    for path in paths:
        page.wait(visible("input[type=file]"))
        page.upload(visible("input[type=file]"), path)
        page.wait(f"document.body.innerText.includes({path.name!r})")
    before = source_of_grid(page)
    page.click(named("button", "Interpolate"))
    page.wait(f"{GRID} && {GRID}.src != {before!r}")
    shown = explorer.between_images(tuple(map(str, paths)), 9, any_size=False)
    wanted = expected(tmp_path, shown.images, shown.columns)
    np.testing.assert_array_equal(pixels_of_grid(page), wanted)


def test_uploads_do_not_stay_on_disk(explorer, monkeypatch, tmp_path):
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    with served(explorer), contextlib.suppress(KeyboardInterrupt):
        assert list(tmp_path.glob("twostage-explore-*"))
    assert not list(tmp_path.glob("twostage-explore-*"))
    assert FIRST_STAGE in explorer.source.samplers
