"""The evaluation: protocols and quirks, extractors from files, and what may not be
compared.
"""

import dataclasses
import json
import logging
import re
import time
from concurrent.futures import ThreadPoolExecutor
from types import SimpleNamespace

import keras
import numpy as np
import pytest
from keras import layers
from small_models import linear_vae

import twostage
from twostage import InputError
from twostage.config import Stage1Config
from twostage.data import loading
from twostage.evaluation import comparison, protocol, write
from twostage.evaluation.evaluate import evaluate
from twostage.evaluation.evaluation_data import EvaluationData
from twostage.evaluation.evaluation_result import EvaluationResult
from twostage.evaluation.protocol import (
    Protocol,
    match_contrast,
    match_moments,
    stretch_contrast,
)
from twostage.features import choose
from twostage.features.extractor import Extractor
from twostage.features.inception import inception_2015, keras_inception
from twostage.metrics.pixel_statistics import PixelStatistics
from twostage.models import recalibration
from twostage.models.gaussian_mixture import Mixture
from twostage.models.latent_normalizer import LatentNormalizer
from twostage.models.two_stage_models import TwoStageModels

TENSORFLOW = keras.backend.backend() == "tensorflow"


def test_protocols_choose_the_reference():
    images = np.arange(60_000)[:, None, None, None]
    assert (
        len(Protocol().reference(images)) == 10_000
        and Protocol().split == "test"
        and Protocol("fid50k_train").split == "train"
    )
    chosen = Protocol("fid50k_train").reference(images).ravel()
    assert (
        len(set(chosen.tolist())) == 50_000
        and (np.diff(chosen) > 0).all()
        and chosen[-1] > 59_000
    )
    first = Protocol("fid50k_train", ("first10k",))
    assert (first.split, first.count) == ("train", 10_000) and first.reference(
        images
    ).ravel().tolist() == list(range(10_000))
    assert len(Protocol().reference(images[:179])) == 179
    with pytest.raises(
        InputError,
        match="received protocol 'fid', expected one of fid10k_test, fid50k_train",
    ):
        Protocol("fid")
    with pytest.raises(
        InputError,
        match="received quirk sharpen, expected some of stretch, contrast, first10k",
    ):
        Protocol(quirks=("sharpen",))


def test_quirks_do_what_the_papers_code_did():
    generator = np.random.default_rng(0)
    images = 0.3 + 0.2 * generator.random((50, 4, 4, 3)).astype("float32")
    wide = stretch_contrast(images)
    np.testing.assert_allclose(wide.reshape(50, -1).min(1), 0, atol=1e-6)
    np.testing.assert_allclose(wide.reshape(50, -1).max(1), 1, atol=1e-6)
    assert stretch_contrast(np.full((1, 2, 2, 1), 0.7)).max() == 0
    reference = (255 * np.clip(generator.normal(0.5, 0.1, (80, 4, 4, 3)), 0, 1)).astype(
        "uint8"
    )
    matched = match_contrast(images, reference / 255)
    assert matched.std(0).mean() == pytest.approx(
        (reference / 255).std(0).mean(), rel=0.01
    )
    np.testing.assert_allclose(matched.mean(0), images.mean(0), atol=0.01)
    plain, both = Protocol(), Protocol(quirks=("contrast", "stretch"))
    np.testing.assert_array_equal(plain.preprocess(images), np.rint(images * 255))
    np.testing.assert_array_equal(
        both.preprocess(images), np.rint(wide * 255)
    )  # a sample has no reference
    np.testing.assert_array_equal(
        both.preprocess(images, originals=reference),
        np.rint(stretch_contrast(matched) * 255),
    )


def test_tone_takes_brightness_and_contrast_out_of_a_set():
    generator = np.random.default_rng(0)
    reference = generator.integers(60, 200, (400, 4, 4, 3)).astype("uint8")
    pixels = PixelStatistics(reference)
    flatter = 0.2 + [0.3, 0.4, 0.5] * (reference / 255.0).astype("float32")
    even = Protocol(quirks=("tone",)).preprocess(flatter, pixels=pixels.moments)
    np.testing.assert_allclose(
        even.astype(float), reference, atol=1
    )  # shifted and scaled alone, so all comes back
    assert (
        match_moments(np.full((5, 2, 2, 3), 0.5, "float32"), pixels.moments).std() < 0.1
    )  # flat images stay so
    found = PixelStatistics(even).beside(pixels)
    assert abs(found["brightness"]) < 1e-3 and found["contrast"] == pytest.approx(
        1, abs=3e-3
    )


