"""NumPy files: which array is which split, by their names or by `key`."""

import dataclasses
import logging
import sys

import numpy as np
import pytest

from twostage import InputError
from twostage.config import Stage1Config
from twostage.data import loading
from twostage.data.numpy_files import NumpyFile
from twostage.runs.run import fixed_differences

GENERATOR = np.random.default_rng(0)


def some_images(count, dtype="uint8"):
    return GENERATOR.integers(0, 256, (count, 8, 8)).astype(dtype)


class Trap:
    """Ends the test where it is unpickled."""

    def __reduce__(self):
        return sys.exit, ("unpickled",)


def trap(count=3):
    objects = np.empty(count, object)
    objects[:] = [Trap() for _ in range(count)]
    return objects


TRAIN, VAL, TEST, EXTRA = (some_images(count) for count in (40, 7, 12, 20))
# arrays of a file, the key, {split: (images, labels)}; without labels: None
NAMES = {
    "Keras": (
        {"x_train": TRAIN, "y_train": range(40), "x_test": TEST, "y_test": range(12)},
        "",
        {"train": (TRAIN, range(40)), "test": (TEST, range(12))},
    ),
    "MedMNIST": (
        {
            "train_images": TRAIN,
            "val_images": VAL,
            "test_images": TEST,
            "train_labels": np.arange(40)[:, None],
            "val_labels": np.arange(7)[:, None],
            "test_labels": np.arange(12)[:, None],
        },
        "",
        {
            "train": (TRAIN, range(40)),
            "validation": (VAL, range(7)),
            "test": (TEST, range(12)),
        },
    ),
    "capitals": (
        {"X_train": TRAIN, "X_valid": VAL, "X_test": TEST, "Y_train": range(40)},
        "",
        {"train": (TRAIN, range(40)), "validation": (VAL, None), "test": (TEST, None)},
    ),
    "words run together": (
        {"trainX": TRAIN, "trainY": range(40), "testX": TEST, "testY": range(12)},
        "",
        {"train": (TRAIN, range(40)), "test": (TEST, range(12))},
    ),
    "Keras's before others": (
        {"x_train": TRAIN, "x_test": TEST, "train_data": EXTRA},
        "",
        {"train": (TRAIN, None), "test": (TEST, None)},
    ),
    "images and test images": (
        {"images": TRAIN, "x_test": TEST},
        "",
        {"train": (TRAIN, None), "test": (TEST, None)},
    ),
    "keys": (
        {"a": TRAIN, "b": TEST, "c": VAL, "labels": range(40)},
        "a,b",
        {"train": (TRAIN, range(40)), "test": (TEST, None)},
    ),
    "three keys": (
        {"a": TRAIN, "b": TEST, "c": VAL},
        "a, c, b",
        {"train": (TRAIN, None), "validation": (VAL, None), "test": (TEST, None)},
    ),
}
# of one array of images, a tenth of which is the test split: arrays, key, its name
SINGLE = {
    "dSprites": (
        {"imgs": TRAIN, "latents_values": GENERATOR.random((40, 6)), "metadata": 0},
        "",
        "imgs",
    ),
    "no names": ({"arr_0": TRAIN, "arr_1": range(40)}, "", "arr_0"),
    "masks beside": ({"images": TRAIN, "masks": some_images(40)}, "", "images"),
    "row numbers of the splits": (
        {"images": TRAIN, "train": range(30), "test": range(30, 40)},
        "",
        "images",
    ),
    "train alone": ({"x_train": TRAIN}, "", "x_train"),
    "test alone": ({"x_test": TRAIN}, "", "x_test"),
    "a key": ({"faces": TRAIN, "cars": some_images(9)}, "faces", "faces"),
    "a key with a comma": ({"a,b": TRAIN, "a": VAL, "b": TEST}, "a,b", "a,b"),
    "a key of splits": ({"x_train": TRAIN, "x_test": TEST}, "x_train", "x_train"),
}


def save(path, arrays):
    np.savez(path, **{k: np.asarray(v) for k, v in arrays.items()}, more=trap())
    return path


@pytest.mark.parametrize("case", NAMES)
def test_arrays_are_splits_by_their_names(tmp_path, case):
    arrays, key, expected = NAMES[case]
    file = NumpyFile(save(tmp_path / "a.npz", arrays), key)
    assert file.splits() == tuple(expected)
    for split, (images, labels) in expected.items():
        found, classes = file.load(split)
        np.testing.assert_array_equal(found[..., 0], images)
        assert (classes is None) == (labels is None)
        if labels is not None:
            assert classes.tolist() == list(labels)


