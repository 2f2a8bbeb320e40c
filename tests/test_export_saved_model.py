"""The SavedModel of a run: sampled with TensorFlow alone, and equal to the chain of its
Keras models.
"""

import json
import os
import re
import shutil
from pathlib import Path

import keras
import numpy as np
import pytest
from small_run import python

from twostage import InputError, TwoStageVAE
from twostage.cli import train as train_command
from twostage.cli.main import COMMANDS
from twostage.models.tensors import to_numpy

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
    "by_signature": by_signature["images"],
    "mean": model.encode(images)["mean"], "reconstruction": model.reconstruct(images),
    "decoded": model.decode(model.encode(images)["mean"]),
}
np.savez(sys.argv[2], **{name: value.numpy() for name, value in found.items()})
try:
    model.encode((images / 128.0 - 1).astype("float32"))
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


def test_saved_models_are_exported_with_their_own_sampling(tmp_path):
    """By the command as by `TwoStageVAE.export`; another density was not fitted."""
    tf = pytest.importorskip("tensorflow")
    stage1 = {"base_dim": 4, "fc_dim": 16, "latent_dim": 4}
    stage2 = {"width": 8, "sampling": "gaussian"}
    model = TwoStageVAE.from_preset("digits", stage1=stage1, stage2=stage2)
    generator = np.random.default_rng(1)
    model.fit(generator.integers(0, 256, (200, 8, 8, 1), "uint8"), epochs=(1, 1))
    model.save(tmp_path / "model")
    arguments = ["--models", tmp_path / "model", "--out", tmp_path / "saved"]
    python("-m", "twostage", "export", *arguments)
    exported = tf.saved_model.load(str(tmp_path / "saved"))
    u = generator.normal(size=(5, 4)).astype("float32")
    uniform = np.zeros(5, "float32")
    expected = model.decode(to_numpy(model.mixture.transform(u, uniform)))
    np.testing.assert_allclose(exported.sample_from(u, uniform), expected, atol=1e-5)
    for wrong in (uniform[:1], uniform + 1, uniform - 1, uniform * np.nan):
        with pytest.raises(
            tf.errors.InvalidArgumentError, match=r"`uniform` in \[0, 1\): draw them"
        ):
            exported.sample_from(u, wrong)
    with pytest.raises(InputError, match="'mixture'`, for which nothing was fitted"):
        model.models.density_of("mixture")


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
        generate.sample(vae, stage2, u, method="normalized", normalizer=normalizer)
    )
    np.testing.assert_allclose(model.sample(7, 1), expected, atol=1e-5)
    for sample in (model.sample, model.sample_first_stage):
        with pytest.raises(
            tf.errors.InvalidArgumentError,
            match="received n=0, expected at least 1",
        ):
            sample(0, 1)
    for wrong, words in (
        (images // 255, "from 0 to 1, all of them black, expected uint8"),
        (images[:0], r"shape \[0 8 8 1\], expected \(n, 8, 8, 1\) and n at least 1"),
    ):
        with pytest.raises(tf.errors.InvalidArgumentError, match=words):
            model.encode(wrong)
    with pytest.raises(
        ValueError, match="received images of type float64, expected uint8"
    ):
        model.encode(images / 255.0)


SERVING = (Path(__file__).parents[1] / "docs" / "how-to" / "serve.md").read_text()
PIXELS = np.random.default_rng(0).integers(0, 256, (3, 8, 8, 1))
PIXELS[0, 0, 0, 0], PIXELS[0, 0, 1, 0] = 0, 255
WHOLE = "expected uint8, or whole numbers from 0 to 255: round 255 x of floats"


@pytest.fixture(scope="module")
def saved(small_run):
    """The SavedModel as users of TensorFlow alone load it."""
    tf = pytest.importorskip("tensorflow")
    return tf.saved_model.load(str(small_run[0] / "saved_model"))


@pytest.mark.parametrize(
    "kind", ["uint8", "int32", "int64", "float16", "float32", "float64"]
)
def test_whole_numbers_of_any_type_are_encoded(saved, kind):
    import tensorflow as tf

    images = PIXELS.astype(kind)
    expected = saved.encode(PIXELS.astype("uint8"))["mean"].numpy()
    for mean in (
        saved.encode(images)["mean"],
        saved.encode(tf.constant(images))["mean"],
        saved.signatures["encode"](images=images)["mean"],
    ):
        np.testing.assert_array_equal(mean, expected)


@pytest.mark.parametrize(
    ("images", "received"),
    [
        (PIXELS / 127.5 - 1, "images from -1 to 1"),
        ((PIXELS / 127.5 - 1).astype("float32"), "images from -1 to 1"),
        ((PIXELS / 127.5 - 1).tolist(), "images from -1 to 1"),
        (PIXELS / 255, "fractions, from 0 to 1"),
        ((PIXELS / 255).astype("float16"), "fractions, from 0 to 1"),
        (PIXELS - 1, "images from -1 to 254"),
        ((PIXELS + 1).astype("int32"), "images from 1 to 256"),
        (np.where(PIXELS == 7, 6.5, PIXELS), "fractions, from 0 to 255"),
        (np.where(PIXELS == 0, np.nan, PIXELS), "images from nan to nan"),
        (np.where(PIXELS == 0, np.inf, PIXELS), "images from 1 to inf"),
        (1.0 * (PIXELS > 9), "images from 0 to 1, all of them black"),
        (np.zeros((1, 8, 8, 1), "uint8"), "images from 0 to 0, all of them black"),
    ],
)
def test_what_is_no_pixel_is_refused(saved, images, received):
    """By the methods and by the signatures, for callers of TensorFlow alone."""
    import tensorflow as tf

    for call in (
        saved.encode,
        saved.reconstruct,
        lambda images: saved.signatures["encode"](images=images),
        lambda images: saved.signatures["reconstruct"](images=images),
    ):
        with pytest.raises(
            tf.errors.InvalidArgumentError, match=f"received {received}, {WHOLE}"
        ):
            call(images)


@pytest.mark.parametrize("shape", [(2, 9, 9, 1), (2, 8, 8, 3), (8, 8, 1), (2, 64), ()])
def test_images_of_another_shape_are_refused(saved, shape):
    import tensorflow as tf

    images = np.full(shape, 9, "uint8")
    came = re.escape(f"[{' '.join(map(str, shape))}]")
    words = rf"images of shape {came}, expected \(n, 8, 8, 1\) and n at least 1: resize"
    for call in (saved.encode, saved.reconstruct):
        with pytest.raises(tf.errors.InvalidArgumentError, match=words):
            call(images)
    with pytest.raises(TypeError, match=r"\(None, 8, 8, 1\)"):
        saved.signatures["encode"](images=images)


@pytest.mark.parametrize("n", [0, -3])
def test_fewer_than_one_sample_is_refused(saved, n):
    import tensorflow as tf

    for name in ("sample", "sample_first_stage"):
        for call in (getattr(saved, name), saved.signatures[name]):
            with pytest.raises(
                tf.errors.InvalidArgumentError,
                match=f"received n={n}, expected at least 1",
            ):
                call(n=tf.constant(n), seed=tf.constant(1))


def test_no_latents_are_refused(saved):
    import tensorflow as tf

    none = np.zeros((0, 4), "float32")
    for call in (saved.decode, saved.sample_from):
        with pytest.raises(tf.errors.InvalidArgumentError, match="at least 1"):
            call(none)


def test_signatures_have_names_and_static_shapes(saved):
    images, latents = (None, 8, 8, 1), (None, 4)
    drawn = {"n": (), "seed": ()}, {"images": images}
    expected = {
        "sample": drawn,
        "serving_default": drawn,
        "sample_first_stage": drawn,
        "sample_from": ({"u": latents}, {"images": images}),
        "encode": ({"images": images}, {"mean": latents, "log_var": latents}),
        "decode": ({"z": latents}, {"images": images}),
        "reconstruct": ({"images": images}, {"images": images}),
    }
    found = {
        name: tuple(
            {key: tuple(spec.shape) for key, spec in specs.items()}
            for specs in (
                signature.structured_input_signature[1],
                signature.structured_outputs,
            )
        )
        for name, signature in saved.signatures.items()
    }
    assert found == expected


def test_sample_from_is_sample_with_ones_own_numbers(saved):
    import tensorflow as tf

    u = tf.random.stateless_normal((7, 4), [1, 0], alg="philox").numpy()
    expected = saved.sample(7, 1).numpy()
    np.testing.assert_allclose(saved.sample_from(u), expected, atol=1e-6)
    by_signature = saved.signatures["sample_from"](u=u)["images"]
    np.testing.assert_allclose(by_signature, expected, atol=1e-6)


def test_request_of_the_page_is_answered(saved):
    """TensorFlow Serving makes a tensor of each input, of the signature's type."""
    request = json.loads(re.findall(r"```json\n(.*?)```", SERVING, re.S)[0])
    signature = saved.signatures[request["signature_name"]]
    inputs = {key: np.int32(value) for key, value in request["inputs"].items()}
    images = signature(**inputs)["images"].numpy()
    np.testing.assert_array_equal(images, saved.sample(2, 1))


def test_page_names_every_signature(saved):
    table = SERVING.partition("## The signatures")[2].partition("## ")[0]
    rows = re.findall(r"^\| `(\w+)`", table, re.M)
    assert {*rows, "serving_default"} == set(saved.signatures)


@pytest.mark.slow
def test_tensorflow_lite_computes_the_same(saved, small_run):
    """By the page's example; where the graph would stop, it gives NaN."""
    code = next(
        block
        for block in re.findall(r"```python\n(.*?)```", SERVING, re.S)
        if "lite" in block
    )
    code = code.replace("(1, 16)", "(1, 4)").replace("RUN", str(small_run[0]))
    exec(code, scope := {})
    latents = np.random.default_rng(0).standard_normal((5, 4)).astype("float32")
    pixels = PIXELS.astype("float32")
    for name, inputs in {
        "encode": {"images": pixels},
        "reconstruct": {"images": pixels},
        "decode": {"z": latents},
        "sample_from": {"u": latents},
    }.items():
        found = scope["lite"].get_signature_runner(name)(**inputs)
        for key, value in saved.signatures[name](**inputs).items():
            np.testing.assert_allclose(found[key], value, atol=1e-5)
    encode = scope["lite"].get_signature_runner("encode")
    for wrong in (pixels / 127.5 - 1, pixels / 255, pixels + 1):
        assert np.isnan(encode(images=wrong)["mean"]).all()


def test_an_outdated_saved_model_is_not_sampled(
    small_run, tmp_path, capsys, monkeypatch
):
    """The export after a longer stage 2 is interrupted."""
    pytest.importorskip("tensorflow")
    run = tmp_path / "run"
    shutil.copytree(small_run[0], run)
    sample = ["--run", str(run), "--n", "4", "--out", str(tmp_path / "samples.png")]
    resume = ["--run", str(run), "--resume"]

    def interrupted(run, number):
        raise KeyboardInterrupt

    def train(*arguments):
        with monkeypatch.context() as patch:
            patch.setattr(train_command, "_export", interrupted)
            with pytest.raises(SystemExit):
                COMMANDS["train-stage2"]([*resume, *arguments])

    train()  # nothing is left to train
    COMMANDS["sample"](sample)
    train("--epochs", "3")
    capsys.readouterr()
    with pytest.raises(SystemExit):
        COMMANDS["sample"](sample)
    error = capsys.readouterr().err
    assert "exported before the models of" in error and "export --run" in error
    COMMANDS["train-stage2"](resume)
    COMMANDS["sample"](sample)
    assert json.loads((run / "export.json").read_text()) == {"saved_model": True}
    (run / "export.json").unlink()  # of an earlier version: nothing is known
    COMMANDS["sample"](sample)


@pytest.mark.parametrize("name", ["a[1]", "back\\slash"])
def test_a_path_that_tensorflow_reads_as_a_pattern(name, small_run, tmp_path):
    if os.sep == "\\":
        pytest.skip("a separator here")
    run = tmp_path / name / "run"
    shutil.copytree(small_run[0], run)
    out = tmp_path / "samples.png"
    COMMANDS["sample"](["--run", str(run), "--n", "4", "--out", str(out)])
    assert out.exists()


@pytest.mark.parametrize(
    ("flags", "words"),
    [
        ("--run r --out x", "received --out with --run, it goes with --models"),
        ("--run r --method mean", "received --method with --run"),
        ("--models m --out x --mixture 3", "received --mixture with --models"),
        ("--models m --out x --recalibrate", "received --recalibrate with --models"),
    ],
)
def test_flags_of_the_other_form_are_refused(flags, words, capsys):
    with pytest.raises(SystemExit):
        COMMANDS["export"](flags.split())
    assert words in capsys.readouterr().err