@pytest.mark.skipif(not TENSORFLOW, reason="the graph of 2015 is TensorFlow's")
def test_the_2015_graph_is_fed_and_read_where_it_must_be(tmp_path):
    """A small graph with the names of the real one: ExpandDims, the old bilinear resize
    to 299 and (x - 128) / 128 inside, pool_3 out.
    """
    import tensorflow as tf

    with tf.Graph().as_default() as graph:
        fed = tf.compat.v1.placeholder(tf.float32, (None, None, 3), name="image")
        x = tf.expand_dims(fed, 0, name="ExpandDims")
        x = tf.compat.v1.image.resize_bilinear(x, (299, 299), name="ResizeBilinear")
        x = tf.multiply(tf.subtract(x, 128.0), 1 / 128.0, name="Mul")
        tf.reshape(tf.reduce_mean(x, (1, 2)), (-1, 1, 1, 3), name="pool_3")
    path = tmp_path / "graph.pb"
    path.write_bytes(graph.as_graph_def().SerializeToString())
    images = np.random.default_rng(0).integers(0, 256, (5, 8, 8, 3), "uint8")
    extractor = inception_2015(path)
    with tf.device("cpu"):
        resized = tf.compat.v1.image.resize_bilinear(
            images.astype("float32"), (299, 299)
        ).numpy()
    np.testing.assert_allclose(
        extractor(images, batch_size=2),
        (resized.astype("float64").mean((1, 2)) - 128) / 128,
        atol=1e-4,
    )  # sums of 89,401 floats
    assert extractor.frechet_name == "FID" and len(extractor.digest) == 16
    gray = images[..., :1]
    np.testing.assert_array_equal(extractor(gray), extractor(np.repeat(gray, 3, -1)))
    smooth = inception_2015(path, resize="antialiased")
    assert (
        smooth.frechet_name == "FID, antialiased" and smooth.digest == extractor.digest
    )
    np.testing.assert_allclose(
        smooth(np.full((1, 8, 8, 3), 200, "uint8")), (200 - 128) / 128, rtol=1e-5
    )
    with pytest.raises(
        InputError, match="received resize 'nearest', expected one of tf1, antialiased"
    ):
        inception_2015(path, resize="nearest")
    path.write_bytes(b"hello")
    with pytest.raises(
        InputError, match=r"graph.pb, expected the Inception graph of 2015"
    ):
        inception_2015(path)


def test_missing_inceptions_are_reported(tmp_path):
    with pytest.raises(
        InputError,
        match=(
            r"which does not exist: fetch classify_image_graph_def.pb of http://download"
        ),
    ):
        inception_2015(tmp_path / "none.pb")
    with pytest.raises(
        InputError, match="which does not exist: fetch inception_v3_weights"
    ):
        keras_inception(tmp_path / "none.h5")
    (tmp_path / "odd.h5").write_bytes(b"hello")
    with pytest.raises(
        InputError, match=r"odd.h5, expected weights of keras.applications.InceptionV3"
    ):
        keras_inception(tmp_path / "odd.h5")
    with pytest.raises(
        InputError, match="received `extractor='inception2015'` without `weights`"
    ):
        choose.chosen_extractor(None, "inception2015")
    with pytest.raises(
        InputError,
        match=(
            r"received `weights='graph.pb'` for `extractor='random'`, which reads none"
        ),
    ):
        choose.chosen_extractor(None, "random", "graph.pb")


def test_a_small_set_is_measured_by_the_random_network():
    split = choose.LabeledImages(np.zeros((60, 8, 8, 1), "uint8"), np.arange(60) % 2)
    small = choose.LabeledData("digits", split, split)
    assert choose.chosen_extractor(small).name.startswith("random")
    with pytest.raises(
        InputError,
        match=(
            "received 60 training images of digits, expected at least 128 for a"
            " classifier: use `extractor='random'`"
        ),
    ):
        choose.chosen_extractor(small, "classifier")
    with pytest.raises(
        InputError, match="a mixture of 10 Gaussians for the latents of 9 images"
    ):
        Mixture(np.zeros((9, 2)), 10)


