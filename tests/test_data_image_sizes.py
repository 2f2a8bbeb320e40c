"""Sizes, channels and how a side is reached: read from headers, before anything is
decoded.
"""

import dataclasses
import io
import re
import zipfile

import numpy as np
import pytest
from PIL import Image
from test_cli_errors import mistake
from test_data_image_files import write_images

from twostage import InputError
from twostage.cli.main import COMMANDS
from twostage.config import Stage1Config
from twostage.data import headers, loading
from twostage.data.decode import decode, read_header
from twostage.data.image_sizes import ImageSizes, SizeCount
from twostage.data.preprocessing import Preprocessing
from twostage.features.choose import load_labeled
from twostage.models import build


def coded(image, kind="png", **options):
    file = io.BytesIO()
    image.save(file, kind, **options)
    return file.getvalue()


def sizes_of(*sizes):
    return ImageSizes([SizeCount(*size, "a.png") for size in sizes])


TURNED = Image.Exif()
TURNED[0x0112] = 6
COLOR = Image.fromarray(np.arange(72, dtype="uint8").reshape(6, 4, 3))
HEADERS = {
    "color": (COLOR, "png", {}),
    "gray": (COLOR.convert("L"), "png", {}),
    "palette": (COLOR.convert("P"), "png", {}),
    "gif": (COLOR.convert("P"), "gif", {}),
    "gray gif": (COLOR.convert("L"), "gif", {}),
    "black and white": (COLOR.convert("1"), "png", {}),
    "gray alpha": (COLOR.convert("LA"), "png", {}),
    "alpha": (COLOR.convert("RGBA"), "webp", {}),
    "16 bits": (Image.fromarray(np.zeros((6, 4), "uint16")), "png", {}),
    "print": (COLOR.convert("CMYK"), "jpeg", {}),
    "gray jpeg": (COLOR.convert("L"), "jpeg", {}),
    "bitmap": (COLOR, "bmp", {}),
    "turned jpeg": (COLOR, "jpeg", {"exif": TURNED}),
    "turned png": (COLOR, "png", {"exif": TURNED}),
    "turned webp": (COLOR, "webp", {"exif": TURNED}),
}


@pytest.mark.parametrize("case", HEADERS)
def test_a_header_says_what_decoding_gives(case):
    image, kind, options = HEADERS[case]
    content = coded(image, kind, **options)
    decoded = decode(content)
    found = read_header(io.BytesIO(content))
    assert found == (*decoded.size, len(decoded.getbands()))


def test_unequal_sizes_are_refused_before_decoding(tmp_path, monkeypatch):
    write_images(tmp_path / "x" / "train", 30, (150, 100))
    write_images(tmp_path / "x" / "test", 30, (100, 70))
    monkeypatch.setattr(Preprocessing, "__call__", None)
    with pytest.raises(InputError) as refused:
        loading.load(tmp_path / "x", cache=tmp_path / "cache")
    assert str(refused.value) == (
        "received images of unequal sizes, 100x70 in test/0000.png and 150x100 in"
        " train/0000.png, expected equal ones: make them equal with `side=64,"
        " fit='crop'`"
    )
    assert not list((tmp_path / "cache").rglob("*.npy"))


@pytest.mark.parametrize(
    ("size", "flags", "words"),
    [
        ((250, 250), [], "250x250, expected squares .* resize them with --side 128$"),
        ((178, 218), [], "218x178, expected .* resize them with --side 128 --fit crop"),
        ((100, 100), [], "expected squares .*: resize them with --side 64$"),
        ((100, 100), ["--side", "50"], "50x50, .* resize them with --side 64$"),
        ((100, 100), ["--network", "rae"], "resize them with --side 64$"),
        ((90, 90), ["--network", "infogan"], "4 divides: resize them with --side 64$"),
        ((28, 28), [], "expected squares of .*: pad them with --pad 32$"),
        ((60, 60), ["--pad", "62"], "received images of 62x62, .* --pad 64$"),
    ],
)
def test_a_side_is_proposed_before_decoding(
    tmp_path, capsys, monkeypatch, size, flags, words
):
    write_images(tmp_path / "x", 40, size)
    monkeypatch.setattr(Preprocessing, "__call__", None)
    arguments = ["--data", tmp_path / "x", "--run", tmp_path / "run", *flags]
    arguments += ["--preset", "digits"]  # "auto" resizes them itself
    line = mistake(capsys, COMMANDS["train-stage1"], *arguments)
    assert re.search(words, line), line


