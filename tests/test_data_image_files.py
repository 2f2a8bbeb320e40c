"""Folders of images: exact pixels whatever the file, CelebA's own rules, and what is
broken is named.
"""

import os
import zipfile

import numpy as np
import pytest
from PIL import Image

from twostage import InputError
from twostage.cli.main import COMMANDS
from twostage.config import Stage1Config
from twostage.data import celeba, loading
from twostage.data.decode import ORIENTATION, Broken, decode
from twostage.data.image_files import UNREADABLE, Folder
from twostage.data.splits import split_of


def decoded(path):
    pixels = np.asarray(decode(path.read_bytes(), path.name))
    return pixels if pixels.ndim == 3 else pixels[..., None]


def write_images(folder, count, size=(12, 12), seed=0):
    folder.mkdir(parents=True, exist_ok=True)
    generator = np.random.default_rng(seed)
    for i in range(count):
        Image.fromarray(
            generator.integers(0, 256, (size[1], size[0], 3), "uint8")
        ).save(folder / f"{i:04d}.png")


def test_celeba_crop_and_resize_are_pillows_to_the_bit(tmp_path):
    """Rows 45-173, columns 25-153, then 1, 3, 3, 1 taps: also computed here in NumPy,
    to one gray level.
    """
    write_images(tmp_path, 30, celeba.SIZE)
    images, labels = loading.load(tmp_path, "train", crop=128, side=64, partial=True)
    names = sorted(tmp_path.iterdir())
    assert images.shape[1:] == (64, 64, 3) and labels is None and 20 <= len(images) < 30
    decoded = {p.name: np.asarray(Image.open(p)) for p in names}
    resized = {
        name: np.asarray(
            Image.fromarray(p[45:173, 25:153]).resize(
                (64, 64), Image.Resampling.BILINEAR
            )
        )
        for name, p in decoded.items()
    }
    assert all(
        any(np.array_equal(image, other) for other in resized.values())
        for image in images
    )
    face = decoded["0000.png"][45:173, 25:153].astype(float)
    taps = np.array([1, 3, 3, 1]) / 8
    padded = np.pad(face, ((1, 1), (1, 1), (0, 0)), "edge")
    rows = sum(t * padded[i : i + 128 : 2] for i, t in enumerate(taps))
    both = sum(t * rows[:, i : i + 128 : 2] for i, t in enumerate(taps))
    assert (
        np.abs(both - resized["0000.png"])[1:-1, 1:-1].max() <= 1
    )  # the border has fewer taps


def test_celeba_crop_refuses_other_images(tmp_path):
    write_images(tmp_path, 3, (100, 100))
    with pytest.raises(
        InputError,
        match=(
            "100x100, `crop='128'` is for CelebA's 178x218: use `crop='center', side="
        ),
    ):
        loading.load(tmp_path, crop=128, partial=True)


def test_a_folders_split_depends_on_names_alone(tmp_path):
    write_images(tmp_path / "a", 200)
    before = loading.load(tmp_path / "a", "test")[0]
    assert (
        8 <= len(before) <= 36
        and len(before) + len(loading.load(tmp_path / "a")[0]) == 200
    )
    write_images(tmp_path / "a" / "more", 50, seed=1)
    after = loading.load(tmp_path / "a", "test")[0]
    assert all(any(np.array_equal(image, other) for other in after) for image in before)


def test_own_train_and_test_folders_are_the_splits(tmp_path):
    write_images(tmp_path / "train", 7)
    write_images(tmp_path / "test", 3, seed=1)
    assert (
        len(loading.load(tmp_path)[0]) == 7
        and len(loading.load(tmp_path, "test")[0]) == 3
    )


@pytest.mark.parametrize(
    "train, test",
    [
        ("Train", "Test"),
        ("TRAINING", "testing"),
        ("Training Set", "test_set"),
        ("train_images", "TestImages"),
        ("x_train", "x_test"),
        ("data/faces/Train", "data/faces/Test"),
        ("training", "Validation"),
    ],
)
def test_folders_of_other_names_are_splits_too(tmp_path, train, test):
    """And the classes below them are labels."""
    for label in ("cats", "dogs"):
        write_images(tmp_path / train / label, 7)
        write_images(tmp_path / test / label, 3, seed=1)
    split = "validation" if "Valid" in test else "test"
    images, labels = loading.load(tmp_path)
    held_out, others = loading.load(tmp_path, split)
    assert (len(images), len(held_out)) == (14, 6)
    assert labels.tolist() == [0] * 7 + [1] * 7 and others.tolist() == [0] * 3 + [1] * 3


