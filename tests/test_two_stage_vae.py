"""The two-stage model as one object, on both backends, with and without files."""

import dataclasses

import keras
import numpy as np
import pytest
from sklearn.datasets import load_digits

import twostage
from twostage import InputError, TwoStageVAE
from twostage.config import Stage1Config, Stage2Config
from twostage.evaluation import protocol
from twostage.presets import resolve
from twostage.runs.run import StageRun
from twostage.sampling import latent_samplers
from twostage.system.provenance import fingerprint
from twostage.system.random_streams import SavedModelStream
from twostage.training.train import train_stage1, train_stage2

SMALL = {
    "stage1": {
        "base_dim": 4,
        "fc_dim": 16,
        "latent_dim": 4,
        "watch_every": 1,
        "held_out": 0.0,
    },
    "stage2": {"width": 16, "watch_every": 1},
}


@pytest.fixture(scope="module")
def images():
    return (load_digits().images[:400, ..., None] * 255 / 16).astype("uint8")


@pytest.fixture(scope="module")
def trained(images):
    keras.utils.set_random_seed(0)
    model = TwoStageVAE.from_preset("digits", **SMALL)
    return model, model.fit(images, epochs=(2, 2))


@pytest.mark.parametrize("preset", ["digits", "mnist", "fashion_mnist"])
def test_our_presets_hold_images_out_and_choose_the_sampler(preset):
    first, second = resolve(1, preset), resolve(2, preset)
    assert first.held_out == 0.05 and second.sampling == "auto" and second.patience


@pytest.mark.parametrize("preset", ["cifar10", "celeba"])
def test_the_papers_presets_train_on_all_images(preset):
    first, second = resolve(1, preset), resolve(2, preset)
    assert (first.held_out, second.patience, second.sampling) == (0, 0, "normalized")


def test_a_preset_without_held_out_images_needs_none(trained, images, caplog):
    """Its sampler and patience, unless they were given."""
    caplog.set_level("INFO", logger="twostage")
    model, _ = trained  # `held_out=0`
    assert model.sampling == model.stage2_config.sampling == "normalized"
    assert model.stage2_config.patience == 0 and len(model._training_images) == 400
    settings = {**SMALL["stage2"], "sampling": "mixture"}
    other = TwoStageVAE.from_preset("digits", stage1=SMALL["stage1"], stage2=settings)
    other.fit(images, epochs=(1, 1))
    assert "no held-out images: patience 0" in caplog.messages
    assert other.sampling == "mixture"
    settings = resolve(2, "digits", **SMALL["stage2"])
    given = TwoStageVAE(resolve(1, "digits", **SMALL["stage1"]), settings)
    with pytest.raises(InputError, match=r"`patience=80` and `sampling='auto'` and no"):
        given.fit(images, epochs=(1, 1))


def test_fit_returns_the_history_of_each_stage(trained):
    for history in trained[1]:
        assert history.epoch == [0, 1]
        assert {"loss", "kl", "gamma", "variance_law"} <= set(history.history)
        assert history.history["gamma"][1] <= history.history["gamma"][0]


def test_samples_repeat_and_differ_by_method(trained):
    model, _ = trained
    samples = model.sample(300, seed=1)
    assert samples.shape == (300, 8, 8, 1) and samples.dtype == np.float32
    assert samples.min() >= 0 and samples.max() <= 1
    np.testing.assert_array_equal(samples, model.sample(300, seed=1))
    methods = ("normalized", "mean", "noise", "first stage")
    draws = [model.sample_latents(2000, seed=1, method=name) for name in methods]
    normalized, mean, noise, first = (draw.std(0).mean() for draw in draws)
    assert normalized == pytest.approx(1, rel=0.05) == first
    gamma = float(keras.ops.convert_to_numpy(model.stage2.gamma))
    assert noise**2 == pytest.approx(mean**2 + gamma**2, rel=0.1)


def test_encode_decode_and_reconstruct_agree(trained, images):
    model, _ = trained
    mean, log_var = model.encode(images[:300])
    assert mean.shape == log_var.shape == (300, 4)
    np.testing.assert_array_equal(model.decode(mean), model.reconstruct(images[:300]))
    samples = model.sample(5)
    rounded = np.round(samples * 255).astype("uint8")
    np.testing.assert_array_equal(model.encode(samples)[0], model.encode(rounded)[0])


def test_saved_and_loaded_it_is_the_same(trained, tmp_path):
    model, _ = trained
    model.save(tmp_path / "model")
    again = twostage.load(tmp_path / "model")
    np.testing.assert_array_equal(again.sample(8, seed=3), model.sample(8, seed=3))
    assert again.stage1_config == model.stage1_config