@pytest.mark.parametrize("network", build.NETWORKS)
def test_images_are_checked_as_networks_are_built(network):
    config = Stage1Config(network=network, num_scale=2, base_dim=2, fc_dim=4)
    for shape in ((28, 28, 1), (64, 64, 3), (30, 28, 1), (7, 9, 1), (32, 64, 3)):
        refusals = []
        for check in (build.check_images, _build):
            try:
                refusals.append(check(config, shape))
            except InputError as error:
                refusals.append(str(error))
        assert refusals[0] == refusals[1]


def _build(config, shape):
    build.build_networks(config, shape, ("sigmoid",))


def test_sides_that_are_proposed():
    """The largest that at least half of the images have both ways."""
    assert sizes_of((200, 128, 3, 5), (60, 90, 3, 5)).proposed_side == 128
    assert sizes_of((200, 128, 3, 5), (60, 90, 3, 6)).proposed_side == 32
    assert sizes_of((500, 64, 1, 1)).proposed_side == 64
    assert sizes_of((9, 7, 3, 1)).proposed_side == 32
    assert sizes_of((9, 7, 3, 1)).possible_sides == []


def test_what_is_stretched_enlarged_or_colored_is_reported():
    sizes = sizes_of((100, 50, 3, 7), (64, 64, 1, 2), (40, 30, 3, 1))
    assert sizes.remarks(Preprocessing(side=64)) == [
        "2 of 10 images are gray, and become color ones of equal channels: `channels=1`"
        " makes all gray instead",
        "8 of 10 images are stretched to squares, one side by up to 2.00: `fit='crop'`"
        " takes their middle, `fit='letterbox'` adds black bars",
        "8 of 10 images are smaller than 64x64, and enlarged",
    ]
    letterbox = Preprocessing(side=64, channels=1, fit="letterbox")
    assert sizes.remarks(letterbox) == [
        "8 of 10 images are in color, and become gray",
        "1 of 10 images are smaller than 64x64, and enlarged",
    ]
    for options in ({"crop": "center"}, {"fit": "crop"}):
        cropped = Preprocessing(side=30, channels=3, **options)
        assert len(sizes.remarks(cropped)) == 1  # of the gray ones
    faces = sizes_of((178, 218, 3, 4))
    assert faces.remarks(Preprocessing("128", 64)) == []
    assert faces.remarks(Preprocessing("128", 200)) == [
        "4 of 4 images are smaller than 200x200, and enlarged"
    ]
    assert faces.remarks(Preprocessing()) == []


def test_what_is_said_before_images_are_prepared(tmp_path, caplog):
    caplog.set_level("INFO", "twostage")
    write_images(tmp_path / "train", 5, (20, 10))
    write_images(tmp_path / "test", 3, (10, 10))
    cache = str(tmp_path / "cache")
    loading.load_splits(Stage1Config(data=str(tmp_path), side=16, cache=cache))
    said = [record.getMessage() for record in caplog.records]
    assert said[:2] == [
        "5 of 8 images are stretched to squares, one side by up to 2.00: `fit='crop'`"
        " takes their middle, `fit='letterbox'` adds black bars",
        "8 of 8 images are smaller than 16x16, and enlarged",
    ]
    assert said[2] == (
        f"8 images of 16x16x3 are cached in {cache}: 0.0 MB on disk, and in memory"
        " where there is room"
    )
    assert len(said) == 5  # and a line for each split


