"""Data: splits that never change, batches, a summary before training, one clear line
for what cannot be used.
"""

import keras
import numpy as np
import pytest
from PIL import Image
from sklearn.datasets import load_digits
from small_models import linear_vae
from test_data_image_files import write_images

from twostage import InputError
from twostage.cli.main import COMMANDS
from twostage.config import Stage1Config
from twostage.data import loading, summary
from twostage.data import registry as named
from twostage.data.batches import Batches, check_count, flip
from twostage.models.gaussian_mixture import check_components


def test_digits_are_scikit_learns_stretched_to_8_bits():
    train, labels = loading.load("digits")
    test, _ = loading.load("digits", "test")
    assert (
        train.shape == (1618, 8, 8, 1)
        and test.shape == (179, 8, 8, 1)
        and train.dtype == np.uint8
    )
    everything = np.rint(load_digits().images * 255 / 16)
    assert (
        np.concatenate([train, test]).sum() == everything.sum() and train.max() == 255
    )
    assert np.bincount(labels).min() > 140  # no class is missing from the split


@pytest.mark.parametrize(
    "name, shape",
    [
        ("mnist", (28, 28, 1)),
        ("fashion_mnist", (28, 28, 1)),
        ("cifar10", (32, 32, 3)),
        ("svhn", (32, 32, 3)),
    ],
)
def test_names_go_through_tensorflow_datasets(name, shape, monkeypatch):
    """Against its own stand-in for a download, which makes random examples of the true
    form.
    """
    tfds = pytest.importorskip("tensorflow_datasets")
    monkeypatch.setattr(named, "_reach", lambda page: None)
    with tfds.testing.mock_data(num_examples=7):
        images, labels = loading.load(name, "test")
    assert (
        images.shape == (7, *shape)
        and images.dtype == np.uint8
        and labels.shape == (7,)
    )


def test_numpy_files(tmp_path):
    images = np.random.default_rng(0).integers(0, 256, (50, 9, 9), "uint8")
    np.savez(
        tmp_path / "keras.npz",
        x_train=images,
        y_train=np.arange(50),
        x_test=images[:5],
        y_test=np.arange(5),
    )
    np.save(tmp_path / "one.npy", images)
    train, labels = loading.load(tmp_path / "keras.npz")
    np.testing.assert_array_equal(train[..., 0], images)
    assert (
        labels.tolist() == list(range(50))
        and len(loading.load(tmp_path / "keras.npz", "test")[0]) == 5
    )
    one, two = (
        loading.load(tmp_path / "one.npy")[0],
        loading.load(tmp_path / "one.npy", "test")[0],
    )
    assert (len(one), len(two)) == (45, 5) and one.sum(dtype=int) + two.sum(
        dtype=int
    ) == images.sum(dtype=int)
    np.savez(
        tmp_path / "half.npz", x_train=images, y_train=np.arange(50)
    )  # no test images: a tenth of these, and not trained on
    halves = [loading.load(tmp_path / "half.npz", split) for split in ("train", "test")]
    assert [len(x) for x, _ in halves] == [45, 5] and sorted(
        np.concatenate([y for _, y in halves])
    ) == list(range(50))
    np.testing.assert_array_equal(halves[1][0][..., 0], images[halves[1][1]])


def test_numpy_files_by_another_name_and_labels_of_any_kind(tmp_path):
    x = np.random.default_rng(0).integers(0, 256, (6, 8, 8), "uint8")
    np.savez(
        tmp_path / "a.npz",
        x_train=x,
        x_test=x[:3],
        y_train=np.array(list("bcabca")),
        y_test=np.array(list("cab")),
    )
    assert loading.load(tmp_path / "a.npz")[1].tolist() == [
        1,
        2,
        0,
        1,
        2,
        0,
    ] and loading.load(tmp_path / "a.npz", "test")[1].tolist() == [2, 0, 1]
    (tmp_path / "a.npz").rename(tmp_path / "b.npy")
    assert len(loading.load(tmp_path / "b.npy", "test")[0]) == 3
    np.save(tmp_path / "c.npy", x)
    (tmp_path / "c.npy").rename(tmp_path / "c.npz")
    assert loading.load(tmp_path / "c.npz")[0].shape == (6, 8, 8, 1)