def test_what_only_looks_like_a_split_is_named(tmp_path, caplog):
    for folder in ("faces", "Test"):
        write_images(tmp_path / "a" / folder, 20)
    loading.load(tmp_path / "a")
    assert caplog.text.count("has a folder Test, which looks like a split, but") == 1
    assert "but none for training beside it" in caplog.text
    caplog.clear()
    for folder in ("train", "Training", "test"):
        write_images(tmp_path / "b" / folder, 20)
    with pytest.raises(InputError, match="Training and train both look like the train"):
        loading.load(tmp_path / "b")
    for folder in ("faces", "train"):
        write_images(tmp_path / "d" / folder, 20)
    loading.load(tmp_path / "d")
    assert "has a folder train, which looks like a split, but none for testing" in (
        caplog.text
    )
    caplog.clear()
    for folder in ("train_masks", "test_masks", "trains", "contest"):
        write_images(tmp_path / "c" / folder, 20)
    loading.load(tmp_path / "c")
    assert "looks like a split" not in caplog.text


@pytest.mark.parametrize(
    "folders",
    [
        ("", "data/train", "data/test"),  # a stray image beside the splits' folder
        ("bottle/train/good", "bottle/test/good", "cable/train/good"),
        ("trainA", "testA", "trainB", "testB"),
        ("a_train", "a_test"),
    ],
)
def test_splits_that_are_not_found_are_named(folders, tmp_path, caplog):
    for seed, folder in enumerate(folders):
        write_images(tmp_path / folder, 20, seed=seed)
    loading.load(tmp_path)
    assert "which look like splits and are not used as such" in caplog.text


def test_words_that_contain_a_splits_are_none(tmp_path, caplog):
    for seed, folder in enumerate(("contest", "testimonials", "valley", "trains")):
        write_images(tmp_path / folder, 20, seed=seed)
    loading.load(tmp_path)
    assert "look" not in caplog.text


def test_a_zip_of_a_train_folder_alone_has_no_test_split(tmp_path):
    write_images(tmp_path / "a" / "train", 60)
    with zipfile.ZipFile(tmp_path / "a.zip", "w") as file:
        for path in sorted((tmp_path / "a").rglob("*.png")):
            file.write(path, path.relative_to(tmp_path / "a"))
    for source in (tmp_path / "a", tmp_path / "a.zip"):
        assert len(loading.load(source)[0]) == 60
        with pytest.raises(InputError, match="has no test split"):
            loading.load(source, "test")


def test_too_many_held_out_images_are_refused(tmp_path):
    write_images(tmp_path / "train", 40)
    np.save(tmp_path / "x.npy", np.zeros((60, 8, 8), "uint8") + 9)
    for source in (tmp_path / "train", tmp_path / "x.npy"):
        config = Stage1Config(data=str(source), held_out=0.99)
        words = r"`held_out=0\.99` of \d+ training images, expected at least 2 images"
        with pytest.raises(InputError, match=words):
            loading.load_splits(config)


def test_the_same_names_sizes_and_times_are_other_images_elsewhere(tmp_path):
    found = []
    for seed, name in enumerate("ab"):
        folder = tmp_path / name / "images"
        folder.mkdir(parents=True)
        pixels = np.random.default_rng(seed).integers(0, 256, (20, 8, 8, 3), "uint8")
        for i, each in enumerate(pixels):
            Image.fromarray(each).save(folder / f"{i}.bmp")
            os.utime(folder / f"{i}.bmp", (0, 0))
        found.append(loading.load(folder)[0])
    assert found[0].shape == found[1].shape and (found[0] != found[1]).any()


def test_a_file_that_becomes_readable_is_read_again(tmp_path, monkeypatch):
    """Neither its size nor its time changes with its rights."""
    write_images(tmp_path / "train", 12)
    write_images(tmp_path / "test", 2)

    def closed(item, _read=Folder.read):
        if item.endswith("train/0003.png"):
            raise Broken(f"{UNREADABLE}: Permission denied")
        return _read(item)

    with monkeypatch.context() as patch:
        patch.setattr(Folder, "read", staticmethod(closed))
        assert len(loading.load(tmp_path, skip_broken=True)[0]) == 11
    assert len(loading.load(tmp_path, skip_broken=True)[0]) == 12