def test_crop_takes_the_central_square(tmp_path):
    write_images(tmp_path, 30, (14, 9))
    cropped, _ = loading.load(tmp_path, side=8, fit="crop")
    centered, _ = loading.load(tmp_path, side=8, crop="center")
    np.testing.assert_array_equal(cropped, centered)
    assert not np.array_equal(cropped, loading.load(tmp_path, side=8)[0])
    both, _ = loading.load(tmp_path, side=8, crop="center", fit="crop")
    np.testing.assert_array_equal(both, centered)


@pytest.mark.parametrize("mode", ["L", "RGB"])
@pytest.mark.parametrize(
    ("size", "rows", "columns"),
    [
        ((40, 20), (2, 6), (0, 8)),
        ((20, 40), (0, 8), (2, 6)),
        ((4, 3), (1, 7), (0, 8)),  # enlarged
        ((900, 1), (3, 4), (0, 8)),
        ((5, 5), (0, 8), (0, 8)),
    ],
)
def test_letterbox_adds_black_bars(mode, size, rows, columns):
    content = coded(Image.new(mode, size, "white"))
    pixels, _ = Preprocessing(side=8, fit="letterbox")(content)
    expected = np.zeros((8, 8, len(mode)), "uint8")
    expected[slice(*rows), slice(*columns)] = 255
    np.testing.assert_array_equal(pixels, expected)


def test_a_letterboxed_image_is_scaled_as_pillow_does():
    pixels = np.random.default_rng(0).integers(0, 256, (20, 40, 3), "uint8")
    image = Image.fromarray(pixels)
    found, _ = Preprocessing(side=16, fit="letterbox", resize="bicubic")(coded(image))
    scaled = image.resize((16, 8), Image.Resampling.BICUBIC)
    np.testing.assert_array_equal(found[4:12], np.asarray(scaled))


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"fit": "crop"}, "`fit='crop'` without `side`, expected both: add `side=64`"),
        ({"fit": "cover", "side": 8}, "expected one of stretch, crop, letterbox"),
        ({"fit": "letterbox", "side": 8, "crop": "center"}, "one of them: after the"),
        ({"fit": "letterbox", "side": 8, "crop": "128"}, "one of them: after the crop"),
        ({"channels": 4}, "`channels=4`, expected one of 0, 1, 3"),
    ],
)
def test_a_preprocessing_that_makes_no_sense(options, words):
    with pytest.raises(InputError, match=words):
        Preprocessing(**options)


def write_gray(folder, count, size=(12, 12)):
    write_images(folder, count, size)
    for path in folder.iterdir():
        Image.open(path).convert("L").save(path)


@pytest.mark.parametrize("colored", ["train", "validation", "test"])
def test_channels_are_decided_over_all_splits(tmp_path, colored):
    for split in ("train", "validation", "test"):
        (write_images if split == colored else write_gray)(tmp_path / split, 4)
    for split in ("train", "validation", "test"):
        images, _ = loading.load(tmp_path, split)
        assert images.shape == (4, 12, 12, 3)
        is_gray = (images == images[..., :1]).all()
        assert is_gray == (split != colored)
    splits = loading.load_splits(Stage1Config(data=str(tmp_path)))
    assert len({images.shape for images, _ in splits.values()}) == 1


def test_channels_are_as_wanted(tmp_path):
    """Gray by Pillow's "L", of files and of arrays; each has a cache of its own."""
    write_images(tmp_path / "train", 4)
    write_gray(tmp_path / "test", 3)
    names = sorted((tmp_path / "train").iterdir())
    color = np.stack([np.asarray(Image.open(name)) for name in names])
    gray = np.stack([np.asarray(Image.open(name).convert("L")) for name in names])
    np.savez(tmp_path / "color.npz", x_train=color, x_test=color)
    np.savez(tmp_path / "gray.npz", x_train=gray, x_test=gray)
    for source in (tmp_path, tmp_path / "color.npz"):
        found, _ = loading.load(source, channels=1)
        np.testing.assert_array_equal(found, gray[..., None])
        np.testing.assert_array_equal(loading.load(source)[0], color)
    assert loading.load(tmp_path, "test", channels=1)[0].shape[-1] == 1
    repeated, _ = loading.load(tmp_path / "gray.npz", channels=3)
    np.testing.assert_array_equal(repeated, np.repeat(gray[..., None], 3, -1))