@pytest.mark.parametrize("name", ["stage2.keras", "normalizer.keras"])
def test_a_saved_folder_without_a_file_is_refused(trained, tmp_path, name):
    """Not sampled from stage 1 alone."""
    model, _ = trained
    model.save(tmp_path)
    (tmp_path / name).unlink()
    with pytest.raises(InputError, match=f"without {name}, .* copy it whole, or save"):
        TwoStageVAE.load(tmp_path)
    model.save(tmp_path)
    assert not list(tmp_path.glob(".part*"))
    assert TwoStageVAE.load(tmp_path).stage2 is not None


@pytest.mark.parametrize("content", ["{}", "[]", '{"stage1": {}}'])
def test_a_saved_config_of_something_else_is_refused(trained, tmp_path, content):
    trained[0].save(tmp_path)
    (tmp_path / "config.json").write_text(content)
    with pytest.raises(InputError, match="without the settings of both stages"):
        TwoStageVAE.load(tmp_path)


def test_images_that_are_refused_leave_no_shape(images):
    model = TwoStageVAE.from_preset("digits")
    with pytest.raises(InputError, match="30"):
        model.fit(np.tile(images, (1, 4, 4, 1))[:, :30, :30])
    assert model.image_shape is None
    with pytest.raises(InputError, match=r"\(8, 8, 1\) \(height"):
        model.fit(images, held_out=np.tile(images, (1, 2, 2, 1)))


def test_a_folder_with_the_british_name_of_the_sampler_loads(trained, tmp_path):
    """As versions before the American spelling wrote it."""
    model, _ = trained
    model.save(tmp_path)
    path = tmp_path / "config.json"
    text = path.read_text()
    assert text.count('"normalized"') == 2
    path.write_text(text.replace('"normalized"', '"normalised"'))
    again = twostage.load(tmp_path)
    assert again.sampling == again.stage2_config.sampling == "normalized"
    expected = model.sample(8, seed=3)
    for samples in (
        again.sample(8, seed=3),
        again.sample(8, seed=3, method="normalised"),
    ):
        np.testing.assert_array_equal(samples, expected)


@pytest.mark.parametrize("whole", [False, True])
def test_settings_without_effect_are_warned_about(images, caplog, whole):
    stage1 = {**SMALL["stage1"], "gamma_multiplier": 2.0, "side": 16, "scale": 2.0}
    stage2 = {**SMALL["stage2"], "gamma": "learned", "gamma_rule": "ema"}
    beside_a_preset = TwoStageVAE.from_preset("digits", stage1=stage1, stage2=stage2)
    configs = beside_a_preset.stage1_config, beside_a_preset.stage2_config
    model = TwoStageVAE(*configs) if whole else beside_a_preset
    model.fit(images[:120], epochs=(1, 1), held_out=images[120:160])
    lines = [line for line in caplog.messages if "has no effect" in line]
    assert lines == [
        "`gamma_multiplier=2.0` has no effect with `gamma='computed'`",
        "`gamma_rule='ema'` has no effect with `gamma='learned'`",
    ]
    assert (
        "`side=16`, `scale=2.0`: no effect on arrays; prepare them as"
        " `twostage.data.load` does" in caplog.messages
    )


def test_a_run_of_arrays_resumes_and_is_the_model_in_memory(trained, images, tmp_path):
    model, history = trained
    run = tmp_path / "run"
    keras.utils.set_random_seed(0)
    short = TwoStageVAE.from_preset("digits", **SMALL)
    short.fit(images, epochs=(1, 2), run=run / "unused")
    first = dataclasses.replace(model.stage1_config, epochs=1)
    train_stage1(images, first, run)
    keras.utils.clear_session()
    kept = TwoStageVAE.from_preset("digits", **SMALL)
    resumed = kept.fit(images, epochs=(2, 2), run=run)
    for one, other in zip(resumed, history, strict=True):
        np.testing.assert_allclose(one.history["loss"], other.history["loss"], 1e-4)
    again = TwoStageVAE.from_run(run)
    np.testing.assert_array_equal(again.sample(4), kept.sample(4))
    with pytest.raises(InputError, match=r"other settings \(kl_weight 1.0 -> 2.0\)"):
        changed = dataclasses.replace(first, kl_weight=2.0)
        train_stage1(images, changed, run)
    with pytest.raises(InputError, match="was started on other data"):
        train_stage1(images[1:], dataclasses.replace(first, epochs=2), run)
    with pytest.raises(InputError, match="exists: resume it by"):
        train_stage1(images, first, run, resume=False)


