"""The SavedModel of a run: sampled with TensorFlow alone, and equal to the chain of its
Keras models.
"""

import keras
import numpy as np
import pytest
from small_run import python

LOADED = """
import sys, numpy as np, tensorflow as tf
model = tf.saved_model.load(sys.argv[1])
assert list(model.signatures)[0] == "sample", list(model.signatures)
images = np.random.default_rng(0).integers(0, 256, (3, 8, 8, 1), "uint8")
signature = model.signatures["sample"]
by_signature = signature(n=tf.constant(300), seed=tf.constant(1))
found = {
    "one": model.sample(300, 1),
    "again": model.sample(300, 1),
    "other": model.sample(300, 2),
    "first": model.sample_first_stage(3, 1),
    "by_signature": by_signature["output_0"],
    "mean": model.encode(images)["mean"], "reconstruction": model.reconstruct(images),
    "decoded": model.decode(model.encode(images)["mean"]),
}
np.savez(sys.argv[2], **{name: value.numpy() for name, value in found.items()})
try:
    model.encode((images / 256.0).astype("float32"))
except tf.errors.InvalidArgumentError as error:
    assert "uint8" in str(error), error
else:
    sys.exit("floats were taken as black images")
names = [name for name in sys.modules if "twostage" in name]
assert "keras" not in {name.split(".")[0] for name in names}
assert "twostage" not in sys.modules
"""


def test_saved_model_samples_with_tensorflow_alone(small_run, tmp_path):
    pytest.importorskip("tensorflow")
    for i in (1, 2):  # two processes
        python("-c", LOADED, small_run[0] / "saved_model", tmp_path / f"{i}.npz")
    one, two = np.load(tmp_path / "1.npz"), np.load(tmp_path / "2.npz")
    for name in one.files:
        np.testing.assert_array_equal(one[name], two[name])
    images = one["one"]
    assert (
        images.shape == (300, 8, 8, 1)
        and images.dtype == np.float32
        and images.min() >= 0
        and images.max() <= 1
    )
    np.testing.assert_array_equal(images, one["again"])
    np.testing.assert_array_equal(images, one["by_signature"])
    assert np.abs(images - one["other"]).max() > 0.01
    assert one["first"].shape == (3, 8, 8, 1) and one["mean"].shape == (3, 4)
    np.testing.assert_allclose(one["decoded"], one["reconstruction"], atol=1e-6)


def test_saved_model_is_the_keras_models_chain(small_run):
    """The SavedModel's encode, decode and reconstruct against the `.keras` file, on the
    backend under test.
    """
    tf = pytest.importorskip("tensorflow")
    from twostage import VAE, export
    from twostage.sampling import (
        generate,
    )  # any public name registers the classes of the files

    model, vae = (
        export.load(small_run[0] / "saved_model"),
        keras.saving.load_model(small_run[0] / "stage1" / "model.keras"),
    )
    assert isinstance(vae, VAE)
    images = np.random.default_rng(0).integers(0, 256, (5, 8, 8, 1), "uint8")
    np.testing.assert_allclose(
        model.reconstruct(images),
        keras.ops.convert_to_numpy(generate.reconstruct(vae, images)),
        atol=1e-5,
    )
    stage2 = keras.saving.load_model(small_run[0] / "stage2" / "model.keras")
    normalizer = keras.saving.load_model(small_run[0] / "stage2" / "normalizer.keras")
    u = tf.random.stateless_normal((7, 4), [1, 0], alg="philox").numpy()
    expected = keras.ops.convert_to_numpy(
        generate.sample(vae, stage2, u, method="normalised", normalizer=normalizer)
    )
    np.testing.assert_allclose(model.sample(7, 1), expected, atol=1e-5)
    for sample in (model.sample, model.sample_first_stage):
        with pytest.raises(
            tf.errors.InvalidArgumentError,
            match="received n below 1, expected at least 1 sample",
        ):
            sample(0, 1)
    for wrong in (images // 255, images[:0]):
        with pytest.raises(
            tf.errors.InvalidArgumentError,
            match="no images, or all of them black: were they floats",
        ):
            model.encode(wrong)
    with pytest.raises(
        ValueError, match="received images of type float64, expected uint8"
    ):
        model.encode(images / 255.0)