@pytest.mark.parametrize(("held_out", "patience"), [(0.05, 0), (0.4, 10)])
def test_runs_that_hold_out_other_images_share_a_classifier(
    held_out, patience, monkeypatch
):
    trained = []
    monkeypatch.setattr(
        choose, "classifier", lambda name, train, **_: trained.append((name, *train))
    )
    for fraction, epochs in ((0.0, 0), (held_out, patience)):
        config = Stage1Config(data="digits", held_out=fraction, patience=epochs)
        data = choose.load_labeled(config)
        assert len(data.train.images) == round(1_618 * (1 - fraction))
        assert data.can_be_classified
        choose.chosen_extractor(data, "classifier")
    (name, images, labels), (other, *again) = trained
    assert name == other == "digits" and len(images) == 1_618
    np.testing.assert_array_equal(images, again[0])
    np.testing.assert_array_equal(labels, again[1])


def test_held_out_images_in_place_of_test_images_are_in_no_classifier(monkeypatch):
    parts = {"train": np.arange(150), "validation": np.arange(150, 200)}
    images = np.zeros((200, 8, 8, 1), "uint8")
    without_test = SimpleNamespace(
        splits=lambda: tuple(parts),
        read=lambda split: (images[parts[split]], parts[split] % 2),
    )
    monkeypatch.setattr(loading, "dataset_for", lambda _: without_test)
    data = choose.load_labeled(Stage1Config(data="x.npz", held_out=0.25))
    assert len(data.test.images) == 50
    assert data.whole_training_split()[0] is data.train.images


def result_file(path, changed=None, **distances):
    """A JSON file of one result: `changed` is a place of its manifest, and the value
    there.
    """
    inception = Extractor("Inception 2015", None, "aa", "FID", {"resize": "tf1"})
    manifest = {
        "extractor": inception.manifest(),
        "protocol": Protocol().manifest(),
        "reference_images": 10_000,
        "data": {
            "crop": "128",
            "resize": "bilinear",
            "jpeg_roundtrip": False,
            "shape": [10_000, 64, 64, 3],
            "crc32": 1,
        },
        "batch_normalization": "moving",
    }
    if changed is not None:
        (*outer, last), value = changed
        inner = manifest
        for name in outer:
            inner = inner[name]
        inner[last] = value
    found = {
        kind: {"frechet": frechet, "frechet_error": error}
        for kind, (frechet, error) in distances.items()
    }
    path.write_text(json.dumps({"manifest": manifest, "distances": found}))
    return path


@pytest.mark.parametrize(
    ("place", "value"),
    [
        (("extractor", "frechet"), "FD (other)"),
        (("extractor", "digest"), "bb"),
        (("extractor", "resize"), "antialiased"),
        (("protocol", "split"), "train"),
        (("protocol", "count"), 50_000),
        (("protocol", "quirks"), ["stretch"]),
        (("reference_images",), 9_984),
        (("data", "crop"), "140"),
        (("data", "resize"), "nearest"),
        (("data", "jpeg_roundtrip"), True),
        (("data", "shape"), [9_000, 64, 64, 3]),
        (("data", "crc32"), 2),
        (("batch_normalization",), "recalibrated"),
    ],
)
def test_other_extractors_or_data_are_not_compared(tmp_path, place, value):
    first = result_file(tmp_path / "a.json", REC=(50.0, 0.3))
    second = result_file(tmp_path / "b.json", (place, value), REC=(51.0, 0.4))
    text = comparison.compare(first, second)
    assert text.startswith("These may not be compared:\n- ")
    assert comparison.MUST_AGREE[place] in text and " ".join(place) in text


def test_equal_manifests_are_compared_row_by_row(tmp_path):
    first = result_file(tmp_path / "a.json", REC=(50.0, 0.3))
    second = result_file(tmp_path / "b.json", REC=(51.0, 0.4))
    text = comparison.compare(first, second)
    assert "| REC | 50.000 +- 0.300 | 51.000 +- 0.400 | +2.0 |" in text


