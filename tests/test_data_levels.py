"""Images that are nearly black by mistake are refused, and scaled where it is said."""

import logging

import numpy as np
import pytest
from PIL import Image

from twostage import InputError, TwoStageVAE
from twostage.config import Stage1Config
from twostage.data import loading
from twostage.training.train import train_stage1

RAMP = np.arange(320).reshape(5, 8, 8)
# an array, the scale, its greatest value and its 37th afterwards
SCALED = {
    "masks": (RAMP % 2, 255, 255, 255),
    "bools": (RAMP % 2 == 1, 255, 255, 255),
    "four bits": ((RAMP % 16).astype("uint8"), 17, 255, 85),
    "seventeen levels": ((RAMP % 17).astype("uint8"), 15.94, 255, 48),
    "floats of 0 to 1": (RAMP / 319, 255, 255, 30),
    "half floats": ((RAMP / 319).astype("float16"), 255, 255, 30),
    "twelve bits": ((RAMP * 4095 // 319).astype("uint16"), 0.06227, 255, 30),
    "sixteen bits": ((RAMP * 65535 // 319).astype("uint16"), 0.003891, 255, 30),
    "whole numbers": (RAMP % 256, 1, 255, 37),
}


@pytest.mark.parametrize("case", SCALED)
def test_the_scale_that_the_refusal_names_is_right(tmp_path, case):
    images, scale, greatest, some = SCALED[case]
    np.savez(tmp_path / "a.npz", x_train=images, x_test=images[:1])
    config = Stage1Config(data=str(tmp_path / "a.npz"))
    with pytest.raises(InputError, match=rf"`scale={scale}`") as caught:
        loading.load_splits(config)
    assert "\n" not in str(caught.value)
    config = Stage1Config(data=config.data, scale=scale)
    loaded = loading.load_splits(config)
    train = loaded["train"][0]
    assert train.dtype == np.uint8 and train.shape == (5, 8, 8, 1)
    assert train.max() == greatest and train.flat[37] == some
    np.testing.assert_array_equal(loaded["test"][0], train[:1])  # the same factor


@pytest.mark.parametrize(
    ("images", "scale", "message"),
    [
        (RAMP % 17, 17, "17` for .*, which become 0 to 272, .*: use `scale=15.94`"),
        (RAMP / 160 - 1, 127, r"-127 to 126.*: where -1 is black, convert them with"),
        (RAMP / 319, -1, "received `scale=-1`, expected a number above 0"),
        (RAMP / 319, float("nan"), "received `scale=nan`"),
        (np.full((5, 8, 8), np.nan), 255, "5 of 5 images in .* with NaN or infinity"),
        (
            np.where(RAMP == 37, np.inf, RAMP / 319),
            0,
            "1 of 5 .*expected finite numbers",
        ),
        (
            np.where(RAMP == 37, np.nan, RAMP / 319),
            255,
            "1 of 5 .*: leave them out, as",
        ),
    ],
)
def test_a_scale_that_leads_elsewhere_is_refused(tmp_path, images, scale, message):
    np.save(tmp_path / "a.npy", images)
    with pytest.raises(InputError, match=message):
        loading.load(tmp_path / "a.npy", scale=scale)


def test_masks_in_files_are_refused_and_scaled(tmp_path):
    for split in ("train", "test"):
        (tmp_path / "set" / split).mkdir(parents=True)
        for row in range(4):
            mask = np.eye(8, dtype="uint8") if row else np.zeros((8, 8), "uint8")
            Image.fromarray(mask).save(tmp_path / "set" / split / f"{row}.png")
    config = Stage1Config(data=str(tmp_path / "set"))
    with pytest.raises(InputError, match="0 to 1, which is nearly black"):
        loading.load_splits(config)
    loaded = loading.load_splits(Stage1Config(data=config.data, scale=255))
    for images, _ in loaded.values():
        assert np.unique(images).tolist() == [0, 255]
    as_they_are = loading.load_splits(Stage1Config(data=config.data, scale=1))
    assert as_they_are["train"][0].max() == 1


def test_files_of_sixteen_bits_are_scaled_before_they_are_rounded(tmp_path):
    levels = np.linspace(0, 4095, 64).astype("uint16").reshape(8, 8)  # twelve bits
    (tmp_path / "set").mkdir()
    for row in range(12):
        Image.fromarray(levels).save(tmp_path / "set" / f"{row}.png")
    images, _ = loading.load(tmp_path / "set", scale=16)
    assert images.max() == 255 and len(np.unique(images)) == 64
    np.testing.assert_array_equal(images[0, ..., 0], np.rint(levels * (16 / 257)))
    with pytest.raises(InputError, match=r"`scale=17` takes above .* `scale=16") as why:
        loading.load(tmp_path / "set", scale=17)
    assert "values up to 15.93" in str(why.value)


@pytest.mark.parametrize(
    ("greatest", "warned"), [(17, True), (127, True), (128, False), (255, False)]
)
def test_dark_photographs_are_warned_about(tmp_path, caplog, greatest, warned):
    np.save(tmp_path / "a.npy", (RAMP.repeat(3, 0) % (greatest + 1)).astype("uint8"))
    loading.load_splits(Stage1Config(data=str(tmp_path / "a.npy")))
    warnings = [r.message for r in caplog.records if r.levelno == logging.WARNING]
    assert len(warnings) == warned
    if warned:
        assert f"dark, 0 to {greatest} of 255" in warnings[0]
        assert f"`scale={255 / greatest:.4g}`" in warnings[0]


def test_one_bright_image_is_enough(tmp_path):
    images = np.zeros((2_500, 8, 8), "uint8")
    images[2_400, 3, 3] = 255
    np.savez(tmp_path / "a.npz", x_train=images, x_test=images[:5])
    loading.load_splits(Stage1Config(data=str(tmp_path / "a.npz")))


@pytest.mark.parametrize(
    ("images", "message"),
    [
        (RAMP % 2, r"int64 .*: where 1 is white, convert them with \(x \* 255\).round"),
        ((RAMP % 2).astype("uint8"), "images of 0 to 1, which is nearly black"),
        (np.zeros((5, 8, 8), "uint8"), "training images that are all 0"),
        (RAMP / 160 - 1, "where -1 is black"),
        (np.where(RAMP == 37, np.nan, RAMP / 319), "some images have NaN or infinity"),
        (np.where(RAMP == 37, np.inf, RAMP / 319), "some images have NaN or infinity"),
        (np.array([RAMP, None], object), "make it one array of numbers"),
        (np.zeros((0, 8, 8), "uint8"), "received 0 training images, .*: add some"),
        (np.full((5, 8, 8), 9, "uint16") * 455, r"where 4095 is white, .*\* 0.06227"),
    ],
)
def test_arrays_in_memory_are_checked(images, message):
    with pytest.raises(InputError, match=message):
        TwoStageVAE.from_preset("digits").fit(images, epochs=(1, 1))


def test_nearly_black_arrays_are_not_trained_on(tmp_path):
    images = (RAMP % 16)[..., None].astype("uint8")
    with pytest.raises(InputError, match="multiply them by 17"):
        train_stage1(images, Stage1Config(), tmp_path / "run")
    assert not (tmp_path / "run").exists()
