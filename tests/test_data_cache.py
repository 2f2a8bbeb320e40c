"""The cache of preprocessed images: the bytes are those of a plain loop, however they
came about; what is there is used only where it is right.
"""

import json
import os
import signal
import subprocess
import sys
import zipfile
from types import SimpleNamespace

import numpy as np
import pytest
from PIL import Image
from test_data_image_files import write_images

from twostage import InputError
from twostage.data import cache, cache_writer, celeba, loading
from twostage.data.image_files import Folder, Zip
from twostage.data.preprocessing import Preprocessing
from twostage.data.splits import split_of

try:
    import fcntl
except ImportError:  # on Windows
    fcntl = None


def left_in(place):
    """The files of a cache but its lock, which stays where the system has `fcntl`."""
    names = sorted(path.name for path in place.iterdir())
    if fcntl:
        assert names[0] == ".lock"
    return [name for name in names if name != ".lock"]


def faces(folder, count=40):
    """Aligned JPEGs of smooth colors, as many different ones."""
    folder.mkdir(parents=True, exist_ok=True)
    generator = np.random.default_rng(0)
    for i in range(count):
        small = Image.fromarray(generator.integers(0, 256, (7, 6, 3), "uint8"))
        small.resize(celeba.SIZE, Image.Resampling.BICUBIC).save(
            folder / f"{i:06d}.jpg"
        )
    return folder


def plain_loop(folder, names):
    """Decode, crop, bilinear resize: what the cache must hold."""
    found = []
    for name in names:
        with Image.open(folder / name) as image:
            found.append(
                np.asarray(
                    image.convert("RGB")
                    .crop((25, 45, 153, 173))
                    .resize((64, 64), Image.Resampling.BILINEAR)
                )
            )
    return np.stack(found)


def prepare(folder, home, **options):
    source = split_of(Folder(folder), "train")
    return (
        source,
        *cache.prepared(
            source, Preprocessing(**{"crop": "128", "side": 64, **options}), home
        ),
    )


def test_it_holds_what_a_plain_loop_gives_and_says_what_it_is(tmp_path):
    source, images, manifest = prepare(faces(tmp_path / "faces"), tmp_path / "cache")
    np.testing.assert_array_equal(images, plain_loop(tmp_path / "faces", source.names))
    assert isinstance(images, np.memmap) and not images.flags.writeable
    place = next((tmp_path / "cache").iterdir())
    assert place.name.startswith("faces-train-crop128-bilinear64-")
    assert left_in(place) == ["images.npy", "manifest.json"]
    np.testing.assert_array_equal(np.load(place / "images.npy"), images)
    assert json.loads((place / "manifest.json").read_text()) == manifest
    assert (
        manifest["count"] == manifest["key"]["pictures"] == len(images)
        and manifest["sizes"] == [178, 218, 178, 218]
        and manifest["broken"] == {}
    )
    assert manifest["key"]["options"] == {
        "crop": "128",
        "side": 64,
        "resize": "bilinear",
        "jpeg_roundtrip": False,
        "pad": 0,
        "channels": 0,
        "fit": "stretch",
        "scale": 0.0,
    }
    assert (
        manifest["key"]["split"].startswith(
            "by a hash of the names: test where the first byte of SHA-256 is below 26"
        )
        and manifest["key"]["pillow"]
    )