def test_stage2_in_memory_takes_a_run_as_its_first_stage(trained, images, tmp_path):
    model, _ = trained
    train_stage1(images, dataclasses.replace(model.stage1_config, epochs=1), tmp_path)
    second = dataclasses.replace(model.stage2_config, epochs=1)
    stage = train_stage2(StageRun.open(tmp_path, 1), images, second)
    assert stage.normalizer is not None and len(stage.history.epoch) == 1
    assert not (tmp_path / "stage2").exists()


def test_training_restores_the_precision_of_before(images):
    config = TwoStageVAE.from_preset("digits", **SMALL).stage1_config
    train_stage1(
        images, dataclasses.replace(config, epochs=1, precision="mixed_bfloat16")
    )
    assert keras.config.dtype_policy().name == "float32"


def test_gray_images_are_padded_and_get_a_channel():
    model = TwoStageVAE.from_preset("mnist", image_shape=(32, 32, 1))
    assert model._prepared(np.zeros((3, 28, 28), "uint8")).shape == (3, 32, 32, 1)


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (lambda model, x: model.sample(0), "received `n=0`, expected at least 1"),
        (lambda model, x: model.sample(2.5), "received `n=2.5`, expected a whole"),
        (lambda model, x: model.sample(True), "received `n=True`, expected a whole"),
        (lambda model, x: model.sample(2, seed=-1), "received `seed=-1`, expected at"),
        (lambda model, x: model.sample(2, seed="a"), "received `seed='a'`, expected a"),
        (
            lambda model, x: model.sample(2, method="normalise"),
            "received `method='normalise'`, expected one of mean, noise, normalized",
        ),
        (lambda model, x: model.decode(np.full((2, 4), np.nan)), "latents with NaN"),
        (lambda model, x: model.encode(x[0, :, :, 0]), r"a single one is x\[None\]"),
        (
            lambda model, x: model.fit(x.astype("float32")),
            r"convert them with x.round\(\).astype\('uint8'\)",
        ),
        (
            lambda model, x: model.fit(x, held_out=0.05),
            "a fraction is a setting: `stage1={'held_out': 0.05}`",
        ),
        (
            lambda model, x: model.evaluate(x, extractor="inceptoin"),
            "`extractor='inceptoin'`, expected one of classifier, imagenet,",
        ),
        (
            lambda model, x: model.evaluate(x, samples="9"),
            "`samples='9'`, expected a whole number",
        ),
        (
            lambda model, x: model.evaluate(x, bound_images=2.5),
            "`bound_images=2.5`, expected a whole number",
        ),
        (
            lambda model, x: TwoStageVAE.from_preset("digits", stage1={"zzz": 4}),
            "unknown settings zzz, expected some of gamma,",
        ),
        (
            lambda model, x: TwoStageVAE.from_preset("digits", stage2={"widht": 4}),
            "unknown settings widht, expected width$",
        ),
        (lambda model, x: model.encode(x / 255 * 2), r"expected images in \[0, 1\]"),
        (lambda model, x: model.fit(x / 255), "type float64"),
        (lambda model, x: model.encode(x[:, :4]), r"images of shape \(4, 8, 1\)"),
        (lambda model, x: model.decode(np.zeros((2, 5))), r"expected \(n, 4\)"),
        (lambda model, x: model.fit(x, epochs=3), "two numbers"),
        (lambda model, x: TwoStageVAE.load("nowhere"), "holds no config.json"),
        (lambda model, x: TwoStageVAE.from_preset("minst"), "received preset 'minst'"),
        (
            lambda model, x: TwoStageVAE(Stage1Config(), Stage2Config()).sample(),
            "the model is not trained: call `fit` first",
        ),
    ],
)
def test_mistakes_say_how_to_fix_them(trained, images, call, words):
    with pytest.raises(InputError, match=words):
        call(trained[0], images)


def test_an_evaluation_without_files(trained, images, monkeypatch):
    monkeypatch.setattr(protocol, "SPLITS", {"fid10k_test": ("test", 60)})
    result = trained[0].evaluate(
        images[:60], bound_images=20, importance_samples=2, mixtures=()
    )
    kinds = {"REC", "GEN-1", "GEN-2 mean", "GEN-2 noise", "GEN-2 normalized"}
    assert set(result.frechet) == kinds and result.to_json()["manifest"]["seed"] == 0


