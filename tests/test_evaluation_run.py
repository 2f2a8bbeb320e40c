"""A whole run measured: tables, JSON, images and the page; both modes of batch
normalization, and which is exported.
"""

import base64
import copy
import dataclasses
import json
from html.parser import HTMLParser

import keras
import numpy as np
import pytest
from PIL import Image
from scipy import stats

from twostage.cli.main import COMMANDS
from twostage.data import loading
from twostage.errors import InputError
from twostage.evaluation import html_report, protocol, verdict, write
from twostage.evaluation.evaluation_result import EvaluationResult
from twostage.evaluation.rounding import plus_minus
from twostage.export import export_run
from twostage.models import recalibration
from twostage.models.gaussian_mixture import Mixture
from twostage.models.posterior import EncodedDataset
from twostage.runs import summary
from twostage.runs.models import load_models
from twostage.runs.run import finished_stage1
from twostage.sampling import latent_samplers

TENSORFLOW = keras.backend.backend() == "tensorflow"


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """Both stages on a few digits, hardly trained."""
    folder = tmp_path_factory.mktemp("evaluation") / "run"
    small = [
        *("--held-out", "0"),
        "--limit",
        "300",
        "--epochs",
        "2",
        "--base-dim",
        "4",
        "--fc-dim",
        "16",
        "--latent-dim",
        "4",
    ]
    COMMANDS["train-stage1"](["--run", str(folder), *small])
    COMMANDS["train-stage2"](["--run", str(folder), "--epochs", "2", "--width", "16"])
    return folder


@pytest.fixture(autouse=True, scope="module")
def few_images():
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(protocol.SPLITS, "fid10k_test", ("test", 200))
        yield


def evaluated(run, *flags):
    COMMANDS["evaluate"](
        [
            "--run",
            str(run),
            "--bound-images",
            "20",
            "--importance-samples",
            "5",
            "--half-samples",
            "3",
            *flags,
        ]
    )
    return max(
        (run / "evaluation").glob("*.json"), key=lambda path: path.stat().st_mtime_ns
    )


@pytest.mark.slow
@pytest.mark.skipif(not TENSORFLOW, reason="a SavedModel is TensorFlow's")
def test_a_mixture_is_sampled_inside_the_savedmodel(run, tmp_path):
    """Ten Gaussians; moments of the decoded draws are those of the mixture's own, drawn
    by NumPy.
    """
    import shutil
    import subprocess
    import sys

    folder = tmp_path / "run"
    shutil.copytree(run, folder)
    COMMANDS["export"](["--run", str(folder), "--mixture", "10"])
    script = (
        "import sys, numpy, tensorflow as tf; m = tf.saved_model.load(sys.argv[1]); a,"
        " b = m.sample(2000, 5).numpy(), m.sample(2000, 5).numpy()\nassert (a =="
        " b).all() and not {'tensorflow_probability', 'twostage'} &"
        " set(sys.modules)\nnumpy.save(sys.argv[2], a)"
    )
    subprocess.run(
        [
            sys.executable,
            "-c",
            script,
            str(folder / "saved_model"),
            str(tmp_path / "drawn.npy"),
        ],
        check=True,
        cwd=tmp_path,
        capture_output=True,
    )
    models, config = load_models(folder)
    encoded = EncodedDataset(models.stage1, loading.load_for(config)[0])
    mixture = {
        one.name: one
        for one in latent_samplers.samplers(models, encoded, mixtures=(10,))
    }["mixture of 10"]
    expected = keras.ops.convert_to_numpy(models.stage1.decode(mixture.draw(20_000, 0)))
    drawn = np.load(tmp_path / "drawn.npy")
    np.testing.assert_allclose(
        drawn.mean(0), expected.mean(0), atol=5 * expected.std(0).max() / 2000**0.5
    )
    np.testing.assert_allclose(drawn.std(0).mean(), expected.std(0).mean(), rtol=0.06)
    z = mixture.draw(500, 1)
    fitted = Mixture(latent_samplers.drawn_latents(encoded), 10)
    np.testing.assert_allclose(
        fitted.as_distribution().log_prob(z).numpy(),
        mixture.log_density(z),
        rtol=1e-3,
        atol=1e-3,
    )


