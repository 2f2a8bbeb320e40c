"""Experiments that train on images: rows of one stage and of both, an epoch or two
each, on a few noisy images.
"""

import csv
import dataclasses
import json

import keras
import numpy as np
import pytest

from twostage import presets
from twostage.cli.main import COMMANDS
from twostage.evaluation import protocol
from twostage.experiments import beta_sigma, gamma_rules, image_runs, two_stage_runs
from twostage.experiments.catalog import EXPERIMENTS
from twostage.experiments.experiment import Row, Setting
from twostage.features import choose
from twostage.features.random_network import random_network


def experiment(name, argv):
    COMMANDS["experiment"]([name, *argv])


def with_rows(monkeypatch, name, rows):
    """Replaces the rows of an experiment."""
    experiment = dataclasses.replace(EXPERIMENTS[name], rows=rows)
    monkeypatch.setitem(EXPERIMENTS, name, experiment)


SMALL = {
    "network": "resnet",
    "num_scale": 2,
    "base_dim": 4,
    "fc_dim": 16,
    "latent_dim": 4,
    "pad": 0,
    "batch_size": 30,
}  # the papers' have tests of their own


@pytest.fixture
def made(tmp_path, monkeypatch):
    """A file of 60 images, measured by the random network; no SavedModels."""
    generator = np.random.default_rng(0)
    images, labels = (
        generator.integers(0, 256, (60, 8, 8, 1), "uint8"),
        np.arange(60) % 2,
    )
    np.savez(
        tmp_path / "made.npz",
        x_train=images,
        y_train=labels,
        x_test=images,
        y_test=labels,
    )
    monkeypatch.setattr(
        choose, "chosen_extractor", lambda config, *named: random_network()
    )
    monkeypatch.setattr(protocol, "SPLITS", {"fid10k_test": ("test", 60)})
    return str(tmp_path / "made.npz")


@pytest.mark.slow
def test_images_rows_train_measure_and_draw(tmp_path, made, monkeypatch):
    """Both families, one epoch each."""
    rows = [row for row in beta_sigma.ROWS if row.name.endswith(" 1")]
    with_rows(monkeypatch, "beta_sigma", rows)
    monkeypatch.setattr(beta_sigma, "BETAS", (1.0,))
    monkeypatch.setattr(beta_sigma, "COMMON", SMALL)
    experiment(
        "beta_sigma",
        [
            "--out",
            str(tmp_path / "out"),
            "--epochs",
            "1",
            "--seeds",
            "1",
            "--data",
            made,
        ],
    )
    folder = tmp_path / "out" / "1-epochs"
    found = json.loads((folder / "constant_1-0.json").read_text())
    assert (
        found["test"] >= found["one optimum"] >= found["beta / 2"] == found["1 / 2"]
        and found["test"] == found["train"]
    )
    assert "beta / 2" not in json.loads((folder / "Beta-Sigma_1-0.json").read_text())
    with pytest.raises(SystemExit):  # rows of other data would be taken as they are
        experiment(
            "beta_sigma",
            [
                "--out",
                str(tmp_path / "out"),
                "--epochs",
                "1",
                "--data",
                str(tmp_path / "others.npz"),
            ],
        )
    page = (folder / "report.html").read_text()
    assert page.count("data:image/png") == 2 and "225.8" in page and "Model B" in page


MEASURES = {
    *("REC", "GEN-1", "GEN-2 mean", "GEN-2 noise", "GEN-2 normalized", "mse"),
    *("variance law", "variance law, E[sigma]", "inactive", "inactive, E[sigma]"),
}


