"""Data: exact pixels, splits that never change, one clear line for what cannot be used."""

import numpy as np
import pytest
from PIL import Image
from sklearn.datasets import load_digits

from twostage import InputError, data
from twostage.data import celeba
from twostage.data.batches import Batches


def write_images(folder, count, size=(12, 12), seed=0):
    folder.mkdir(parents=True, exist_ok=True)
    generator = np.random.default_rng(seed)
    for i in range(count):
        Image.fromarray(generator.integers(0, 256, (size[1], size[0], 3), "uint8")).save(folder / f"{i:04d}.png")


def test_digits_are_scikit_learns_stretched_to_8_bits():
    train, labels = data.load("digits")
    test, _ = data.load("digits", "test")
    assert train.shape == (1618, 8, 8, 1) and test.shape == (179, 8, 8, 1) and train.dtype == np.uint8
    everything = np.rint(load_digits().images * 255 / 16)
    assert np.concatenate([train, test]).sum() == everything.sum() and train.max() == 255
    assert np.bincount(labels).min() > 140  # no class is missing from the split


@pytest.mark.parametrize("name, shape", [("mnist", (28, 28, 1)), ("cifar10", (32, 32, 3))])
def test_names_go_through_tensorflow_datasets(name, shape):
    """Against its own stand-in for a download, which makes random examples of the true form."""
    tfds = pytest.importorskip("tensorflow_datasets")
    with tfds.testing.mock_data(num_examples=7):
        images, labels = data.load(name, "test")
    assert images.shape == (7, *shape) and images.dtype == np.uint8 and labels.shape == (7,)


def test_celeba_crop_and_resize_are_pillows_to_the_bit(tmp_path):
    """Rows 45-173, columns 25-153, then 1, 3, 3, 1 taps: also computed here in NumPy, to one grey level."""
    write_images(tmp_path, 30, celeba.SIZE)
    images, labels = data.load(tmp_path, "train", crop=128, side=64)
    names = sorted(tmp_path.iterdir())
    assert images.shape[1:] == (64, 64, 3) and labels is None and 20 <= len(images) < 30
    decoded = {p.name: np.asarray(Image.open(p)) for p in names}
    resized = {name: np.asarray(Image.fromarray(p[45:173, 25:153]).resize((64, 64), Image.Resampling.BILINEAR)) for name, p in decoded.items()}
    assert all(any(np.array_equal(image, other) for other in resized.values()) for image in images)
    face = decoded["0000.png"][45:173, 25:153].astype(float)
    taps = np.array([1, 3, 3, 1]) / 8
    padded = np.pad(face, ((1, 1), (1, 1), (0, 0)), "edge")
    rows = sum(t * padded[i : i + 128 : 2] for i, t in enumerate(taps))
    both = sum(t * rows[:, i : i + 128 : 2] for i, t in enumerate(taps))
    assert np.abs(both - resized["0000.png"])[1:-1, 1:-1].max() <= 1  # the border has fewer taps


def test_celeba_crop_refuses_other_pictures(tmp_path):
    write_images(tmp_path, 3, (100, 100))
    with pytest.raises(InputError, match="100x100, --crop 128 is for CelebA's 178x218: use --crop 0 --side"):
        data.load(tmp_path, crop=128)


def test_a_folders_split_depends_on_names_alone(tmp_path):
    write_images(tmp_path / "a", 200)
    before = data.load(tmp_path / "a", "test")[0]
    assert 8 <= len(before) <= 36 and len(before) + len(data.load(tmp_path / "a")[0]) == 200
    write_images(tmp_path / "a" / "more", 50, seed=1)
    after = data.load(tmp_path / "a", "test")[0]
    assert all(any(np.array_equal(image, other) for other in after) for image in before)


def test_own_train_and_test_folders_are_the_splits(tmp_path):
    write_images(tmp_path / "train", 7)
    write_images(tmp_path / "test", 3, seed=1)
    assert len(data.load(tmp_path)[0]) == 7 and len(data.load(tmp_path, "test")[0]) == 3


def test_numpy_files(tmp_path):
    images = np.random.default_rng(0).integers(0, 256, (50, 9, 9), "uint8")
    np.savez(tmp_path / "keras.npz", x_train=images, y_train=np.arange(50), x_test=images[:5], y_test=np.arange(5))
    np.save(tmp_path / "one.npy", images)
    train, labels = data.load(tmp_path / "keras.npz")
    np.testing.assert_array_equal(train[..., 0], images)
    assert labels.tolist() == list(range(50)) and len(data.load(tmp_path / "keras.npz", "test")[0]) == 5
    one, two = data.load(tmp_path / "one.npy")[0], data.load(tmp_path / "one.npy", "test")[0]
    assert (len(one), len(two)) == (45, 5) and one.sum(dtype=int) + two.sum(dtype=int) == images.sum(dtype=int)