def test_padding_centers_the_image(tmp_path):
    np.save(tmp_path / "x.npy", np.full((20, 28, 28), 9, "uint8"))
    padded = loading.load(tmp_path / "x.npy", pad=32)[0]
    assert (
        padded.shape[1:] == (32, 32, 1)
        and (padded[:, 2:30, 2:30] == 9).all()
        and padded.sum(dtype=int) == 18 * 28 * 28 * 9
    )
    with pytest.raises(
        InputError, match="`pad=16` for images of 28x28, expected at least 28"
    ):
        loading.load(tmp_path / "x.npy", pad=16)


def test_what_cannot_be_used_is_reported_in_one_line(tmp_path):
    (tmp_path / "empty").mkdir()
    write_images(tmp_path / "sizes", 4)
    write_images(tmp_path / "sizes" / "other", 4, (10, 12))
    (tmp_path / "broken").mkdir()
    (tmp_path / "broken" / "a.png").write_bytes(b"not an image")
    (tmp_path / "broken" / "b.png").write_bytes(b"")
    np.save(tmp_path / "float.npy", np.zeros((20, 8, 8)))
    np.save(tmp_path / "flat.npy", np.zeros((20, 8), "uint8"))
    np.save(
        tmp_path / "objects.npy", np.array([{}] * 20, dtype=object), allow_pickle=True
    )
    np.savez(tmp_path / "odd.npz", a=np.zeros(3), b=np.zeros(3))
    for source, words in {
        "empty": "holds no image",
        "sizes": "unequal sizes, 1[02]x12 in .* and 1[02]x12 in .*`side=32, fit='crop'",
        "broken": "cannot be read: a.png .not an image.; b.png .empty file.",
        "float.npy": "float64 images .*expected uint8",
        "flat.npy": r"shape \(20, 8\)",
        "objects.npy": r"an array of Python objects of shape \(20,\)",
        "odd.npz": r"arrays a \(3,\) float64, b \(3,\) float64, expected x_train",
        "missing.npy": "check the path",
        "cifra10": "received data 'cifra10', expected digits, mnist",
    }.items():
        with pytest.raises(InputError, match=words) as caught:
            loading.load(source if source == "cifra10" else tmp_path / source)
        assert "\n" not in str(caught.value)
    with pytest.raises(
        InputError, match="these apply to image files: use `crop='none', side=0`"
    ):
        loading.load("digits", side=32)
    with pytest.raises(InputError, match="split 'valid'"):
        loading.load("digits", "valid")


def test_batches_are_a_function_of_seed_epoch_and_index():
    rows = np.arange(103)
    batches, again, other = (
        Batches(rows, 10, seed=1),
        Batches(rows, 10, seed=1),
        Batches(rows, 10, seed=2),
    )
    assert len(batches) == 10  # the remainder is dropped
    orders = []
    for epoch in range(3):
        for each in (batches, again, other):
            each.set_epoch(epoch)
        orders.append(np.concatenate([batches[i][0] for i in range(10)]))
        np.testing.assert_array_equal(
            orders[-1], np.concatenate([again[i][0] for i in range(10)])
        )
        assert len(set(orders[-1])) == 100
        assert not np.array_equal(
            orders[-1], np.concatenate([other[i][0] for i in range(10)])
        )
    assert not np.array_equal(orders[0], orders[1])
    with pytest.raises(
        InputError, match="received 5 examples, expected at least one batch of 10"
    ):
        Batches(rows[:5], 10)


def test_fit_sees_each_epochs_own_order():
    """What the training step gets, epoch by epoch, also when a fit starts at a later
    epoch.
    """
    x = np.arange(40, dtype="float32")[:, None]
    seen = {}

    class Recorder(keras.Model):
        def __init__(self):
            super().__init__()
            self.scale = self.add_weight(shape=(), initializer="ones")
            self.last = self.add_weight(
                shape=(8,), initializer="zeros", trainable=False
            )

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
        model.fit(
            batches.feed(),
            epochs=last,
            initial_epoch=first,
            shuffle=False,
            verbose=0,
            callbacks=[batches.follow_epochs(), Watch()],
        )
    for epoch in range(4):
        batches.set_epoch(epoch)
        np.testing.assert_array_equal(
            seen[epoch], [batches[i][0][:, 0] for i in range(5)]
        )


