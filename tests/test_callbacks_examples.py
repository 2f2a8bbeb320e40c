"""What a callback takes as data: what `fit` takes, if it can be counted."""

import re

import keras
import numpy as np
import pytest
from keras import layers, ops

import callbacks
from callbacks.examples import random_subset

ROWS = 1_000


def images(rows=ROWS):
    """Sorted, as data often are."""
    return np.sort(np.random.default_rng(0).random((rows, 4)), axis=0).astype("float32")


class Batches(keras.utils.PyDataset):
    def __init__(self, x, count=None):
        super().__init__()
        self.x, self.count = x, count

    @property
    def num_batches(self):
        return self.count

    def __getitem__(self, i):
        return self.x[100 * i : 100 * (i + 1)], np.zeros(100)


def tf_dataset(x, **options):
    import tensorflow as tf

    data = tf.data.Dataset.from_tensor_slices((x, np.arange(len(x))))
    return data.batch(100)


def frame(x):
    import pandas

    return pandas.DataFrame(x)


def loader(x):
    torch = pytest.importorskip("torch")
    rows = torch.utils.data.TensorDataset(torch.tensor(x), torch.arange(len(x)))
    return torch.utils.data.DataLoader(rows, batch_size=100)


@pytest.mark.parametrize(
    "make",
    [
        np.asarray,
        ops.convert_to_tensor,
        frame,
        tf_dataset,
        lambda x: tf_dataset(x).map(lambda a, b: a),
        lambda x: Batches(x, 10),
        loader,
        lambda x: [x],
    ],
)
def test_a_fixed_random_part_of_whatever_can_be_counted(make):
    x = images()
    chosen = [random_subset(make(x), 200) for _ in range(2)]
    found = keras.tree.flatten(chosen[0])[0]
    assert found.shape == (200, 4) and found.dtype == np.float32
    np.testing.assert_array_equal(found, keras.tree.flatten(chosen[1])[0])
    assert {row.tobytes() for row in found} <= {row.tobytes() for row in x}
    assert len(np.unique(found, axis=0)) == 200
    assert found.mean() == pytest.approx(x.mean(), abs=0.07)  # not the first rows
    everything = keras.tree.flatten(random_subset(make(x), 5_000))[0]
    np.testing.assert_array_equal(everything, x)


def test_rows_of_several_inputs_stay_together():
    x = images()
    labels = x[:, 0] * 2
    for data in ((x, labels), {"image": x, "label": labels}):
        one, other = keras.tree.flatten(random_subset(data, 50))
        assert len(one) == 50
        np.testing.assert_array_equal(other, one[:, 0] * 2)


def endless():
    while True:
        yield images(10)


@pytest.mark.parametrize(
    "make, words",
    [
        (endless, "generator whose length is not known.*numpy.concatenate"),
        (lambda: map(np.asarray, [[1.0]]), "map whose length is not known"),
        (lambda: tf_dataset(images()).repeat(), "length is not known.*numpy.conc"),
        (lambda: tf_dataset(images()).filter(lambda a, b: True), "is not known"),
        (lambda: Batches(images()), "Batches whose length is not known"),
        (lambda: 3, "int whose length is not known, expected an array"),
        (lambda: [[0.1, 0.2], [0.3, 0.4]], "that holds float.*numpy.asarray"),
        (lambda: "faces", "type <U1, expected numbers"),
        (lambda: [np.zeros((3, 2)), np.zeros((4, 2))], "2 arrays with 3, 4 rows"),
        (lambda: np.array([1.0, None]), "object, expected.*numpy.stack"),
        (lambda: list(np.zeros((300, 28, 28))), "300 arrays of 28 rows.*numpy.stack"),
        (lambda: np.array(["a", "b"]), "type <U1, expected numbers"),
        (lambda: frame([["a", 1.0]]), r"object, .*select_dtypes\('number'\)"),
        (lambda: images()[:0], r"shape \(0, 4\), expected at least one"),
        (lambda: np.float32(3), r"shape \(\), expected at least one"),
        (lambda: {}, "shape none, expected at least one"),
        (lambda: [], "shape none, expected at least one"),
        (lambda: images() * np.float32("inf"), "infinity in 1000 of 1000"),
        (lambda: np.where(images() > 0.5, np.nan, 0.0), "NaN in .* of 1000"),
    ],
)
def test_what_cannot_be_counted_is_refused_with_the_line_that_fixes_it(make, words):
    with pytest.raises(ValueError, match=words) as caught:
        callbacks.VarianceLaw(make())
    assert str(caught.value).startswith("received") and len(str(caught.value)) < 300


def test_sparse_matrices_are_refused():
    import scipy.sparse

    with pytest.raises(ValueError, match=r"data=data.toarray\(\)"):
        callbacks.VarianceLaw(scipy.sparse.eye(5).tocsr())


class Conditional(keras.Model):
    """Encoder and decoder also take a label; the latents are the pixels."""

    def __init__(self, kind):
        super().__init__()
        image, label = (
            keras.Input((2, 2, 1), name="image"),
            keras.Input((1,), name="label"),
        )
        inputs = {"image": image, "label": label} if kind is dict else [image, label]
        flat = layers.Flatten()(image)
        mean = layers.Multiply()([flat, label])
        self.encoder = keras.Model(inputs, [mean, layers.Rescaling(0.0)(flat)])
        z = keras.Input((4,))
        drawn = layers.Reshape((2, 2, 1))(layers.Multiply()([z, label]))
        self.decoder = keras.Model([z, label], drawn)
        self.label = "label" if kind is dict else 1

    def call(self, x):
        mean, _ = self.encoder(x)
        return self.decoder([mean, x[self.label]])