def test_padding_centres_the_image(tmp_path):
    np.save(tmp_path / "x.npy", np.full((20, 28, 28), 9, "uint8"))
    padded = data.load(tmp_path / "x.npy", pad=32)[0]
    assert padded.shape[1:] == (32, 32, 1) and (padded[:, 2:30, 2:30] == 9).all() and padded.sum(dtype=int) == 18 * 28 * 28 * 9
    with pytest.raises(InputError, match="--pad 16 for images of 28x28, expected at least 28"):
        data.load(tmp_path / "x.npy", pad=16)


def test_what_cannot_be_used_is_told_in_one_line(tmp_path):
    (tmp_path / "empty").mkdir()
    write_images(tmp_path / "sizes", 4)
    write_images(tmp_path / "sizes" / "other", 4, (10, 12))
    (tmp_path / "broken").mkdir()
    (tmp_path / "broken" / "a.png").write_bytes(b"not a picture")
    (tmp_path / "broken" / "b.png").write_bytes(b"")
    np.save(tmp_path / "float.npy", np.zeros((20, 8, 8)))
    np.save(tmp_path / "flat.npy", np.zeros((20, 8), "uint8"))
    np.save(tmp_path / "objects.npy", np.array([{}] * 20, dtype=object), allow_pickle=True)
    np.savez(tmp_path / "odd.npz", a=np.zeros(3), b=np.zeros(3))
    for source, words in {
        "empty": "holds no image", "sizes": "unequal sizes, 1[02]x12x3 in .* and 1[02]x12x3 in .*--side", "broken": "could not read .*png",
        "float.npy": "float64 images .*expected uint8", "flat.npy": r"shape \(20, 8\)", "objects.npy": "NumPy cannot read",
        "odd.npz": "arrays a, b, expected x_train", "missing.npy": "check the path", "cifra10": "received data 'cifra10', expected digits, mnist",
    }.items():  # fmt: skip
        with pytest.raises(InputError, match=words) as caught:
            data.load(source if source == "cifra10" else tmp_path / source)
        assert "\n" not in str(caught.value)
    with pytest.raises(InputError, match="these apply to folders: use --crop 0 --side 0"):
        data.load("digits", side=32)
    with pytest.raises(InputError, match="split 'valid'"):
        data.load("digits", "valid")


def test_batches_are_a_function_of_seed_epoch_and_index():
    rows = np.arange(103)
    batches, again, other = Batches(rows, 10, seed=1), Batches(rows, 10, seed=1), Batches(rows, 10, seed=2)
    assert len(batches) == 10  # the remainder is dropped
    orders = []
    for epoch in range(3):
        for each in (batches, again, other):
            each.set_epoch(epoch)
        orders.append(np.concatenate([batches[i][0] for i in range(10)]))
        np.testing.assert_array_equal(orders[-1], np.concatenate([again[i][0] for i in range(10)]))
        assert len(set(orders[-1])) == 100
        assert not np.array_equal(orders[-1], np.concatenate([other[i][0] for i in range(10)]))
    assert not np.array_equal(orders[0], orders[1])
    with pytest.raises(InputError, match="received 5 examples, expected at least one batch of 10"):
        Batches(rows[:5], 10)


def test_fit_sees_each_epochs_own_order():
    """What the training step gets, epoch by epoch, also when a fit starts at a later epoch."""
    import keras

    x = np.arange(40, dtype="float32")[:, None]
    seen = {}

    class Recorder(keras.Model):
        def __init__(self):
            super().__init__()
            self.scale = self.add_weight(shape=(), initializer="ones")
            self.last = self.add_weight(shape=(8,), initializer="zeros", trainable=False)

        def call(self, x):
            return x * self.scale

        def compute_loss(self, x, y, y_pred, sample_weight=None, training=True):
            self.last.assign(x[:, 0])
            return keras.ops.mean(y_pred)

    class Watch(keras.callbacks.Callback):
        def on_epoch_begin(self, epoch, logs=None):
            self.rows = seen.setdefault(epoch, [])

        def on_train_batch_end(self, batch, logs=None):
            self.rows.append(keras.ops.convert_to_numpy(self.model.last).copy())

    batches = Batches(x, 8, seed=3)
    for first, last in ((0, 2), (2, 4)):
        model = Recorder()
        model.compile(keras.optimizers.SGD(0.0))
        model.fit(batches, epochs=last, initial_epoch=first, shuffle=False, verbose=0, callbacks=[batches.follow_epochs(), Watch()])
    for epoch in range(4):
        batches.set_epoch(epoch)
        np.testing.assert_array_equal(seen[epoch], [batches[i][0][:, 0] for i in range(5)])