def test_a_vae_takes_each_epoch_of_batches_in_an_order_of_its_own():
    """Without a callback, and those that it is given come after the epoch is set."""
    x = np.arange(240, dtype="float32").reshape(40, 6)
    seen = []

    class Watch(keras.callbacks.Callback):
        def on_epoch_begin(self, epoch, logs=None):
            seen.append((epoch, batches.epoch, batches[0][0][:, 0].tolist()))

    batches = Batches(x, 8, seed=3)
    vae = linear_vae()
    vae.compile("sgd")
    vae.fit(batches, epochs=2, verbose=0, callbacks=[Watch()])
    vae.fit(batches, initial_epoch=2, epochs=3, verbose=0, callbacks=Watch())
    assert [epochs for *epochs, _ in seen] == [[0, 0], [1, 1], [2, 2]]
    firsts = [first for *_, first in seen]
    assert len({tuple(first) for first in firsts}) == 3


def test_the_summary_before_training_is_right(tmp_path, capsys):
    generator = np.random.default_rng(0)
    images = generator.integers(3, 250, (120, 8, 6, 3), "uint8")
    images[[5, 9, 11]] = images[2]
    labels = np.repeat([0, 1, 7], [20, 40, 60])
    found = summary.describe(images, labels)
    floats = images.reshape(-1, 3) / 255
    np.testing.assert_allclose(found.mean, floats.mean(0), rtol=1e-12)
    np.testing.assert_allclose(found.std, floats.std(0), rtol=1e-12)
    assert (found.count, found.shape, found.minimum, found.maximum) == (
        120,
        (8, 6, 3),
        3,
        249,
    )
    assert found.duplicates == 3 and found.classes == {0: 20, 1: 40, 7: 60}
    np.savez(
        tmp_path / "x.npz",
        x_train=images,
        y_train=labels,
        x_test=images[:7],
        y_test=labels[:7],
    )
    COMMANDS["data"](
        [str(tmp_path / "x.npz"), "--grid", str(tmp_path / "new" / "m.png")]
    )
    out = capsys.readouterr().out.splitlines()
    assert (
        out[0] == "train: 120 images of 8x6x3, 3 classes of 20 to 60 images"
        and out[2] == "3 of them are duplicates"
    )
    assert out[1].startswith(
        f"values 3 to 249; divided by 255: mean {floats.mean(0)[0]:.4f}, "
    )
    assert out[3] == "test: 7 images of 8x6x3, 1 classes of 7 to 7 images"
    with Image.open(tmp_path / "new" / "m.png") as grid:
        assert grid.size == (
            7 * 8 * 7,
            7 * 8 * 9,
        )  # 8 x 8 tiles of 6 x 8 pixels and a line, enlarged 7 times toward 512


def test_limit_is_a_fixed_choice_and_jpeg_is_pillows(tmp_path):
    images = np.random.default_rng(0).integers(0, 256, (50, 16, 16, 3), "uint8")
    np.savez(tmp_path / "x.npz", x_train=images, x_test=images, y_train=np.arange(50))
    some, labels = loading.load(tmp_path / "x.npz", limit=10)
    np.testing.assert_array_equal(some, images[labels])
    assert len(set(labels.tolist())) == 10 and labels.tolist() != list(range(10))
    np.testing.assert_array_equal(labels, loading.load(tmp_path / "x.npz", limit=10)[1])
    assert len(loading.load(tmp_path / "x.npz", limit=99)[0]) == 50
    again = loading.load(tmp_path / "x.npz", limit=10, jpeg_roundtrip=True)[0]
    Image.fromarray(some[3]).save(tmp_path / "one.jpg", quality=75)
    with Image.open(tmp_path / "one.jpg") as expected:
        np.testing.assert_array_equal(again[3], np.asarray(expected))


