"""The page of `twostage explore` in Chromium, by real clicks."""

import contextlib
import io
import shutil
from urllib.parse import urlsplit

import numpy as np
import pytest
from PIL import Image

from twostage.explore.explorer import explorer_of
from twostage.explore.server import served
from twostage.reporting.png import save_png, tile
from twostage.two_stage_vae import FIRST_STAGE

pytest.importorskip("gradio")
playwright = pytest.importorskip("playwright.sync_api")
CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser")
pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(CHROMIUM is None, reason="there is no Chromium"),
]
PATIENCE = 60_000  # milliseconds


@pytest.fixture(scope="module")
def explorer(small_run):
    return explorer_of(small_run[0])


@pytest.fixture(scope="module")
def address(explorer):
    with served(explorer) as url:
        yield url


@pytest.fixture(scope="module")
def browser():
    with playwright.sync_playwright() as program:
        options = {"executable_path": CHROMIUM, "args": ["--no-sandbox"]}
        with contextlib.closing(program.chromium.launch(**options)) as browser:
            yield browser


@pytest.fixture(params=[1280, 420])
def page(request, browser, address):
    size = {"width": request.param, "height": 900}
    hosts, errors = set(), []
    with contextlib.closing(browser.new_context(viewport=size)) as context:
        page = context.new_page()
        page.set_default_timeout(PATIENCE)
        playwright.expect.set_options(timeout=PATIENCE)
        page.on("request", lambda request: hosts.add(urlsplit(request.url).hostname))
        page.on("pageerror", lambda error: errors.append(error))
        page.on("console", lambda line: line.type == "error" and errors.append(line))
        page.goto(address)
        grid(page).wait_for()
        yield page
        assert hosts - {None} == {"127.0.0.1"}  # None: data and blobs
        assert errors == []
        assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")


def shown(page, selector):
    """The elements of a selector in the open tab."""
    return page.locator(f".tabitem:visible {selector}")


def grid(page):
    return page.locator(".shown img:visible")


def source_of_grid(page):
    grid(page).wait_for()
    page.wait_for_function(
        "image => image.naturalWidth", arg=grid(page).element_handle()
    )
    return grid(page).get_attribute("src")


def wait_for_another(page, before):
    playwright.expect(grid(page)).not_to_have_attribute("src", before)


def pixels_of_grid(page):
    """As the browser decoded them, (height, width)."""
    source_of_grid(page)
    height, width, levels = grid(page).evaluate(
        "image => { const canvas = document.createElement('canvas');"
        " canvas.width = image.naturalWidth; canvas.height = image.naturalHeight;"
        " const context = canvas.getContext('2d'); context.drawImage(image, 0, 0);"
        " const data = context.getImageData(0, 0, canvas.width, canvas.height).data;"
        " return [canvas.height, canvas.width, [...data.filter((_, i) => i % 4 == 0)]];"
        " }"
    )
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
    text = page.locator("body").inner_text()
    assert explorer.source.description.split(":")[0] in text
    before = source_of_grid(page)
    seed = shown(page, "").get_by_label("Seed", exact=True)
    seed.fill("7")
    seed.press("Enter")
    wait_for_another(page, before)
    sampler = next(iter(explorer.source.samplers))
    images = explorer.source.sample(sampler, 64, 7)
    wanted = expected(tmp_path, images)
    np.testing.assert_array_equal(pixels_of_grid(page), wanted)
    with page.expect_download() as download:
        page.get_by_text("Download as PNG").locator("visible=true").click()
    assert download.value.suggested_filename[-10:] == "seed-7.png"
    downloaded = np.asarray(Image.open(download.value.path()))
    np.testing.assert_array_equal(downloaded, wanted)


def test_a_slider_edits_the_sample(page, explorer, tmp_path):
    page.get_by_role("tab", name="Latents").click()
    sampler = explorer.source.with_latents[0]
    start = explorer.start_of_sample(sampler, 0)
    values = explorer.slider_values(start)
    edited = explorer.edit(start, values)
    wanted = expected(tmp_path, edited.images, edited.columns)
    np.testing.assert_array_equal(pixels_of_grid(page), wanted)
    before = source_of_grid(page)
    slider = shown(page, "input[type=range]").first
    box = slider.bounding_box()
    slider.click(position={"x": 0.1 * box["width"], "y": box["height"] / 2})
    wait_for_another(page, before)
    values[0] = float(slider.input_value())
    edited = explorer.edit(start, values)
    wanted = expected(tmp_path, edited.images, edited.columns)
    np.testing.assert_array_equal(pixels_of_grid(page), wanted)


def test_ones_own_image(page, explorer, tmp_path):
    page.get_by_role("tab", name="Your image").click()
    path = image_file(tmp_path, 1)
    upload = shown(page, "input[type=file]")
    upload.set_input_files(path)
    start = explorer.start_of_image(str(path), any_size=False)
    edited = explorer.edit(start, explorer.slider_values(start))
    wanted = expected(tmp_path, edited.images, edited.columns)
    np.testing.assert_array_equal(pixels_of_grid(page), wanted)
    text = tmp_path / "notes.png"
    text.write_text("no image")
    error = shown(page, ".error")
    for bad, message in (
        (text, "received notes.png (not an image), expected a whole JPEG"),
        (image_file(tmp_path, 2, 40), "received an image of 40x40, expected 8x8"),
    ):
        shown(page, "button:is([aria-label*=emove], [aria-label*=lear])").first.click()
        upload.set_input_files(bad)
        playwright.expect(error.filter(has_text=message)).to_be_visible()
        assert error.inner_text().startswith(message)
        assert not grid(page).count()
    shown(page, "input[type=checkbox]").check()
    grid(page).wait_for()
    assert not error.locator("visible=true").count()


def test_interpolation_between_seeds_and_images(page, explorer, tmp_path):
    page.get_by_role("tab", name="Interpolation").click()
    between = explorer.between_seeds(explorer.source.with_latents[0], (0, 1), 9)
    wanted = expected(tmp_path, between.images, between.columns)
    np.testing.assert_array_equal(pixels_of_grid(page), wanted)
    shown(page, "input[type=radio]").nth(1).check()
    paths = [image_file(tmp_path, seed) for seed in (1, 2)]
    for path in paths:
        shown(page, "input[type=file]").first.set_input_files(path)
        page.get_by_text(path.stem).first.wait_for()
    before = source_of_grid(page)
    page.get_by_role("button", name="Interpolate").click()
    wait_for_another(page, before)
    between = explorer.between_images(tuple(map(str, paths)), 9, any_size=False)
    wanted = expected(tmp_path, between.images, between.columns)
    np.testing.assert_array_equal(pixels_of_grid(page), wanted)


def test_uploads_do_not_stay_on_disk(explorer, monkeypatch, tmp_path):
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    with served(explorer), contextlib.suppress(KeyboardInterrupt):
        assert list(tmp_path.glob("twostage-explore-*"))
    assert not list(tmp_path.glob("twostage-explore-*"))
    assert FIRST_STAGE in explorer.source.samplers