@pytest.mark.parametrize("kind", [list, dict])
def test_a_conditional_model_gets_its_inputs_row_by_row(kind, tmp_path):
    x = images().reshape(-1, 2, 2, 1)
    labels = np.where(np.arange(ROWS) % 2, 1.0, 0.5).astype("float32")[:, None]
    data = {"image": x, "label": labels} if kind is dict else [x, labels]
    model = Conditional(kind)
    model.compile(keras.optimizers.SGD(0.0), "mse")
    seen = []

    def decode(model, z, inputs):
        seen.append(ops.convert_to_numpy(inputs[model.label]))
        return model.decoder([z, inputs[model.label]])

    watch = [
        callbacks.VarianceLaw(data),
        callbacks.NaNDiagnosis(data=data),
        callbacks.ImageGrid(tmp_path, data, decode=decode, rows=4),
    ]
    history = model.fit(data, x, verbose=0, callbacks=watch).history
    mean = x.reshape(-1, 4) * labels
    law = (mean.var(0) + 1).mean()
    assert history["variance_law"][0] == pytest.approx(law, rel=1e-5)
    assert [len(labels) for labels in seen] == [2, 8, 16]
    grid = watch[2]
    chosen = keras.tree.flatten(grid.data)[1]
    np.testing.assert_array_equal(seen[1], chosen)
    np.testing.assert_array_equal(seen[2], np.tile(chosen, (2, 1)))
    with pytest.raises(
        ValueError, match=r"decoder takes 2 inputs.*decode=lambda model, z, x"
    ):
        model.fit(data, x, verbose=0, callbacks=[callbacks.ImageGrid(tmp_path, data)])


@pytest.mark.parametrize("kind", [list, dict])
def test_several_inputs_survive_serialization(kind):
    x = images(20)
    data = {"a": x, "b": x[:, :1]} if kind is dict else [x, x[:, :1]]
    watch = callbacks.VarianceLaw(data, max_samples=10)
    config = keras.saving.serialize_keras_object(watch)
    again = keras.saving.deserialize_keras_object(config)
    for one, other in zip(
        keras.tree.flatten(watch.data), keras.tree.flatten(again.data), strict=True
    ):
        np.testing.assert_array_equal(one, other)
    assert type(again.data) is kind


class Exploding(keras.Model):
    """The second step's loss is NaN. It has methods of the names that Keras uses."""

    def __init__(self):
        super().__init__()
        self.dense = layers.Dense(4)
        self.count = self.add_weight(
            name="count", shape=(), initializer="zeros", trainable=False
        )

    def call(self, x):
        x = keras.tree.flatten(x)[0]
        self.count.assign_add(1.0)
        self.add_loss(ops.where(self.count > 2, np.nan, 0.0) * ops.sum(x))
        return self.dense(x)

    def save_weights(self, folder, epoch, keep=3):
        raise AssertionError("of another signature")


@pytest.mark.parametrize(
    "make, words",
    [
        (lambda x: x, "inputs: float32, from .* to .*, 0 NaN"),
        (lambda x: [x, x.astype("uint8")], "inputs: float32, .*; inputs: uint8, "),
        (lambda x: {"x": x}, "inputs: float32, "),
        (tf_dataset, "inputs: float32, "),
        (lambda x: Batches(x, 10), "inputs: float32, "),
        (frame, "inputs: float32, "),
        (lambda x: np.where(x > 0.5, np.nan, 0.25), "from 0.25 to 0.25, .* NaN"),
        (lambda x: x * np.inf, "no finite value, 0 NaN, 4000 infinite"),
    ],
)
def test_a_diagnosis_describes_whatever_data(make, words, tmp_path):
    x, path = images(), tmp_path / "good.weights.h5"
    model = Exploding()
    model.compile(keras.optimizers.SGD(0.0), "mse")
    watch = callbacks.NaNDiagnosis(path, make(x))
    model.fit(x, x, batch_size=ROWS, epochs=4, verbose=0, callbacks=[watch])
    assert watch.diagnosis.startswith("step ") and "not finite: loss" in watch.diagnosis
    assert re.search(words, watch.diagnosis)
    assert path.exists() and "last good weights" in watch.diagnosis


def test_a_diagnosis_refuses_what_it_could_not_describe():
    with pytest.raises(ValueError, match="generator whose length is not known"):
        callbacks.NaNDiagnosis(data=endless())


def test_the_advice_makes_arrays_of_what_it_is_given_for(caplog):
    """As its lines stand, of labeled batches and others."""
    import itertools

    for labeled in (True, False):
        batches = (
            (images(10), np.zeros(10)) if labeled else images(10) for _ in range(3)
        )
        with pytest.raises(ValueError) as caught:
            callbacks.VarianceLaw(batches)
        line = str(caught.value).split("data=")[1]
        scope = {"numpy": np, "itertools": itertools, "batches": batches}
        np.testing.assert_array_equal(eval(line, scope), np.tile(images(10), (3, 1)))
    table = frame([["a", 1.0], ["b", 2.0]])
    with pytest.raises(ValueError) as caught:
        callbacks.VarianceLaw(table)
    line = str(caught.value).split("then data=")[1]
    assert eval(line, {"data": table}).tolist() == [[1.0], [2.0]]