@pytest.mark.skipif(keras.backend.backend() != "tensorflow", reason="tf.data")
def test_tensorflow_gets_batches_without_autotuning(
    monkeypatch,
):
    """As a `VAE` gives them to Keras: the rest of an epoch here, in its order."""
    given, batches = (
        [],
        Batches(np.arange(84, dtype="float32").reshape(42, 2), 4, seed=3),
    )
    monkeypatch.setattr(
        keras.Model, "fit", lambda self, x, *rest, **options: given.append(x)
    )
    batches.set_epoch(2)
    batches.first = 7
    linear_vae(2).fit(batches)
    rows = [part.numpy() for (part,) in given[0]]
    np.testing.assert_array_equal(rows, [batches[i][0] for i in range(3)])
    assert given[0].options().autotune.enabled is False and given[0].cardinality() == 3


def test_flip_mirrors_another_half_of_the_images_in_every_epoch():
    images = np.random.default_rng(0).integers(0, 256, (400, 4, 5, 1), "uint8")
    batches, shares = Batches(images, 200, seed=3, transform=flip), []
    for epoch in range(2):
        batches.set_epoch(epoch)
        for index in range(2):
            (batch,), rows = (
                batches[index],
                batches.order[index * 200 : (index + 1) * 200],
            )
            mirrored = (batch == images[rows][:, :, ::-1]).all((1, 2, 3))
            assert (mirrored | (batch == images[rows]).all((1, 2, 3))).all()
            shares.append(tuple(mirrored))
            np.testing.assert_array_equal(batch, batches[index][0])
    assert len(set(shares)) == 4 and all(70 < sum(share) < 130 for share in shares)


def test_each_process_gets_its_part_of_every_batch(monkeypatch):
    """What two processes would read, without starting them as tests/gamma_modes.py
    does.
    """

    class Distribution:
        num_processes, num_model_replicas, auto_shard_dataset, data_shard_id = (
            3,
            6,
            False,
            0,
        )

    x = np.arange(100)

    def noisy(batch, generator):
        return batch + generator.random(len(batch))

    whole, distribution, parts = (
        Batches(x, 12, seed=5, transform=noisy),
        Distribution(),
        [],
    )
    monkeypatch.setattr(keras.distribution, "distribution", lambda: distribution)
    for distribution.data_shard_id in range(3):
        parts.append(Batches(x, 12, seed=5, transform=noisy))
    for epoch in range(2):
        for each in (whole, *parts):
            each.set_epoch(epoch)
        for index in range(len(whole)):
            np.testing.assert_array_equal(
                np.concatenate([part[index][0] for part in parts]), whole[index][0]
            )
    with pytest.raises(
        InputError,
        match="received batches of 10 for 3 processes, expected a multiple of 3",
    ):
        Batches(x, 10)
    distribution.auto_shard_dataset = True
    with pytest.raises(InputError, match="give it `auto_shard_dataset=False`"):
        Batches(x, 12)


def test_a_home_is_found_in_every_path(tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.chdir(tmp_path)
    config = Stage1Config(data="~/x", data_dir="~/y", cache="z")
    found = loading.with_absolute_paths(config)
    assert found.data == str(tmp_path / "x") and found.data_dir == str(tmp_path / "y")
    assert found.cache == str(tmp_path / "z")
    assert loading.with_absolute_paths(Stage1Config()).cache == ""
    for i in range(20):
        Image.fromarray(np.full((8, 8), 10 * i, "uint8")).save(tmp_path / f"{i}.png")
    loading.load(tmp_path, cache="~/kept")
    assert (tmp_path / "kept").is_dir() and not (tmp_path / "~").exists()


def test_one_example_is_no_training_set():
    with pytest.raises(InputError, match="one example, expected at least two"):
        check_count(1, 1)
    check_count(2, 1)
    for images, components in ((1, 1), (3, 4)):
        with pytest.raises(InputError, match="at least as many images as Gaussians"):
            check_components(components, images)