class Page(HTMLParser):
    """Checks that every tag is closed; collects what would be loaded, and the cells of
    tables.
    """

    alone = frozenset({"meta", "img"})

    def __init__(self, text):
        super().__init__()
        self.open, self.loaded, self.cells, self.tags = [], [], [], []
        self.feed(text)
        self.close()

    def handle_starttag(self, tag, attributes):
        self.tags.append(tag)
        self.loaded += [
            value
            for key, value in attributes
            if key in ("src", "href", "srcset", "data", "poster")
        ]
        if tag not in self.alone:
            self.open.append(tag)
        assert tag != "img" or dict(attributes)["alt"]

    def handle_startendtag(self, tag, attributes):  # <rect/>
        self.tags.append(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, text):
        if {"td", "th"} & set(self.open) and text.strip():
            self.cells.append(text)


def check_page(run, found, names):
    """The report holds the tables of all results, seven charts per stage and more, and
    every image; it loads nothing.
    """
    text = (run / "report.html").read_text()
    seen = Page(text)
    assert (
        seen.open == []
        and not {"script", "link", "iframe", "object"} & set(seen.tags)
        and "@import" not in text
        and "url(" not in text
    )
    assert all(address.startswith("data:image/png;base64,") for address in seen.loaded)
    images = sorted((run / "evaluation" / names[0]).glob("*.png"))
    assert sorted(path.read_bytes() for path in images) == sorted(
        base64.b64decode(address.split(",")[1]) for address in seen.loaded
    )
    assert len(images) == len(found["distances"]) - 1 + 4
    for name in names:
        for one in json.loads((run / "evaluation" / f"{name}.json").read_text())[
            "distances"
        ].values():
            assert (
                plus_minus(one["frechet"], one["frechet_error"]).replace("+-", "\u00b1")
                in seen.cells
            )
        assert f"<h3>{name}</h3>" in text
    assert (
        seen.tags.count("svg") == 2 * 2 + 4 + 2 * 8
    )  # of each stage two histograms, of four latents, of each stage's training


def check_model_card(run):
    """It says what was measured, and a person's own lines survive."""
    card = run / "model_card.md"
    text = card.read_text()
    assert "training images: 300, 8x8x1" in text and "| GEN-1 |" in text
    assert "FD (random network)" in text and "&" not in text
    assert text.startswith("---\ntags:") and text.count("FILL IN") == 5
    card.write_text(text.replace("# run", "# Small digits", 1))  # no FILL IN
    evaluated(run, "--extractor", "random", "--mixtures", "1", "3")
    assert "# Small digits" in card.read_text()
    card.write_text(text)  # as it was written: it may be written again
    evaluated(run, "--extractor", "random", "--mixtures", "1", "3")
    assert card.read_text().count("a card that was changed") == 1


def check_odd_name(run, found, name, folder):
    """Signs of HTML in a run's name are shown as they are; a result of other weights is
    marked.
    """
    import shutil

    shutil.copytree(run, folder / "a<b>&c")
    other = folder / "a<b>&c" / "evaluation" / f"{name}-recalibrated.json"
    other.write_text(
        other.read_text().replace(found["manifest"]["models"], "0123456789abcdef")
    )
    html_report.write(folder / "a<b>&c", name)
    text = (folder / "a<b>&c" / "report.html").read_text()
    assert (
        f"<h3>{name}</h3>" in text
        and f"<h3>{name}-recalibrated, of an earlier model</h3>" in text
    )
    assert "<h1>a&lt;b&gt;&amp;c</h1>" in text and Page(text).open == []