def untimed_rows(path):
    """The rows of a history.csv without its times."""
    with open(path, encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    return [
        {name: value for name, value in row.items() if "second" not in name}
        for row in rows
    ]


@pytest.mark.slow
def test_a_row_of_two_stages_continues_from_a_shorter_one(tmp_path, made, monkeypatch):
    """Lengths of 10 and 20 epochs at a tenth: the longer row's history begins with the
    shorter one's; what is finished is not trained again.
    """
    second = {"width": 8, "depth": 1, "batch_size": 30, "epochs": 20, "halve_every": 10}
    stage1 = {**SMALL, "epochs": 10}, {**SMALL, "epochs": 20}
    first = Row("a, 10", {"stage1": stage1[0], "stage2": second})
    settings = {"stage1": stage1[1], "stage2": second}
    longer = Row("a, 20", settings, continues="a, 10")
    setting = Setting(tmp_path, 1, made, partial=True)

    def measured(row, setting=setting):
        return two_stage_runs.measure_row(
            row, 0, setting=setting, full_epochs=10, preset="digits"
        )

    short, long = measured(first), measured(longer)
    paths = [setting.path(row.name, 0) for row in (first, longer)]
    histories = [untimed_rows(path / "stage1" / "history.csv") for path in paths]
    assert [len(history) for history in histories] == [1, 2]
    assert histories[1][:1] == histories[0]
    assert len(untimed_rows(paths[1] / "stage2" / "history.csv")) == 2
    assert set(short) == MEASURES and short != long
    assert short["variance law, E[sigma]"] != short["variance law"]
    config = json.loads((paths[0] / "stage1" / "config.json").read_text())["config"]
    assert config["partial"] and config["held_out"] == 0  # as the papers train
    config = json.loads((paths[0] / "stage2" / "config.json").read_text())["config"]
    assert config["sampling"] == "normalized" and config["patience"] == 0
    alone = dataclasses.replace(setting, folder=tmp_path / "alone")
    assert measured(longer, alone) == long  # without the shorter one's folder
    monkeypatch.setattr(image_runs, "train_stage1_run", None)
    monkeypatch.setattr(image_runs, "train_stage2_run", None)
    assert measured(longer) == long
    assert not list(tmp_path.rglob("saved_model.pb"))


def test_the_rules_of_gamma_are_settings_of_cifar10():
    for row in gamma_rules.ROWS:
        presets.resolve(1, "cifar10", **row.settings)


@pytest.fixture
def two_rules(monkeypatch):
    """The experiment on the rules of gamma, with two small rows."""
    names = "ema", "learned, rate times 10"
    kept = [row for row in gamma_rules.ROWS if row.name in names]
    rows = [Row(row.name, {**row.settings, **SMALL}) for row in kept]
    with_rows(monkeypatch, "gamma_rules", rows)


def test_the_rules_of_gamma_are_refused_on_data_without_a_preset(
    tmp_path, made, two_rules
):
    with pytest.raises(SystemExit):
        experiment("gamma_rules", ["--out", str(tmp_path / "out"), "--data", made])


@pytest.mark.slow
def test_every_rule_of_gamma_is_a_row_with_one_second_stage(
    tmp_path, made, two_rules, capsys
):
    data, few = tmp_path / "digits-few.npz", np.load(made)
    # enough for a batch of the second stage's
    np.savez(data, **{name: np.concatenate([few[name]] * 2) for name in few})
    out = tmp_path / "out"
    arguments = ["--out", str(out), "--epochs", "2", "--seeds", "1"]
    arguments += ["--data", str(data)]
    experiment("gamma_rules", [*arguments, "--precision", "mixed_bfloat16"])
    assert keras.config.dtype_policy().name == "float32"  # of what measures
    capsys.readouterr()
    # rows of another precision are not taken for these
    with pytest.raises(SystemExit):
        experiment("gamma_rules", arguments)
    folder = out / "2-epochs"
    assert (
        f"received gamma_rules on {data} for {folder}, expected gamma_rules on {data},"
        " mixed_bfloat16, whose rows it has: take another" in capsys.readouterr().err
    )
    names = "ema-0", "learned_rate_times_10-0"
    ema, learned = (json.loads((folder / f"{name}.json").read_text()) for name in names)
    expected = {"GEN-2 normalized", "mixture of 10", "evidence", "KL"}
    assert ema.keys() == learned.keys() and expected < ema.keys()
    trained = json.loads((folder / "ema-0" / "results.json").read_text())["stage1"]
    ratio = trained["gamma"] ** 2 / trained["mse"]
    assert ema["gamma^2 over training mse"] == pytest.approx(ratio)
    paths = [folder / name / "stage2" / "config.json" for name in names]
    one, other = (json.loads(path.read_text())["config"] for path in paths)
    assert one == other and one["precision"] == "mixed_bfloat16"
    assert one["epochs"] == round(400 * 2 / 120)
    assert "1 of 5 seeds, mixed_bfloat16" in (folder / "results.md").read_text()
    assert len(list(folder.glob("figure-*.svg"))) == 4