def test_equal_halves_give_the_error_of_the_difference(tmp_path):
    """Both distances are .5 larger or smaller over the same halves."""
    paths = []
    for name, value, seed in (("a", 50.0, 0), ("b", 51.0, 0), ("c", 51.0, 1)):
        path = result_file(tmp_path / f"{name}.json", REC=(value, 0.5))
        content = json.loads(path.read_text())
        content["manifest"] |= {"seed": seed, "half_samples": 3}
        halves = [value - 0.5, value + 0.5, value + (0.1 if name == "a" else -0.1)]
        content["distances"]["REC"]["frechet_halves"] = halves
        path.write_text(json.dumps(content))
        paths.append(path)
    error = np.std([1, 1, 0.8], ddof=1)
    assert f"| {1 / error:+.1f} |" in comparison.compare(*paths[:2])
    assert "| +1.4 |" in comparison.compare(paths[0], paths[2])  # of other halves
    assert "| +0.0 |" in comparison.compare(paths[0], paths[0])


def test_a_result_of_an_earlier_version_is_compared(tmp_path):
    """Which spelled the samplers otherwise."""
    new = result_file(tmp_path / "a.json", **{"GEN-2 normalized": (55.0, 0.4)})
    old = tmp_path / "old.json"
    old.write_text(new.read_text().replace("normaliz", "normalis"))
    text = comparison.compare(old, new)
    assert text.startswith("These may be compared:")
    assert "| GEN-2 normalized | 55.000 +- 0.400 | 55.000 +- 0.400 | +0.0 |" in text


@pytest.mark.parametrize("content", ["{}", "[1]"])
def test_a_file_that_is_no_result_is_not_compared(tmp_path, content):
    first = result_file(tmp_path / "a.json", REC=(50.0, 0.3))
    other = tmp_path / "c.json"
    other.write_text(content)
    words = (
        r"c.json, expected the result of an evaluation: give RUN/evaluation/NAME.json"
    )
    with pytest.raises(InputError, match=words):
        comparison.compare(first, other)


def test_a_classifier_learns_is_kept_and_reads_its_features(tmp_path, caplog):
    from twostage.data import loading
    from twostage.features.classifier import classifier

    caplog.set_level(logging.INFO, "twostage")
    train, test = loading.load("digits"), loading.load("digits", "test")
    first = classifier("digits", train, test=test, epochs=6, width=4, folder=tmp_path)
    assert first.notes["accuracy"] > 0.8 and "epoch 6/6" in caplog.text
    caplog.clear()
    again = classifier("digits", train, test=test, epochs=6, width=4, folder=tmp_path)
    # not trained again
    assert again.digest == first.digest and "epoch" not in caplog.text
    features = first(test[0])
    assert (
        features.shape == (179, 32)
        and first.frechet_name == "FD (classifier of digits)"
    )
    centers = np.stack([features[test[1] == digit].mean(0) for digit in range(10)])
    nearest = ((features[:, None] - centers) ** 2).sum(-1).argmin(1)
    assert (nearest == test[1]).mean() > 0.8
    with pytest.raises(
        InputError,
        match="received faces without labels, expected labels for a classifier",
    ):
        classifier("faces", (train[0], None), test=test)


def test_two_evaluations_at_once_train_one_classifier(tmp_path, monkeypatch, caplog):
    from twostage.features import classifier

    images, trained = (
        np.random.default_rng(0).integers(0, 256, (20, 8, 8, 1), "uint8"),
        [],
    )

    def train(*arguments):
        trained.append(arguments)
        limit = time.monotonic() + 30
        while "waiting for another" not in caplog.text and time.monotonic() < limit:
            time.sleep(0.01)
        return classifier.network((8, 8, 1), 2, 1)

    monkeypatch.setattr(classifier, "_train", train)
    part = images, np.arange(20) % 2
    with ThreadPoolExecutor(2) as pool:
        first, second = pool.map(
            lambda _: classifier.classifier(
                "made", part, test=part, width=1, batch_size=20, folder=tmp_path
            ),
            range(2),
        )
    assert (
        len(trained) == 1
        and first.digest == second.digest
        and "waiting for another process" in caplog.text
    )