@pytest.mark.slow
def test_densities_of_latents_are_densities(run):
    models, config = load_models(run)
    train = EncodedDataset(models.stage1, loading.load_for(config)[0])
    found = {
        sampler.name: sampler
        for sampler in latent_samplers.samplers(
            models, train, mixtures=(1,), importance_samples=200
        )
    }
    z = train.moments(np.arange(len(train)))[:, 0]
    np.testing.assert_allclose(
        found["GEN-1"].log_density(z),
        stats.multivariate_normal(np.zeros(4)).logpdf(z),
        rtol=1e-6,
    )
    drawn = found["Gaussian"].draw(20_000, 0)
    by_hand = stats.multivariate_normal(drawn.mean(0), np.cov(drawn.T)).logpdf(z)
    np.testing.assert_allclose(found["Gaussian"].log_density(z), by_hand, atol=0.3)
    noise = found["GEN-2 noise"]
    drawn = noise.draw(
        4_000,
        1,
        # stage 2 has hardly learned, so that one Gaussian of its draws has about its
        # density
    )
    by_hand = stats.multivariate_normal(drawn.mean(0), np.cov(drawn.T)).logpdf(z)
    assert noise.log_density(z).mean() == pytest.approx(by_hand.mean(), abs=0.2)
    assert (
        found["GEN-2 mean"].log_density is None
        and found["GEN-2 normalized"].log_density is None
    )
    np.testing.assert_array_equal(
        found["GEN-1"].draw(5, 3), found["GEN-1"].draw(9, 3)[:5]
    )


def spoiled(vae):
    """Moving averages as of other images."""
    for layer in vae._flatten_layers():
        if isinstance(layer, keras.layers.BatchNormalization):
            layer.moving_mean.assign(np.full(layer.moving_mean.shape, 3.0, "float32"))
    return vae


@pytest.mark.slow
def test_the_better_batch_norm_statistics_are_chosen(run, monkeypatch):
    models, config = load_models(run)
    train = loading.load_for(config)[0]
    choice = recalibration.recalibrate_if_better(spoiled(models.stage1), train)
    assert (
        choice["chosen"] == recalibration.RECALIBRATED
        and choice["gain"] > 5 * choice["gain_error"] > 0
        and choice["images"] == 30
    )
    assert choice["evidence"][recalibration.RECALIBRATED] - choice["evidence"][
        recalibration.TRAINED
    ] == pytest.approx(choice["gain"])
    assert "no validation split" in choice["decided_by"]
    weights = [weight.copy() for weight in models.stage1.get_weights()]
    monkeypatch.setattr(
        recalibration, "recalibrate", lambda vae, images, seed: spoiled(vae)
    )
    choice = recalibration.recalibrate_if_better(models.stage1, train)
    assert choice["chosen"] == recalibration.TRAINED and choice["gain"] < 0
    for old, new in zip(weights, models.stage1.get_weights(), strict=True):
        np.testing.assert_array_equal(old, new)


@pytest.mark.slow
@pytest.mark.skipif(not TENSORFLOW, reason="a SavedModel is TensorFlow's")
def test_the_better_batch_normalization_is_exported(run, tmp_path, capsys):
    import shutil

    from twostage import export

    folder = tmp_path / "run"
    shutil.copytree(run, folder)
    models, config = load_models(folder)
    stage = finished_stage1(folder)
    stage.save_model("model.keras", spoiled(models.stage1))
    by_training = {"chosen": "of training", "gain": 1.0, "gain_error": 0.5}
    by_training |= {"images": 9, "decided_by": "held-out images"}
    summary.write(folder, batch_normalization=by_training)
    stage.lock()
    with pytest.raises(InputError, match="is in use by another process"):
        export_run.export_run(folder)
    stage.end()
    COMMANDS["export"](["--run", str(folder), "--recalibrate"])
    assert (
        "batch normalization: recalibrated on training images; re-estimating changes"
        " the bound (ELBO) by +" in capsys.readouterr().out
    )
    images = loading.load_for(config, "test")[0][:8]
    kept = keras.saving.load_model(stage.path / "recalibrated.keras", compile=False)
    np.testing.assert_allclose(
        export.load(folder / "saved_model").encode(images)[0],
        kept.posterior(images)[0],
        atol=1e-5,
    )
    results = json.loads((folder / "results.json").read_text())
    exported = results["exported_batch_normalization"]
    assert exported["chosen"] == recalibration.RECALIBRATED
    assert results["batch_normalization"] == by_training
    report = (folder / "report.md").read_text()
    for model, chosen in (
        ("Stage 1", "of training"),
        ("The SavedModel", recalibration.RECALIBRATED),
    ):
        assert f"{model} has the batch normalization {chosen};" in report