def test_an_evaluation_compares_with_the_split_of_its_protocol(
    trained, images, monkeypatch
):
    splits = {"fid10k_test": ("test", 60), "fid50k_train": ("train", 50)}
    monkeypatch.setattr(protocol, "SPLITS", splits)
    few = {"bound_images": 20, "importance_samples": 2, "mixtures": ()}
    for name, split in (("fid10k_test", images[:60]), ("fid50k_train", images)):
        manifest = trained[0].evaluate(images[:60], protocol=name, **few).manifest
        reference = protocol.Protocol(name).reference(split)
        assert manifest["protocol"]["name"] == name
        assert manifest["data"]["crc32"] == fingerprint(reference)["crc32"]


def test_the_noise_of_the_decoder_is_not_u_again(trained):
    model, _ = trained
    mean, noisy = (
        model.sample_latents(2000, seed=1, method=method)
        for method in ("mean", "noise")
    )
    u = latent_samplers.draw_prior(model.stage2, 2000, 1)
    assert abs(np.corrcoef((noisy - mean).ravel(), u.ravel())[0, 1]) < 0.05


def test_the_exported_model_draws_u_and_noise_from_two_streams(trained, tmp_path):
    tf = pytest.importorskip("tensorflow")
    noisy = dataclasses.replace(trained[0].stage2_config, sampling="noise")
    model = TwoStageVAE(trained[0].stage1_config, noisy)
    model._set_models(trained[0].models)
    saved = tf.saved_model.load(str(model.export(tmp_path / "saved")))
    u, noise = (
        tf.random.stateless_normal((5, 4), [1, stream], alg="philox")
        for stream in (SavedModelStream.PRIOR, SavedModelStream.DECODER_NOISE)
    )
    drawn = saved.sample(5, 1)
    np.testing.assert_allclose(drawn, saved.sample_from(u, noise), atol=1e-6)
    assert np.abs(drawn - saved.sample_from(u, u)).max() > 1e-3


def test_the_exported_model_reconstructs_the_same(trained, images, tmp_path):
    pytest.importorskip("tensorflow")
    model, _ = trained
    saved = twostage.export.load(model.export(tmp_path / "saved"))
    ours = model.reconstruct(images[:20])
    np.testing.assert_allclose(saved.reconstruct(images[:20]), ours, atol=2e-5)
    assert saved.sample(3, 1).shape == (3, 8, 8, 1)


def test_a_run_by_auto_takes_no_other_settings(images, tmp_path):
    """They were ignored, with the epochs."""
    small = {"base_dim": 4, "fc_dim": 16, "precision": "float32", "patience": 0}
    second = {"width": 16, "patience": 0, "sampling": "mean", "precision": "float32"}

    def fit(epochs=(1, 1), **stage1):
        stated = {"stage1": {**small, "latent_dim": 4, **stage1}, "stage2": second}
        model = TwoStageVAE.from_preset("auto", **stated)
        model.fit(images[:100], epochs=epochs, run=tmp_path / "run")
        return model

    assert fit().stage1_config.latent_dim == 4
    assert fit().stage1_config.epochs == 1
    with pytest.raises(InputError, match="latent_dim 4 -> 9"):
        fit(latent_dim=9)
    with pytest.raises(InputError, match="epochs 1 -> 2"):  # a cosine ends with them
        fit(epochs=(2, 2))


def test_one_image_is_no_batch(trained):
    model, _ = trained
    image = np.zeros((8, 8, 1), "uint8")
    with pytest.raises(InputError, match=r"one image of shape \(8, 8, 1\).*\[None\]"):
        model.encode(image)
    fresh = TwoStageVAE.from_preset("auto")
    with pytest.raises(InputError, match=r"one image of shape \(64, 64, 3\)"):
        fresh.fit(np.zeros((64, 64, 3), "uint8"))


@pytest.mark.parametrize("count", [0, 1])
def test_one_held_out_image_is_refused_before_training(images, count):
    model = TwoStageVAE.from_preset("digits", **SMALL)
    with pytest.raises(InputError, match="expected at least"):
        model.fit(images[:100], epochs=(1, 1), held_out=images[:count])
    assert model.stage1 is None


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (lambda model, x: model.encode(x[:0]), "received no images, expected at least"),
        (lambda model, x: model.decode(np.zeros((0, 4))), "received no latents"),
        (lambda model, x: model.encode([x[0], x[0][:4]]), "a list that is no array"),
        (lambda model, x: model.encode((x, np.zeros(9))), "a tuple that is no array"),
    ],
)
def test_what_is_no_batch_is_refused_in_one_line(trained, images, call, words):
    with pytest.raises(InputError, match=words):
        call(trained[0], images)