def small_models():
    """Both stages, untrained, of gray images of side 2, with batch normalization."""
    keras.utils.set_random_seed(0)
    images, z = keras.Input((2, 2, 1)), keras.Input((3,))
    x = layers.BatchNormalization()(layers.Flatten()(images))
    heads = [layers.Dense(3)(x), layers.Dense(3, bias_initializer="zeros")(x)]
    decoder = layers.Reshape((2, 2, 1))(layers.Dense(4, activation="sigmoid")(z))
    stage1 = twostage.VAE(
        keras.Model(images, heads),
        keras.Model(z, decoder),
        twostage.GaussianLikelihood(),
        data_dtype="uint8",
        seed=0,
    )
    stage2 = linear_vae(3, 3, seed=0)
    normalizer = LatentNormalizer()
    normalizer.adapt(np.random.default_rng(0).standard_normal((10_000, 3)))
    return TwoStageModels(stage1, stage2, normalizer)


@pytest.fixture
def in_memory(monkeypatch):
    """Models, data and an extractor without any file; 100 samples of each kind."""
    monkeypatch.setitem(protocol.SPLITS, "fid10k_test", ("test", 100))
    images = np.random.default_rng(1).integers(0, 256, (90, 2, 2, 1), "uint8")
    plain = Extractor("pixels", lambda x: x.reshape(len(x), -1) / 255, "0")
    return small_models(), EvaluationData(images[:60], images[60:]), plain


def evaluated(models, data, extractor, **options):
    numbers = {"half_samples": 2, "bound_images": 10, "importance_samples": 2}
    return evaluate(
        models, data, Protocol(), extractor, **numbers, mixtures=(1,), **options
    )


@pytest.mark.parametrize(("components", "kind"), [(1, "Gaussian"), (2, "mixture of 2")])
def test_copies_are_looked_for_among_what_the_models_sample(
    in_memory, components, kind
):
    """The models' own mixture is measured whatever others are fitted."""
    models, data, extractor = in_memory
    latents = np.random.default_rng(0).normal(size=(300, 3))
    models = dataclasses.replace(models, mixture=Mixture(latents, components))
    result = evaluated(models, data, extractor)
    assert result.memorization["kind"] == kind and kind in result.frechet


def test_copies_are_judged_by_test_images_whatever_the_reference(
    in_memory, monkeypatch
):
    monkeypatch.setitem(protocol.SPLITS, "fid50k_train", ("train", 60))
    models, data, extractor = in_memory
    few = {"half_samples": 2, "bound_images": 10, "importance_samples": 2}
    chosen = Protocol("fid50k_train")
    found = evaluate(models, data, chosen, extractor, **few, mixtures=())
    assert found.manifest["protocol"]["split"] == "train"
    # all would be, if training images were taken for test images
    assert found.memorization["repeated"] == 0


def test_nats_of_training_and_of_test_latents_are_not_exchanged(in_memory):
    models, data, extractor = in_memory
    black = EvaluationData(np.zeros_like(data.train), data.test)
    one, other = (
        evaluated(models, each, extractor).distances["GEN-1"] for each in (data, black)
    )
    assert one["latent_nats"] == other["latent_nats"]
    assert one["training_latent_nats"] != other["training_latent_nats"]


def test_arrays_and_models_in_memory_are_evaluated(in_memory, tmp_path, caplog, capsys):
    caplog.set_level(logging.INFO, "twostage")
    models, data, extractor = in_memory
    result = evaluated(models, data, extractor)
    kinds = ["REC", "GEN-1", "GEN-2 mean", "GEN-2 noise", "GEN-2 normalized"]
    assert list(result.frechet) == [*kinds, "Gaussian"]
    assert all(f"{kind}: FD (pixels) " in caplog.text for kind in kinds)
    assert capsys.readouterr().out == "" and not list(tmp_path.iterdir())
    assert result.name == "pixels-fid10k_test"
    assert result.memorization["kind"] == "GEN-2 normalized"
    assert result.evidence == result.likelihood["evidence"]
    assert result.manifest["data"]["source"] == "arrays in memory"
    # through JSON and back, without the figures
    content = json.loads(json.dumps(result.to_json()))
    assert list(content)[:3] == ["manifest", "distances", "copying"]
    again = EvaluationResult.from_json(content)
    assert again == result and result.figures and not again.figures
    page = again._repr_html_()
    assert page.count("<table>") == 3 and "\u00b1" in page and "Memorization: " in page
    # the same without stage 2, and with a kind of one's choice
    alone = evaluated(
        TwoStageModels(models.stage1), data, extractor, memorization_kind="Gaussian"
    )
    assert list(alone.frechet) == ["REC", "GEN-1", "Gaussian"]
    assert alone.frechet["GEN-1"] == result.frechet["GEN-1"]
    assert alone.memorization["kind"] == "Gaussian"
    with pytest.raises(
        InputError, match="`memorization_kind='GEN-3'`, expected one of"
    ):
        evaluated(models, data, extractor, memorization_kind="GEN-3")
    with pytest.raises(InputError, match="received a dict without copying, likelihood"):
        EvaluationResult.from_json({"manifest": {}, "distances": {}, "latents": {}})