def test_a_disk_that_is_too_small_is_reported_before_it_is_full(tmp_path, monkeypatch):
    source = split_of(Folder(faces(tmp_path / "faces")), "train")
    room = 64 * 64 * 3 * len(source.names)
    for free, side in (
        (room // 3 - 1, 64),
        (room, None),
        (room, 10**6),
    ):  # channels are not known yet
        monkeypatch.setattr(
            "shutil.disk_usage", lambda path, free=free: SimpleNamespace(free=free)
        )
        preprocessing = Preprocessing("128", side or 64)
        if side is None:
            assert len(
                cache.prepared(source, preprocessing, tmp_path / "enough")[0]
            ) == len(source.names)
        else:
            with pytest.raises(
                InputError,
                match=(
                    rf"images of shape {side}x{side}.* GiB in .* make room, make them"
                    r" smaller with `side`"
                ),
            ):
                cache.prepared(source, preprocessing, tmp_path / f"{side}")
            assert not any((tmp_path / f"{side}").rglob("images.npy"))


def test_all_cores_give_the_same_bytes(tmp_path, monkeypatch):
    folder = faces(tmp_path / "faces", 100)
    monkeypatch.setattr(cache_writer, "IMAGES_PER_CHUNK", 8)
    monkeypatch.setattr(cache_writer, "MIN_IMAGES_PER_PROCESS", 20)
    monkeypatch.setattr(cache_writer, "cpu_count", lambda: 2)
    source, images, _ = prepare(folder, tmp_path / "cache")
    np.testing.assert_array_equal(images, plain_loop(folder, source.names))


def test_it_is_used_again_only_where_the_manifest_matches(tmp_path, monkeypatch):
    folder, home = faces(tmp_path / "faces"), tmp_path / "cache"
    made = []
    make = cache._make
    monkeypatch.setattr(
        cache,
        "_make",
        lambda *arguments: made.append(arguments[2].name) or make(*arguments),
    )
    _, _first, _ = prepare(folder, home)
    prepare(folder, home)
    assert len(made) == 1
    for change in (
        {"crop": "140"},
        {"side": 32},
        {"resize": "nearest"},
        {"jpeg_roundtrip": True},
        {"pad": 70},
    ):
        prepare(folder, home, **change)
    assert len(made) == len(set(made)) == 6
    prepare(folder, home, resize="nearest")
    assert len(made) == 6
    os.utime(
        folder / split_of(Folder(folder), "train").names[3], (1e9, 1e9)
    )  # a file was written again
    prepare(folder, home)
    assert len(made) == 7 and made[-1] != made[0]
    monkeypatch.setattr(cache.PIL, "__version__", "another")
    prepare(folder, home)
    assert len(made) == 8


@pytest.mark.parametrize("harm", ["pixel", "cut", "gone", "manifest"])
def test_what_is_damaged_is_prepared_again(tmp_path, harm, caplog):
    folder, home = faces(tmp_path / "faces"), tmp_path / "cache"
    expected = np.array(prepare(folder, home)[1])
    images = next(home.iterdir()) / "images.npy"
    content = images.read_bytes()
    if harm == "manifest":
        (images.parent / "manifest.json").write_text('{"key": {"stamp": "of another')
    elif harm == "gone":
        images.unlink()
    else:
        images.write_bytes(
            content[:-1] + (b"" if harm == "cut" else bytes([content[-1] ^ 1]))
        )
    np.testing.assert_array_equal(prepare(folder, home)[1], expected)
    assert "preparing it again" in caplog.text


def test_a_killed_preparation_resumes_and_gives_the_same_bytes(tmp_path, monkeypatch):
    folder = faces(tmp_path / "faces", 150)
    expected = plain_loop(folder, split_of(Folder(folder), "train").names)
    script = (
        "import os, signal, sys\nsignal.signal(signal.SIGINT,"
        " signal.default_int_handler)  # a shell's background jobs ignore it\nfrom"
        " test_data_cache import prepare, cache_writer, Preprocessing\nfrom pathlib"
        " import"
        " Path\ncache_writer.IMAGES_PER_CHUNK = 8\ncache_writer.SECONDS_BETWEEN_SAVES"
        " = 0\ncall, calls = Preprocessing.__call__, []\nPreprocessing.__call__ ="
        " lambda *arguments: len(calls) == 20 and"
        " os.kill(os.getpid(), int(sys.argv[3])) or calls.append(1) or"
        " call(*arguments)\nprepare(Path(sys.argv[1]), Path(sys.argv[2]))\n"
    )
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([*sys.path])}
    done = []
    for sent in (signal.SIGKILL, signal.SIGKILL, signal.SIGINT):
        subprocess.run(
            [sys.executable, "-c", script, folder, tmp_path / "cache", str(int(sent))],
            env=environment,
        )
        done.append(_noted(tmp_path / "cache"))
    assert (
        done == [16, 32, 48] and len(expected) > 68
    )  # two pieces of eight are done each time, and half of a third
    place = next((tmp_path / "cache").iterdir())
    assert not (place / "images.npy").exists()
    write = cache_writer.CacheWriter.write
    starts = []

    def recorded(self, chunk):
        starts.append(chunk.first_row)
        return write(self, chunk)

    monkeypatch.setattr(cache_writer.CacheWriter, "write", recorded)
    np.testing.assert_array_equal(prepare(folder, tmp_path / "cache")[1], expected)
    assert min(starts) >= done[2]  # what was done was not done again
    assert left_in(place) == ["images.npy", "manifest.json"]