@pytest.mark.parametrize("case", SINGLE)
def test_one_array_keeps_a_tenth_for_testing(tmp_path, case):
    arrays, key, name = SINGLE[case]
    file = NumpyFile(save(tmp_path / "a.npz", arrays), key)
    assert file.splits() == ("train", "test") and file.roles.images["train"] == name
    parts = [file.load(split)[0] for split in file.splits()]
    assert [len(part) for part in parts] == [36, 4]
    rows = np.concatenate(parts)[..., 0]
    assert sorted(map(bytes, rows)) == sorted(map(bytes, TRAIN))


UNCLEAR = {
    "two that may be": (
        {"a": TRAIN, "b": TEST},
        "",
        r"arrays a \(40, 8, 8\) uint8, b \(12, 8, 8\) uint8, more \(3,\) object,"
        " expected x_train and x_test, or a single array of images: say which with"
        " `key='a'`, or of training and test images `key='a,b'`",
    ),
    "two for one split": (
        {"train_images": TRAIN, "train_data": TRAIN},
        "",
        "say which with `key='train_images'`",
    ),
    "none": ({"a": range(3), "b": range(3)}, "", "save the images as one of shape"),
    "no such key": (
        {"a": TRAIN},
        "b",
        r"received `key='b'` for .*, expected one of its arrays, .*: a \(40, 8, 8\)",
    ),
    "one key twice": ({"a": TRAIN}, "a,a", "received `key='a,a'`"),
    "four keys": ({k: TEST for k in "abcd"}, "a,b,c,d", "received `key='a,b,c,d'`"),
}


@pytest.mark.parametrize("case", UNCLEAR)
def test_what_is_not_clear_is_listed(tmp_path, case):
    arrays, key, message = UNCLEAR[case]
    with pytest.raises(InputError, match=message):
        NumpyFile(save(tmp_path / "a.npz", arrays), key)


def test_objects_are_never_read_and_stacking_is_named(tmp_path):
    save(tmp_path / "a.npz", {"images": trap(40), "labels": range(40)})
    message = r"objects of shape \(40,\) in .*a.npz \(images\), .* numpy.stack\(list"
    with pytest.raises(InputError, match=message):
        loading.load(tmp_path / "a.npz")
    np.savez(tmp_path / "b.npz", x_train=TRAIN, y_train=trap(40), x_test=TEST)
    assert loading.load(tmp_path / "b.npz")[1] is None


def test_only_the_arrays_that_are_needed_are_read(tmp_path):
    np.savez(tmp_path / "a.npz", images=TRAIN, masks=np.zeros((500, 8, 8), "uint8"))
    content = bytearray((tmp_path / "a.npz").read_bytes())
    content[content.index(b"masks.npy") + 5_000] ^= 1
    (tmp_path / "a.npz").write_bytes(content)
    assert len(loading.load(tmp_path / "a.npz")[0]) == 36
    with pytest.raises(InputError, match="Bad CRC-32"):
        loading.load(tmp_path / "a.npz", key="masks")


def test_validation_and_unlabeled_images_are_counted(tmp_path, caplog):
    caplog.set_level(logging.INFO, "twostage")
    arrays = {"x_train": TRAIN, "x_val": VAL, "x_test": TEST, "x_unlabeled": EXTRA}
    np.savez(tmp_path / "a.npz", **arrays, y_train=np.arange(40))
    np.testing.assert_array_equal(
        loading.load(tmp_path / "a.npz", "validation")[0][..., 0], VAL
    )
    assert len(loading.load(tmp_path / "a.npz")[0]) == 40
    assert caplog.messages[-1].endswith(
        "a.npz: train 40 images of x_train, validation 7 images of x_val,"
        " test 12 images of x_test; not used: 20 images of x_unlabeled"
        " (`use_unlabeled` adds them)"
    )
    images, labels = loading.load(tmp_path / "a.npz", use_unlabeled=True)
    np.testing.assert_array_equal(images[..., 0], np.concatenate([TRAIN, EXTRA]))
    assert labels is None and "20 images of x_unlabeled added" in caplog.messages[-1]
    test = loading.load(tmp_path / "a.npz", "test", use_unlabeled=True)[0]
    np.testing.assert_array_equal(test[..., 0], TEST)


@pytest.mark.parametrize("name", ["x_unlabelled", "x_unlabeled", "extra", "xExtra"])
def test_unlabeled_images_have_several_names(tmp_path, name):
    save(tmp_path / "a.npz", {"x_train": TRAIN, name: EXTRA})
    assert len(loading.load(tmp_path / "a.npz", use_unlabeled=True)[0]) >= 52