def test_headers_are_read_once(tmp_path, monkeypatch):
    write_images(tmp_path / "x", 30)
    home = tmp_path / "cache"
    before, _ = loading.load(tmp_path / "x", cache=home)
    read = headers._read
    monkeypatch.setattr(headers, "_read", None)
    again, _ = loading.load(tmp_path / "x", cache=home, side=6)
    assert again.shape[1:] == (6, 6, 3)
    calls = []
    monkeypatch.setattr(
        headers, "_read", lambda source: calls.append(source.name) or read(source)
    )
    write_gray(tmp_path / "x", 30)
    found, _ = loading.load(tmp_path / "x", cache=home)
    assert sorted(calls) == ["x-test", "x-train"]
    assert found.shape == (*before.shape[:3], 1)


def test_a_broken_image_of_another_size_is_called_broken(tmp_path):
    write_images(tmp_path, 30)
    noise = np.random.default_rng(0).integers(0, 256, (50, 40, 3), "uint8")
    content = coded(Image.fromarray(noise))
    (tmp_path / "cut.png").write_bytes(content[: len(content) // 2])
    with pytest.raises(InputError, match=r"cannot be read: cut.png"):
        loading.load(tmp_path)
    assert loading.load(tmp_path, skip_broken=True)[0].shape[1:] == (12, 12, 3)
    (tmp_path / "cut.png").write_bytes(content)
    with pytest.raises(InputError, match=r"12x12 in 0000\.png and 40x50 in cut"):
        loading.load(tmp_path, skip_broken=True)


def test_headers_in_a_zip(tmp_path):
    write_images(tmp_path / "x", 30, (40, 40))
    write_gray(tmp_path / "y", 3, (30, 50))
    with zipfile.ZipFile(tmp_path / "x.zip", "w", zipfile.ZIP_DEFLATED) as packed:
        for path in sorted((tmp_path / "x").iterdir()):
            packed.write(path, path.name)
    assert loading.load(tmp_path / "x.zip")[0].shape[1:] == (40, 40, 3)
    with zipfile.ZipFile(tmp_path / "x.zip", "a") as packed:
        for path in sorted((tmp_path / "y").iterdir()):
            packed.write(path, f"y/{path.name}")
    with pytest.raises(InputError, match=r"40x40 in 0.* and 30x50 in y/0.*`side=32, f"):
        loading.load(tmp_path / "x.zip")


def test_a_set_without_test_images_is_reported(tmp_path, capsys):
    write_images(tmp_path / "x" / "train", 107, (8, 8))
    arguments = ["--data", tmp_path / "x", "--run", tmp_path / "run", "--dry-run"]
    arguments += ["--preset", "digits"]
    COMMANDS["train-stage1"]([*map(str, arguments), "--held-out", "0"])
    said = capsys.readouterr()
    assert said.err.count("x has no test split: `evaluate` needs one") == 1
    assert "120 in all; each epoch omits 7 images, different ones each time" in said.out
    config = Stage1Config(data=str(tmp_path / "x"))
    with pytest.raises(InputError, match="which has no test split, expected images to"):
        load_labeled(config)
    aside = dataclasses.replace(config, held_out=0.1)
    assert len(load_labeled(aside).test.images) == 11
    COMMANDS["train-stage1"](list(map(str, arguments)))
    assert "`evaluate` uses the held-out images instead" in capsys.readouterr().err
    write_images(tmp_path / "x" / "test", 3, (8, 8))
    assert len(load_labeled(config).test.images) == 3
    COMMANDS["train-stage1"](list(map(str, arguments)))
    assert "no test split" not in capsys.readouterr().err