def test_a_lack_of_memory_is_no_broken_image(tmp_path, monkeypatch):
    write_images(tmp_path, 1)

    def full(*_):
        raise MemoryError

    monkeypatch.setattr("twostage.data.decode._to_8_bits", full)
    with pytest.raises(MemoryError):
        decode((tmp_path / "0000.png").read_bytes())


def test_transparent_gray_of_16_bits_is_white_as_that_of_8(tmp_path):
    levels = np.arange(0, 65_536, 1024).reshape(8, 8)
    Image.fromarray(levels.astype("uint16")).save(
        tmp_path / "16.png", transparency=1024
    )
    Image.fromarray((levels // 256).astype("uint8")).save(
        tmp_path / "8.png", transparency=4
    )
    for path in sorted(tmp_path.iterdir()):
        found = decoded(path)[..., 0].ravel()
        assert found[:3].tolist() == [0, 255, 8]


def test_an_orientation_that_does_not_exist_changes_no_size(tmp_path):
    write_images(tmp_path, 20, (12, 8))
    exif = Image.Exif()
    exif[ORIENTATION] = 9
    pixels = np.zeros((8, 12, 3), "uint8") + 99
    Image.fromarray(pixels).save(tmp_path / "0003.png", exif=exif)
    assert loading.load(tmp_path)[0].shape[1:] == (8, 12, 3)


def test_a_link_to_itself_is_a_broken_one(tmp_path, caplog):
    write_images(tmp_path / "train", 4)
    try:
        (tmp_path / "train" / "me").symlink_to("me")
    except OSError:
        pytest.skip("no links here")
    assert len(loading.load(tmp_path)[0]) == 4
    assert "1 broken links" in caplog.text


def test_a_split_without_a_whole_image_does_not_advise_what_was_given(tmp_path):
    write_images(tmp_path / "train", 12)
    (tmp_path / "test").mkdir()
    (tmp_path / "test" / "0.png").write_bytes(b"no image")
    with pytest.raises(InputError, match="none is left: fix them, or add") as raised:
        loading.load(tmp_path, "test", skip_broken=True)
    assert "skip_broken" not in str(raised.value)


def test_images_outside_of_the_splits_are_named(tmp_path, caplog):
    folder = tmp_path / "faces" / "all"  # a folder that holds all is no place
    for name, count in (("Train", 7), ("test", 3), ("unlabeled", 5), ("raw/a", 2)):
        write_images(folder / name, count, seed=count)
    write_images(folder, 4, seed=4)
    (folder / "notes.txt").write_text("")
    images, _ = loading.load(tmp_path / "faces")
    loading.load(tmp_path / "faces", "test")
    assert len(images) == 7
    assert (
        "not used: 5 images in unlabeled, 4 images in no folder, 2 images in raw"
        " (`use_unlabeled=True` trains on them), 1 .txt" in caplog.text
    )
    assert caplog.text.count("5 images in unlabeled") == 1
    caplog.clear()
    every, labels = loading.load(tmp_path / "faces", use_unlabeled=True)
    assert len(every) == 7 + 5 + 4 + 2 and labels is None
    assert len(loading.load(tmp_path / "faces", "test", use_unlabeled=True)[0]) == 3
    assert "split by its folders all/Train, all/test, and the images" in caplog.text
    assert "not used: 1 .txt" in caplog.text


def test_unlabeled_images_are_trained_on_without_labels(tmp_path):
    for label in ("cats", "dogs"):
        write_images(tmp_path / "train" / label, 3)
        write_images(tmp_path / "test" / label, 2, seed=1)
    with pytest.raises(InputError, match="has no images outside its splits: drop it"):
        loading.load(tmp_path, use_unlabeled=True)
    write_images(tmp_path / "more", 4, seed=2)
    assert loading.load(tmp_path)[1].tolist() == [0] * 3 + [1] * 3
    images, labels = loading.load(tmp_path, use_unlabeled=True)
    assert len(images) == 10 and labels is None
    assert len(loading.load(tmp_path, use_unlabeled=True, limit=8)[0]) == 8


@pytest.mark.parametrize(
    "crop, rows, columns", [(140, (39, 179), (19, 159)), (148, (35, 183), (15, 163))]
)
@pytest.mark.parametrize("kind", ["bilinear", "nearest", "bicubic"])
def test_the_other_papers_crops_and_filters(tmp_path, crop, rows, columns, kind):
    write_images(tmp_path, 30, celeba.SIZE)
    images, _ = loading.load(
        tmp_path, "train", crop=crop, side=32, resize=kind, partial=True
    )
    with Image.open(tmp_path / split_of(Folder(tmp_path), "train").names[0]) as first:
        face = np.asarray(first)[slice(*rows), slice(*columns)]
    expected = Image.fromarray(face).resize(
        (32, 32), getattr(Image.Resampling, kind.upper())
    )
    np.testing.assert_array_equal(images[0], np.asarray(expected))


def test_images_of_every_kind_become_what_a_viewer_shows(tmp_path):
    generator = np.random.default_rng(0)
    colors, gray = (
        generator.integers(0, 256, (6, 4, 3), "uint8"),
        generator.integers(0, 256, (6, 4), "uint8"),
    )
    alpha = np.where(gray > 128, 255, 0).astype("uint8")
    on_white = np.where(alpha[..., None] > 0, colors, 255)
    exif = Image.Exif()
    exif[0x0112] = 6  # the camera was held upright: rotate by 270 degrees
    cases = {
        "rgb.png": (Image.fromarray(colors), {}, colors),
        "gray.png": (Image.fromarray(gray), {}, gray[..., None]),
        "palette.gif": (
            Image.fromarray(gray).convert("P"),
            {},
            np.repeat(gray[..., None], 3, 2),
        ),
        "alpha.png": (Image.fromarray(np.dstack([colors, alpha])), {}, on_white),
        "alpha.webp": (
            Image.fromarray(np.dstack([colors, alpha])),
            {"lossless": True, "exact": True},
            on_white,
        ),
        "gray_alpha.png": (
            Image.fromarray(np.dstack([gray, alpha]), "LA"),
            {},
            np.where(alpha > 0, gray, 255)[..., None],
        ),
        "deep.png": (Image.fromarray(gray.astype("uint16") * 257), {}, gray[..., None]),
        "colors.bmp": (Image.fromarray(colors), {}, colors),
        "turned.png": (Image.fromarray(colors), {"exif": exif}, np.rot90(colors, -1)),
    }
    for name, (image, options, expected) in cases.items():
        image.save(tmp_path / name, **options)
        np.testing.assert_array_equal(decoded(tmp_path / name), expected, err_msg=name)
    smooth = Image.fromarray(
        np.tile(np.arange(0, 256, 8, "uint8")[:, None, None], (1, 32, 3))
    )
    smooth.convert("CMYK").save(tmp_path / "print.jpg", quality=95)
    assert (
        np.abs(decoded(tmp_path / "print.jpg").astype(int) - np.asarray(smooth)).max()
        <= 4
    )


def test_resize_comparison_draws_a_row_a_filter(tmp_path, capsys):
    write_images(tmp_path / "faces", 30, celeba.SIZE)
    COMMANDS["data"](
        ["resize-comparison", str(tmp_path / "faces"), "--out", str(tmp_path / "r.png")]
    )
    rough = {
        line.split(":")[0]: float(line.split()[-1])
        for line in capsys.readouterr().out.splitlines()
        if "roughness" in line
    }
    assert rough["nearest"] > rough["bicubic"] > rough["bilinear"]
    with Image.open(tmp_path / "r.png") as image:
        assert image.size == (8 * 65, 3 * 65)


def test_gray_and_colored_images_are_compared_too(tmp_path):
    write_images(tmp_path / "faces", 4, celeba.SIZE)
    with Image.open(
        tmp_path / "faces" / min(path.name for path in (tmp_path / "faces").iterdir())
    ) as image:
        image.convert("L").save(tmp_path / "faces" / "gray.png")
    COMMANDS["data"](
        ["resize-comparison", str(tmp_path / "faces"), "--out", str(tmp_path / "r.png")]
    )
    with Image.open(tmp_path / "r.png") as image:
        assert image.size[1] == 3 * 65 and image.mode == "RGB"


def test_what_may_not_be_read_is_reported_as_input(tmp_path, capsys, monkeypatch):
    """A folder, a file of NumPy, and an image, which --skip-broken leaves out."""
    write_images(tmp_path / "train", 12)
    write_images(tmp_path / "test", 2)
    np.save(tmp_path / "x.npy", np.zeros((20, 8, 8), "uint8"))

    def closed(path, *more, **options):
        return (_ for _ in ()).throw(
            PermissionError(13, "Permission denied", str(path))
        )

    for name, source in (("os.scandir", tmp_path), ("numpy.load", tmp_path / "x.npy")):
        with (
            monkeypatch.context() as patch,
            pytest.raises(
                InputError,
                match=(
                    f"received {source}, which cannot be read .Permission denied.: make"
                    " it readable"
                ),
            ),
        ):
            patch.setattr(name, closed)
            loading.load(source)
    item = str(tmp_path / "train" / "0003.png")
    monkeypatch.setattr(
        "builtins.open",
        lambda path, *more, _open=open, **options: (
            closed(path) if str(path) == item else _open(path, *more, **options)
        ),
    )
    with pytest.raises(Broken, match="it cannot be read: Permission denied"):
        Folder.read(item)


def test_broken_images_are_listed_with_reasons_or_left_out(tmp_path, caplog):
    write_images(tmp_path / "train", 12)
    write_images(tmp_path / "test", 2)
    whole = (tmp_path / "train" / "0000.png").read_bytes()
    (tmp_path / "train" / "a.png").write_bytes(whole[: len(whole) // 2])
    (tmp_path / "train" / "b.jpg").write_bytes(b"")
    (tmp_path / "train" / "c.gif").write_text("not an image")
    (tmp_path / "train" / "d.png").write_bytes(_bomb())
    with pytest.raises(InputError) as raised:
        loading.load(tmp_path)
    text = str(raised.value)
    assert (
        "\n" not in text
        and f"4 of 16 images in the train split of {tmp_path} cannot be read:" in text
        and " cannot be read: train/a.png (" in text
        and "`skip_broken=True`" in text
    )
    assert (
        "b.jpg (empty file)" in text
        and "c.gif (not an image)" in text
        and "d.png (Image size (400000000 pixels) exceeds limit" in text
    )
    images, _ = loading.load(tmp_path, skip_broken=True)
    assert len(images) == 12 and "left out" in caplog.text
    for name in range(12):
        (tmp_path / "train" / f"{name:04d}.png").unlink()
    with pytest.raises(InputError, match="4 of 4 images"):
        loading.load(tmp_path, skip_broken=True)


def _bomb():
    """A PNG of 20,000 x 20,000 pixels, by its header."""
    import struct
    import zlib

    def chunk(kind, body):
        return (
            struct.pack(">I", len(body))
            + kind
            + body
            + struct.pack(">I", zlib.crc32(kind + body))
        )

    header = struct.pack(">IIBBBBB", 20_000, 20_000, 8, 0, 0, 0, 0)
    return (
        b"\x89PNG\r\n\x1a\n"
        + chunk(b"IHDR", header)
        + chunk(b"IDAT", zlib.compress(b""))
        + chunk(b"IEND", b"")
    )


def test_class_folders_give_labels_without_hidden_files(
    tmp_path,
):
    for split, count in (("train", 5), ("test", 2)):
        write_images(tmp_path / "set" / split / "cats", count)
        write_images(tmp_path / "set" / split / "apes", count + 1)
    write_images(tmp_path / "elsewhere", 3)
    write_images(tmp_path / "set" / "train" / ".cache", 2)
    (tmp_path / "set" / "train" / "cats" / "link.png").symlink_to(
        tmp_path / "elsewhere" / "0000.png"
    )
    (tmp_path / "set" / "train" / "cats" / "._0000.png").write_bytes(b"left by a Mac")
    write_images(tmp_path / "set" / "train" / "bats", 1)  # which the test split has not
    images, labels = loading.load(tmp_path / "set")
    assert labels.tolist() == [0] * 6 + [1] + [2] * 6 and len(images) == 13
    assert loading.load(tmp_path / "set", "test")[1].tolist() == [0] * 3 + [2] * 2


def test_links_are_followed_and_broken_ones_counted(tmp_path, caplog):
    """As data stores make them: files, folders and whole sets."""
    store, folder = tmp_path / "store", tmp_path / "set"
    write_images(store / "faces", 30)
    folder.mkdir()
    for i in range(10):
        (folder / f"{i}.png").symlink_to(store / "faces" / f"{i:04d}.png")
    (folder / "more").symlink_to(store / "faces")
    (folder / "lost.png").symlink_to(tmp_path / "nowhere.png")
    (tmp_path / "all").symlink_to(folder)
    counts = [
        len(Folder(path).files) for path in (folder, tmp_path / "all", store / "faces")
    ]
    assert counts == [40, 40, 30]
    loading.load(tmp_path / "all")
    assert "not used: 1 broken links" in caplog.text
    assert Folder(tmp_path / "all").name == "all"
    (store / "faces" / "back").symlink_to(store)
    with pytest.raises(InputError, match="the link back/faces leads back to a folder"):
        Folder(store / "faces")


def test_the_images_of_a_run_are_no_data(tmp_path):
    """A run may lie among the images, or they in its folder."""
    here = tmp_path / "here"
    write_images(here / "photos", 2)
    for run in (here, here / "runs" / "first"):
        write_images(run / "stage1" / "images", 3)
        (run / "stage1" / "config.json").write_text("{}")
        write_images(run / "evaluation" / "random", 2)
    write_images(here / "photos" / "stage1", 1)  # of no run
    found = Folder(here)
    expected = ["photos/0000.png", "photos/0001.png", "photos/stage1/0000.png"]
    assert list(found.files) == expected and found.others == "4 folders of a run"
    for inside in (here / "stage1", here / "stage1" / "images"):
        with pytest.raises(InputError, match=r"in the run .*here, expected .*`run='"):
            Folder(inside)
    with pytest.raises(InputError, match="holds no image, only 2 folders of a run"):
        Folder(here / "runs")


def test_names_that_are_no_utf_8_and_files_that_cannot_be_read(tmp_path):
    write_images(tmp_path, 40)
    os.rename(tmp_path / "0001.png", os.fsencode(tmp_path) + b"/caf\xe9.png")
    assert (
        sum(len(loading.load(tmp_path, split)[0]) for split in ("train", "test")) == 40
    )
    with pytest.raises(
        InputError,
        match=(
            r"gone.png, which cannot be read .No such file or directory.: make it"
            r" readable, or remove it"
        ),
    ):
        Folder.read(str(tmp_path / "gone.png"))


def test_gray_images_among_colored_ones_become_colored(tmp_path):
    write_images(tmp_path / "train", 3)
    write_images(tmp_path / "test", 1)
    gray = np.random.default_rng(0).integers(0, 256, (12, 12), "uint8")
    for name in ("0000a.png", "-first.png"):
        Image.fromarray(gray).save(tmp_path / "train" / name)
    images, _ = loading.load(tmp_path)
    assert images.shape == (5, 12, 12, 3)
    for row in (0, 2):
        np.testing.assert_array_equal(images[row], np.repeat(gray[..., None], 3, 2))


def test_celeba_has_the_official_partition_or_is_refused(tmp_path, monkeypatch):
    monkeypatch.setattr(celeba, "COUNTS", {"train": 7, "validation": 2, "test": 3})
    folder = tmp_path / "img_align_celeba"
    write_images(folder, 11, celeba.SIZE)
    with pytest.raises(
        InputError,
        match=(
            r"received 11 images in .*img_align_celeba, CelebA has 12: complete them,"
            r" take a part with `partial=True`"
        ),
    ):
        loading.load(folder, crop=128)
    write_images(folder, 12, celeba.SIZE)

    def found(split):
        every = [
            loading.load(folder, name, crop=128, side=32)[0] for name in celeba.COUNTS
        ]
        assert [len(images) for images in every] == [7, 2, 3]
        names = split_of(Folder(folder), split, official=True).names
        face = (
            decode((folder / names[0]).read_bytes(), names[0])
            .crop((25, 45, 153, 173))
            .resize((32, 32), Image.Resampling.BILINEAR)
        )
        np.testing.assert_array_equal(
            every[list(celeba.COUNTS).index(split)][0], np.asarray(face)
        )
        return [int(name.removesuffix(".png")) for name in names]

    assert (found("train"), found("validation"), found("test")) == (
        [*range(7)],
        [7, 8],
        [9, 10, 11],
    )
    listing = tmp_path / "list_eval_partition.txt"
    splits = [2, 0, 0, 0, 1, 0, 0, 1, 0, 0, 2, 2]
    listing.write_text(
        "\n".join(f"{i:04d}.jpg {number}" for i, number in enumerate(splits))
    )
    assert (found("validation"), found("test")) == ([4, 7], [0, 10, 11])
    listing.write_text("0000.jpg 0\n")
    with pytest.raises(
        InputError,
        match=r"names 1 of the images in .* as train, expected 7: fetch it again",
    ):
        loading.load(folder, crop=128)


def test_validation_is_a_folder_or_refused(tmp_path):
    for split in ("train", "test", "validation"):
        write_images(tmp_path / "a" / split, len(split))
    write_images(tmp_path / "b", 30)
    assert [
        len(loading.load(tmp_path / "a", split)[0]) for split in loading.SPLITS
    ] == [
        5,
        10,
        4,
    ]
    with pytest.raises(
        InputError,
        match="has no validation split: make folders train, validation and test",
    ):
        loading.load(tmp_path / "b", "validation")
    with pytest.raises(InputError, match="'digits' has no validation split"):
        loading.load("digits", "validation")


def test_a_zip_with_windows_separators_has_its_splits_and_classes(tmp_path):
    write_images(tmp_path / "images", 24)
    with zipfile.ZipFile(tmp_path / "x.zip", "w") as archive:
        for i, path in enumerate(sorted((tmp_path / "images").iterdir())):
            split, kind = ("test" if i < 6 else "train"), "ab"[i % 2]
            archive.write(path, f"{split}\\{kind}\\{path.name}")
    images, labels = loading.load(tmp_path / "x.zip")
    assert len(images) == 18 and sorted(set(labels)) == [0, 1]
    assert len(loading.load(tmp_path / "x.zip", "test")[0]) == 6


def test_a_folder_with_the_name_of_a_known_data_set_is_named(
    tmp_path, monkeypatch, caplog
):
    write_images(tmp_path / "digits", 20)
    monkeypatch.chdir(tmp_path)
    assert loading.load("digits")[0].shape[1:] == (8, 8, 1)
    assert (
        "taking the known data set 'digits'; for the path of that name" in caplog.text
    )
    assert loading.load("./digits")[0].shape[1:] == (12, 12, 3)


def test_the_grid_of_large_images_is_small_and_outside(tmp_path, monkeypatch, capsys):
    folder = tmp_path / "images"
    write_images(folder, 20, (300, 200))
    monkeypatch.chdir(folder)
    with pytest.raises(SystemExit):
        COMMANDS["data"](["."])
    error = capsys.readouterr().err
    assert f"expected a place outside it: give --grid {tmp_path / 'grid.png'}" in error
    assert not (folder / "grid.png").exists()
    COMMANDS["data"]([".", "--grid", "../grid.png"])
    grid = Image.open(tmp_path / "grid.png")
    assert grid.width < 5 * 128 and grid.height < 5 * 128  # 18 images of 100x67


def test_copies_of_training_images_in_the_test_split_are_counted(tmp_path, capsys):
    write_images(tmp_path / "train", 20)
    write_images(tmp_path / "test", 10, seed=1)
    for i in range(3):
        name = f"{i:04d}.png"
        (tmp_path / "test" / f"copy{name}").write_bytes(
            (tmp_path / "train" / name).read_bytes()
        )
    COMMANDS["data"]([str(tmp_path), "--grid", str(tmp_path.parent / "g.png")])
    out = capsys.readouterr().out
    assert "0 of them are duplicates\n" in out
    assert "0 of them are duplicates; 3 equal a training image" in out


def test_a_test_split_that_is_too_small_is_named_before_training(tmp_path, caplog):
    write_images(tmp_path / "train", 20, (8, 8))
    write_images(tmp_path / "test", 5, (8, 8), seed=1)
    small = ["--base-dim", "4", "--fc-dim", "16", "--latent-dim", "4", "--dry-run"]
    COMMANDS["train-stage1"](
        ["--data", str(tmp_path), "--run", str(tmp_path / "run"), *small]
    )
    assert "has 5 test images: `evaluate` needs at least 6" in caplog.text
    assert "all settings:" not in caplog.text


def test_a_run_that_does_not_exist_is_named(tmp_path, capsys):
    with pytest.raises(SystemExit):
        COMMANDS["sample"](["--run", str(tmp_path / "none")])
    assert "none, expected a run folder: check the path" in capsys.readouterr().err
