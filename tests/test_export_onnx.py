"""ONNX files, run by ONNX Runtime alone, against the Keras models."""

import re
import shutil
from pathlib import Path

import keras
import numpy as np
import pytest
from keras import layers, ops
from small_run import python

import twostage
from twostage.errors import InputError
from twostage.export import onnx_files
from twostage.export.formats import writer
from twostage.models.gaussian_mixture import Mixture
from twostage.models.latent_normalizer import LatentNormalizer
from twostage.models.tensors import to_numpy
from twostage.models.two_stage_models import TwoStageModels
from twostage.sampling import generate

SERVING = (Path(__file__).parents[1] / "docs" / "how-to" / "serve.md").read_text()
TENSORFLOW = keras.backend.backend() == "tensorflow"
on_tensorflow = pytest.mark.skipif(not TENSORFLOW, reason="another process would write")
SHAPE, LATENTS = (4, 4, 1), 3
GENERATOR = np.random.default_rng(0)
IMAGES = GENERATOR.integers(0, 256, (5, *SHAPE), "uint8")
U = GENERATOR.standard_normal((5, LATENTS), dtype="float32")
NOISE = GENERATOR.standard_normal((5, LATENTS), dtype="float32")


def two_stage_models():
    images, z = keras.Input(SHAPE), keras.Input((LATENTS,))
    hidden = layers.Flatten()(layers.Conv2D(4, 3, activation="relu")(images))
    log_var = twostage.BoundedLogVariance()(layers.Dense(LATENTS)(hidden))
    heads = [layers.Dense(LATENTS)(hidden), log_var]
    decoded = layers.Reshape(SHAPE)(layers.Dense(16, "sigmoid")(z))
    stage1 = twostage.VAE(
        keras.Model(images, heads),
        keras.Model(z, decoded),
        twostage.GaussianLikelihood(),
        data_dtype="uint8",
    )
    stage2 = twostage.VAE(
        twostage.dense_encoder(LATENTS, 8, 1),
        twostage.dense_decoder(LATENTS, 8, 1),
        twostage.GaussianLikelihood(),
        data_dtype="float32",
    )
    normalizer = LatentNormalizer()
    normalizer.adapt(np.random.default_rng(1).normal(0, 0.7, (10_000, LATENTS)))
    return TwoStageModels(stage1, stage2, normalizer)


def session(path):
    onnxruntime = pytest.importorskip("onnxruntime")
    return onnxruntime.InferenceSession(path)


def test_only_known_formats_are_written():
    with pytest.raises(
        InputError, match="received `format='tflite'`, expected saved_model or onnx"
    ):
        writer("tflite")


@pytest.mark.skipif(TENSORFLOW, reason="of other backends")
def test_another_backend_gets_what_onnx_needs_in_a_line():
    with pytest.raises(InputError, match="expected TensorFlow's: set KERAS_BACKEND"):
        writer("onnx")


@on_tensorflow
def test_a_missing_tf2onnx_is_named(monkeypatch):
    monkeypatch.setattr(onnx_files, "find_spec", lambda name: None)
    with pytest.raises(InputError, match=r"no tf2onnx, .*: pip install tf2onnx"):
        writer("onnx")


@pytest.fixture(scope="module")
def exported(tmp_path_factory):
    """The models, and the folder of their files."""
    pytest.importorskip("tf2onnx")
    pytest.importorskip("onnxruntime")
    models = two_stage_models()
    return models, onnx_files.save(tmp_path_factory.mktemp("run") / "onnx", models)


@on_tensorflow
def test_encoder_and_decoder_are_the_models(exported):
    models, folder = exported
    encoder, decoder = (
        session(folder / "encoder.onnx"),
        session(folder / "decoder.onnx"),
    )
    for n in (5, 1):  # any number of rows
        mean, log_var = encoder.run(["mean", "log_var"], {"images": IMAGES[:n]})
        expected = [to_numpy(part) for part in models.stage1.posterior(IMAGES[:n])]
        np.testing.assert_allclose([mean, log_var], expected, atol=1e-5)
        images = decoder.run(["images"], {"z": U[:n]})[0]
        expected = to_numpy(generate.decode(models.stage1, U[:n]))
        np.testing.assert_allclose(images, expected, atol=1e-6)


@on_tensorflow
def test_outputs_come_in_the_documented_order(exported):
    """TensorFlow sorts a dict by its keys: log_var came first."""
    models, folder = exported
    mean, log_var = session(folder / "encoder.onnx").run(None, {"images": IMAGES})
    expected = [to_numpy(part) for part in models.stage1.posterior(IMAGES)]
    np.testing.assert_allclose([mean, log_var], expected, atol=1e-5)
    assert np.abs(mean - log_var).max() > 0.01


@on_tensorflow
def test_onnx_runtime_refuses_floats_and_other_shapes(exported):
    encoder = session(exported[1] / "encoder.onnx")
    for wrong, words in (
        (IMAGES / np.float32(255), "Unexpected input data type"),
        (np.zeros((2, 5, 5, 1), "uint8"), "invalid dimensions"),
    ):
        with pytest.raises(Exception, match=words):
            encoder.run(None, {"images": wrong})