NAME = "random_network-fid10k_test"
THREE = ("--extractor", "random", "--mixtures", "1", "3")


@pytest.fixture(scope="module")
def measured(run):
    """The content of the result, measured in both modes of batch normalization."""
    path = evaluated(run, *THREE, "--recalibrate")
    assert path.stem == NAME
    return json.loads(path.read_text())


@pytest.mark.slow
def test_a_run_is_measured_in_every_kind(measured):
    kinds = ["REC", "GEN-1", "GEN-2 mean", "GEN-2 noise", "GEN-2 normalized"]
    kinds += ["Gaussian", "mixture of 3"]
    assert list(measured["distances"]) == kinds
    for one in measured["distances"].values():
        assert one["images"] in (200, 179)
        assert one["frechet"] > 0 and one["frechet_error"] > 0
        assert 0 <= one["precision"] <= 1
        assert abs(one["brightness"]) < 0.5 and 0 < one["contrast"] < 1.5


@pytest.mark.slow
def test_the_manifest_says_how_it_was_measured(measured):
    manifest = measured["manifest"]
    assert manifest["extractor"] == {
        "name": "random network",
        "digest": manifest["extractor"]["digest"],
        "frechet": "FD (random network)",
        "seed": 0,
        "width": 32,
    }
    assert manifest["protocol"] == {
        "name": "fid10k_test",
        "split": "test",
        "count": 200,
        "quirks": [],
        "quantization": "uint8, rounded",
    }
    assert manifest["data"]["source"] == "digits"
    assert manifest["reference_images"] == 179
    assert manifest["versions"]["numpy"]
    assert manifest["backend"] == keras.backend.backend()


@pytest.mark.slow
def test_the_bounds_and_latents_of_a_run_are_measured(measured):
    nats = measured["likelihood"]
    assert nats["evidence"] == pytest.approx(-nats["distortion"] - nats["rate"])
    assert nats["importance"] > nats["evidence"]
    assert 0 < nats["bits_per_dimension"] < 9
    latents = measured["latents"]
    assert len(latents["posterior"]["kl_per_latent"]) == 4
    assert set(latents["normality"]) == {"z of stage 1", "u of stage 2"}


@pytest.mark.slow
def test_the_tables_name_the_measure_and_the_images(run, measured):
    text = (run / "evaluation" / f"{NAME}.md").read_text()
    assert "FD (random network)" in text
    assert "FID" not in text.replace("fid10k", "")
    assert "200 images against 179 of the test split" in text


@pytest.mark.slow
@pytest.mark.parametrize(
    ("training", "test", "overfits"),
    [(10, -50, True), (10, 3, True), (10, 6, False), (-10, -50, False)],
    ids=["overfits", "loses its gain", "fits", "is trained too little"],
)
def test_the_verdict_says_whether_stage_2_overfits(measured, training, test, overfits):
    """By its nats above those of one Gaussian."""
    altered = copy.deepcopy(measured)
    second, gaussian = (
        altered["distances"][kind] for kind in ("GEN-2 noise", "Gaussian")
    )
    in_training, in_test = gaussian["training_latent_nats"], gaussian["latent_nats"]
    assert in_training == pytest.approx(in_test, abs=1) and in_training != in_test
    second["training_latent_nats"] = in_training + training
    second["latent_nats"] = in_test + test
    findings = verdict.verdict(EvaluationResult.from_json(altered))
    said = " ".join(finding.text for finding in findings)
    assert ("Stage 2 overfits" in said) == overfits