def _noted(home):
    notes = list(home.glob("*/progress.json"))
    return json.loads(notes[0].read_text())["rows"] if notes else 0


@pytest.mark.parametrize("broken", [False, True])
def test_one_that_died_between_the_manifest_and_the_images_name(
    tmp_path, monkeypatch, broken
):
    folder, home = faces(tmp_path / "faces"), tmp_path / "cache"
    names = split_of(Folder(folder), "train").names
    if broken:
        (folder / names[3]).write_bytes(b"broken")
    rename = cache.files.rename

    def die(aside, path):
        if path.name == "images.npy":
            raise SystemExit
        rename(aside, path)

    with monkeypatch.context() as patch:
        patch.setattr(cache.files, "rename", die)
        with pytest.raises(SystemExit):
            prepare(folder, home)
    monkeypatch.setattr(cache, "_make", None)  # nothing is left to make
    _, images, manifest = prepare(folder, home)
    np.testing.assert_array_equal(
        images, plain_loop(folder, names[:3] + names[3 + broken :])
    )
    assert manifest["broken"] == ({names[3]: "not an image"} if broken else {})
    assert left_in(next(home.iterdir())) == ["images.npy", "manifest.json"]


def test_a_zip_is_as_good_as_a_folder(tmp_path):
    folder = faces(tmp_path / "faces")
    with zipfile.ZipFile(tmp_path / "faces.zip", "w", zipfile.ZIP_DEFLATED) as packed:
        for path in sorted(folder.iterdir()):
            packed.write(path, f"top/{path.name}")
        packed.writestr("__MACOSX/top/._000000.jpg", b"left by a Mac")
        packed.writestr("top/notes.txt", "not an image")
    files = Zip(tmp_path / "faces.zip")
    assert list(files.files) == list(Folder(folder).files) and files.others == "1 .txt"
    for split in ("train", "test"):
        zipped, _ = loading.load(
            tmp_path / "faces.zip", split, crop=128, side=64, partial=True
        )
        np.testing.assert_array_equal(
            zipped, loading.load(folder, split, crop=128, side=64, partial=True)[0]
        )


def test_limit_prepares_no_more_than_it_must(tmp_path):
    folder = faces(tmp_path / "faces")
    every, _ = loading.load(folder, crop=128, side=64, partial=True)
    some, _ = loading.load(
        folder, crop=128, side=64, partial=True, limit=7, cache=tmp_path / "few"
    )
    assert len(some) == 7 and all(
        any(np.array_equal(a, b) for b in every) for a in some
    )
    assert (
        next((tmp_path / "few").glob("*/images.npy")).stat().st_size
        == 128 + 7 * 64 * 64 * 3
    )


def test_unequal_sizes_and_crops(tmp_path):
    write_images(tmp_path / "mixed", 20, (12, 10))
    write_images(tmp_path / "mixed" / "more", 20, (9, 16))
    with pytest.raises(
        InputError,
        match=(
            r"unequal sizes, 12x10 in 00.* and 9x16 in more/00.*: make them equal with"
            r" `side=32, fit='crop'`"
        ),
    ):
        loading.load(tmp_path / "mixed")
    images, _ = loading.load(tmp_path / "mixed", crop="center", side=8)
    with Image.open(
        tmp_path / "mixed" / split_of(Folder(tmp_path / "mixed"), "train").names[0]
    ) as first:
        expected = first.crop((1, 0, 11, 10)).resize((8, 8), Image.Resampling.BILINEAR)
    np.testing.assert_array_equal(images[0], np.asarray(expected))
    whole, _ = loading.load(tmp_path / "mixed", side=8)
    with Image.open(
        tmp_path / "mixed" / split_of(Folder(tmp_path / "mixed"), "train").names[0]
    ) as first:
        np.testing.assert_array_equal(
            whole[0], np.asarray(first.resize((8, 8), Image.Resampling.BILINEAR))
        )