def test_a_result_is_written_into_a_folder(in_memory, tmp_path):
    result = evaluated(*in_memory)
    path = write.write(tmp_path, result)
    assert path == tmp_path / "evaluation" / "pixels-fid10k_test.md"
    assert json.loads(path.with_suffix(".json").read_text()) == result.to_json()
    images = {image.stem for image in path.with_suffix("").glob("*.png")}
    assert images == set(result.figures)
    assert "FD (pixels)" in (tmp_path / "report.html").read_text()


def test_a_random_network_leads_no_report_where_a_trained_one_measured(
    in_memory, tmp_path
):
    """It sees little but contrast. A result of other weights, or measured in another
    way, is no reason to hide the new one.
    """
    result = evaluated(*in_memory)  # its extractor counts as trained
    measure = {**result.manifest["extractor"], "name": "random network"}
    measure["frechet"] = "FD (random network)"
    manifest = {**result.manifest, "extractor": measure}
    by_chance = dataclasses.replace(result, manifest=manifest)
    report, card = tmp_path / "report.html", tmp_path / "model_card.md"

    def leads(written):
        card.unlink(missing_ok=True)
        write.write(tmp_path, written)
        page = report.read_text()
        measured = re.search(r"Measured \S+ \S+ by FD \(([\w ]+)\)", page)[1]
        assert f"FD ({measured})" in card.read_text()
        return measured

    assert leads(by_chance) == "random network"
    assert leads(result) == "pixels"
    assert leads(by_chance) == "pixels"
    assert "FD (random network)" in report.read_text()  # its tables are there, too
    other = {**manifest["protocol"], "samples": 40}
    for changes in ({"models": "of other weights"}, {"protocol": other}):
        changed = dataclasses.replace(by_chance, manifest={**manifest, **changes})
        assert leads(changed) == "random network"


def test_recalibration_does_not_change_the_callers_model(in_memory):
    models, data, extractor = in_memory
    to_numpy = keras.ops.convert_to_numpy
    before = [np.array(to_numpy(each)) for each in models.stage1.variables]
    result = evaluated(models, data, extractor, recalibrated=True)
    assert result.manifest["batch_normalization"] == recalibration.RECALIBRATED
    assert result.name == "pixels-fid10k_test-recalibrated"
    for old, variable in zip(before, models.stage1.variables, strict=True):
        np.testing.assert_array_equal(old, to_numpy(variable))
    assert result.likelihood != evaluated(models, data, extractor).likelihood


def test_a_data_frame_has_a_row_per_kind(in_memory):
    pytest.importorskip("pandas")
    result = evaluated(*in_memory)
    frame = result.to_dataframe()
    assert list(frame.index) == list(result.distances)
    assert frame.loc["REC", "frechet"] == result.frechet["REC"]
    assert len(result.distances["REC"]["frechet_halves"]) == 2
    assert "frechet_halves" not in frame


def test_images_of_another_type_are_refused():
    images = np.zeros((10, 2, 2, 1), "uint8")
    with pytest.raises(InputError, match="`test` of type float64 and shape"):
        EvaluationData(images, images / 255)
    with pytest.raises(InputError, match="the training images'"):
        EvaluationData(images, np.zeros((10, 4, 4, 1), "uint8"))
    with pytest.raises(InputError, match="5 images in the test split, expected"):
        evaluated(
            small_models(),
            EvaluationData(images, images[:5]),
            Extractor("pixels", lambda x: x.reshape(len(x), -1), "0"),
        )