@pytest.mark.slow
def test_both_modes_of_batch_normalization_are_measured(run, measured):
    path = run / "evaluation" / f"{NAME}-recalibrated.json"
    other = json.loads(path.read_text())
    names = recalibration.TRAINED, recalibration.RECALIBRATED
    for one, name in zip((measured, other), names, strict=True):
        assert one["manifest"]["batch_normalization"] == name
    distortions = [one["likelihood"]["distortion"] for one in (measured, other)]
    assert distortions[0] != distortions[1]
    choice = other["manifest"]["batch_normalization_choice"]
    assert set(choice["evidence"]) == set(names)


@pytest.mark.slow
def test_a_result_that_is_replaced_by_one_of_another_seed_is_named(
    run, measured, tmp_path, caplog
):
    figures = {}
    for path in (run / "evaluation" / NAME).glob("*.png"):
        with Image.open(path) as image:
            pixels = np.asarray(image)
            figures[path.stem] = pixels.reshape(*pixels.shape[:2], -1)

    def result_of(content):
        result = EvaluationResult.from_json(content)
        return dataclasses.replace(result, figures=figures)

    result = result_of(measured)
    with caplog.at_level("WARNING"):
        write.write(tmp_path, result)
        write.write(tmp_path, result)
        assert not caplog.text
        other = copy.deepcopy(measured)
        other["manifest"]["seed"] += 1
        write.write(tmp_path, result_of(other))
    seed = measured["manifest"]["seed"]
    assert f"{NAME}.json replaces the result of seed {seed}: copy it" in caplog.text


@pytest.mark.slow
def test_the_report_holds_every_result_and_image(run, measured, tmp_path):
    check_page(run, measured, [NAME, f"{NAME}-recalibrated"])
    check_odd_name(run, measured, NAME, tmp_path)


@pytest.mark.slow
def test_the_model_card_keeps_a_persons_lines(run, measured):
    check_model_card(run)


@pytest.mark.slow
def test_the_same_seed_gives_the_same_numbers(run, measured):
    again = json.loads(evaluated(run, *THREE).read_text())
    assert again["distances"] == measured["distances"]
    assert again["likelihood"] == measured["likelihood"]


@pytest.mark.slow
def test_fewer_samples_are_a_result_of_their_own(run):
    path = evaluated(run, "--extractor", "random", "--samples", "50")
    fewer = json.loads(path.read_text())
    assert fewer["manifest"]["reference_images"] == 50
    assert {one["images"] for one in fewer["distances"].values()} == {50}
    assert path.with_name(f"{NAME}-50.md").exists()


@pytest.mark.slow
def test_results_of_other_protocols_may_not_be_compared(run, measured, capsys):
    first = str(run / "evaluation" / f"{NAME}.json")
    quirk = ("--quirk", "stretch", "--seed", "1", "--mixtures")
    other = str(evaluated(run, "--extractor", "random", *quirk))
    capsys.readouterr()
    COMMANDS["evaluate"](["--compare", first, first])
    assert "These may be compared" in capsys.readouterr().out
    COMMANDS["evaluate"](["--compare", first, other])
    out = capsys.readouterr().out
    assert "These may not be compared:" in out and "| - |" in out
    assert (
        "protocol quirks: [] and ['stretch']: the images were altered before they"
        " were measured" in out
    )


def test_held_out_losses_stand_beside_those_of_training():
    """Also where they were not measured in every epoch."""
    values = np.arange(1.0, 5.0)
    history = {curve.key: values for curve in html_report.CURVES}
    history |= {"epoch": values, "val_loss": np.array([2.0, np.nan, 1.0, np.nan])}
    loss, distortion, *_ = html_report.curve_charts(history)
    assert "held out" in loss and "held out" not in distortion