def test_extra_images_keep_their_labels_and_no_test_images(tmp_path):
    """As SVHN has them; without test images the test split stays as it was."""
    arrays = {"x_train": TRAIN, "y_train": range(40), "x_extra": EXTRA}
    save(tmp_path / "a.npz", {**arrays, "y_extra": range(20)})
    train, labels = loading.load(tmp_path / "a.npz", use_unlabeled=True)
    assert len(train) == 56 and labels[36:].tolist() == list(range(20))
    tests = [
        loading.load(tmp_path / "a.npz", "test", use_unlabeled=use)[0]
        for use in (False, True)
    ]
    np.testing.assert_array_equal(*tests)
    held_out = {bytes(image) for image in tests[0]}
    assert not held_out & {bytes(image) for image in train}


@pytest.mark.parametrize("name", ["a.npz", "a.npy"])
@pytest.mark.parametrize("count", [0, 1, 7, 9])
def test_fewer_than_ten_images_are_one_line(tmp_path, count, name):
    save_as = np.save if name.endswith("y") else np.savez
    save_as(tmp_path / name, some_images(count))
    word = "1 image in" if count == 1 else f"{count} images in"
    message = rf"{word} .*, expected at least 10: add some" if count else "no image"
    with pytest.raises(InputError, match=message) as caught:
        loading.load(tmp_path / name, "test")
    assert "\n" not in str(caught.value)
    save_as(tmp_path / name, some_images(10))
    assert len(loading.load(tmp_path / name, "test")[0]) == 1


@pytest.mark.parametrize(
    ("source", "options", "message"),
    [
        ("digits", {"key": "x"}, r"`key='x'` for 'digits', expected an .npz file"),
        ("a.npy", {"key": "x"}, "which is a single array, expected an .npz file"),
        ("digits", {"use_unlabeled": True}, "has no images outside its splits: drop"),
        ("one.npy", {}, "a single one"),
        ("rows.npy", {}, r"where rows are images, save x.reshape\(-1, 8, 8\)"),
    ],
)
def test_settings_and_shapes_that_do_not_fit(tmp_path, source, options, message):
    np.save(tmp_path / "a.npy", TRAIN)
    np.save(tmp_path / "one.npy", np.zeros((64, 64, 3), "uint8"))
    np.save(tmp_path / "rows.npy", TRAIN.reshape(40, 64))
    where = source if source == "digits" else tmp_path / source
    with pytest.raises(InputError, match=message):
        loading.load(where, **options)


def test_a_run_keeps_key_and_scale(tmp_path):
    """Both stages and the evaluation read the images by the saved config."""
    save(tmp_path / "a.npz", {"a": TRAIN // 16, "b": TEST // 16, "c": VAL})
    settings = {"data": str(tmp_path / "a.npz"), "key": "a,b", "scale": 17}
    config = Stage1Config.from_dict(dataclasses.asdict(Stage1Config(**settings)))
    for split, images in {"train": TRAIN, "test": TEST}.items():
        found = loading.load_for(config, split)[0]
        np.testing.assert_array_equal(found[..., 0], images // 16 * 17)
    changed = Stage1Config(data=config.data, key="a", scale=1)
    expected = ["key a,b -> a", "scale 17 -> 1"]
    assert sorted(fixed_differences(config, changed)) == expected


@pytest.mark.parametrize(
    ("train", "test"),
    [
        (np.array([-1, 0, 1] * 10), np.array([0, 1] * 5)),
        (np.array([0.0, 1.0, 5.0] * 10), np.array([1, 5] * 5)),
        (np.array(["a", "b", "c"] * 10), np.array(["b", "c"] * 5)),
    ],
)
def test_a_class_has_one_number_in_all_splits(tmp_path, train, test):
    path = tmp_path / "x.npz"
    images = {"x_train": some_images(30), "x_test": some_images(10)}
    np.savez(path, **images, y_train=train, y_test=test)
    found = [loading.load(path, split)[1] for split in ("train", "test")]
    np.testing.assert_array_equal(found[0], [0, 1, 2] * 10)
    np.testing.assert_array_equal(found[1], [1, 2] * 5)


def test_a_suffix_in_capitals_is_one(tmp_path):
    np.save(tmp_path / "x.npy", some_images(30))
    (tmp_path / "x.npy").rename(tmp_path / "X.NPY")
    assert len(loading.load(tmp_path / "X.NPY")[0]) == 27


@pytest.mark.parametrize("method", [14, 99])
def test_a_compression_that_nobody_knows_is_one_line(tmp_path, method):
    path = tmp_path / "x.npz"
    np.savez(path, x_train=some_images(30), x_test=some_images(10))
    content = bytearray(path.read_bytes())
    for place in range(len(content) - 12):
        signature = content[place : place + 4]
        if signature in (b"PK\x01\x02", b"PK\x03\x04"):
            content[place + (10 if signature[2] == 1 else 8)] = method
    path.write_bytes(content)
    with pytest.raises(InputError, match=r"x\.npz, which NumPy cannot read"):
        loading.load(path)