@on_tensorflow
def test_sampler_is_the_chain_of_both_stages(exported):
    models, folder = exported
    sampler = session(folder / "sampler.onnx")
    assert [each.name for each in sampler.get_inputs()] == ["u"]
    images = sampler.run(["images"], {"u": U})[0]
    expected = generate.sample(
        models.stage1, models.stage2, U, normalizer=models.normalizer
    )
    np.testing.assert_allclose(images, to_numpy(expected), atol=1e-6)


@on_tensorflow
@pytest.mark.parametrize("how", ["noise", "mean", "mixture", "one stage"])
def test_sampler_of_other_methods(exported, how, tmp_path):
    models, _ = exported
    stage1, stage2 = models.stage1, models.stage2
    mixture, other, method = None, {}, "normalized"
    if how == "mixture":
        mixture = Mixture(np.random.default_rng(2).standard_normal((90, LATENTS)), 3)
        other = {"uniform": np.linspace(0, 0.99, 5, dtype="float32")}
        z = mixture.transform(U, other["uniform"])
    elif how == "one stage":
        models, z = TwoStageModels(stage1), U
    else:
        method, other = how, {"noise": NOISE} if how == "noise" else {}
        z = generate.sample_latents(stage2, U, method=method, noise=NOISE)
    folder = onnx_files.save(tmp_path / "onnx", models, method=method, mixture=mixture)
    images = session(folder / "sampler.onnx").run(["images"], {"u": U, **other})[0]
    expected = to_numpy(generate.decode(stage1, ops.convert_to_tensor(z)))
    np.testing.assert_allclose(images, expected, atol=1e-6)
    for name, values in other.items():
        wrong = [values[:1], *([values + 1, -1 - values] * (name == "uniform"))]
        for each in wrong:
            run = session(folder / "sampler.onnx").run
            assert np.isnan(run(None, {"u": U, name: each})[0]).all()


@pytest.mark.slow
def test_command_writes_what_the_page_runs(small_run, tmp_path):
    """On every backend; the page's example samples what the SavedModel would."""
    pytest.importorskip("tf2onnx")
    pytest.importorskip("onnxruntime")
    tf = pytest.importorskip("tensorflow")
    run = tmp_path / "run"
    shutil.copytree(small_run[0], run)
    out = python("-m", "twostage", "export", "--run", run, "--format", "onnx")
    assert f"wrote {run / 'onnx'}" in out
    code = next(
        block
        for block in re.findall(r"```python\n(.*?)```", SERVING, re.S)
        if "onnxruntime" in block
    )
    exec(code.replace("RUN", str(run)), scope := {})
    saved = tf.saved_model.load(str(run / "saved_model"))
    expected = saved.sample_from(scope["draws"]["u"]).numpy()
    np.testing.assert_allclose(scope["images"], expected, atol=1e-5)
    assert scope["images"].shape == (64, 8, 8, 1)
    images = np.random.default_rng(0).integers(0, 256, (5, 8, 8, 1), "uint8")
    mean, log_var = session(run / "onnx" / "encoder.onnx").run(
        ["mean", "log_var"], {"images": images}
    )
    expected = saved.encode(images)
    np.testing.assert_allclose(mean, expected["mean"], atol=1e-5)
    np.testing.assert_allclose(log_var, expected["log_var"], atol=1e-5)
    decoded = session(run / "onnx" / "decoder.onnx").run(["images"], {"z": mean})[0]
    np.testing.assert_allclose(decoded, saved.decode(mean), atol=1e-5)


class Expm1(layers.Layer):
    """An operation that tf2onnx does not convert."""

    def call(self, value):
        return ops.expm1(value)


@on_tensorflow
def test_an_operation_that_onnx_lacks_is_refused(tmp_path):
    pytest.importorskip("tf2onnx")
    models = two_stage_models()
    encoder = models.stage1.encoder
    mean, log_var = encoder.output
    encoder = keras.Model(encoder.input, [Expm1()(mean), log_var])
    decoder, likelihood = models.stage1.decoder, models.stage1.likelihood
    stage1 = twostage.VAE(encoder, decoder, likelihood, data_dtype="uint8")
    models = TwoStageModels(stage1, models.stage2, models.normalizer)
    with pytest.raises(InputError, match=r"encoder\.onnx would not be valid .*Expm1"):
        onnx_files.save(tmp_path / "onnx", models)
    assert not list(tmp_path.iterdir())


@on_tensorflow
def test_mixed_precision_is_computed_in_float32(exported, tmp_path):
    keras.config.set_dtype_policy("mixed_bfloat16")
    mixed, (models, _) = two_stage_models(), exported
    for ours, theirs in zip(mixed.parts, models.parts, strict=True):
        ours.set_weights(theirs.get_weights())
    folder = onnx_files.save(tmp_path / "onnx", mixed)
    images = session(folder / "decoder.onnx").run(["images"], {"z": U})[0]
    expected = to_numpy(generate.decode(models.stage1, U))
    np.testing.assert_allclose(images, expected, atol=1e-6)
    assert mixed.stage1.decoder.layers[-1].compute_dtype == "bfloat16"
