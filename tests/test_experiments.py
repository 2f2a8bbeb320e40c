"""Tables of the papers: rows that resume, the planar task's data and figures."""

import dataclasses
import json
import logging
import math
import re
import subprocess
import sys
from pathlib import Path
from xml.etree import ElementTree

import numpy as np
import pytest

from twostage import presets
from twostage.cli.main import COMMANDS
from twostage.errors import DivergedError, InputError
from twostage.experiments import (
    berger_sebag,
    beta_sigma,
    dai_wipf,
    hypersphere,
    planar_task,
    rae,
)
from twostage.experiments.catalog import EXPERIMENTS
from twostage.experiments.experiment import Row, Setting
from twostage.experiments.runner import run, run_rows
from twostage.experiments.table import results_table, spread
from twostage.models import build
from twostage.reporting import charts, markdown


def experiment(name, argv):
    COMMANDS["experiment"]([name, *argv])


def with_rows(monkeypatch, name, rows):
    """Replaces the rows of an experiment."""
    experiment = dataclasses.replace(EXPERIMENTS[name], rows=rows)
    monkeypatch.setitem(EXPERIMENTS, name, experiment)


def test_rows_are_run_once_and_set_beside_the_paper(tmp_path):
    asked = []

    def measure(row, seed, earlier, setting):
        asked.append((row.name, seed, sorted(earlier)))
        if row.name == "b" and seed == 1 and len(asked) < 5:
            raise KeyboardInterrupt
        return {"elbo": row.settings["x"] + seed, "curve": [1, 2]}

    table, setting = (
        [Row("a", {"x": 1.0}, {"elbo": "1.2 +- .1", "FID": "9"}), Row("b", {"x": 5.0})],
        Setting(tmp_path, 1),
    )
    with pytest.raises(KeyboardInterrupt):
        run_rows(table, measure, setting, (0, 1))
    found = run_rows(table, measure, setting, (0, 1))
    assert asked == [
        ("a", 0, []),
        ("b", 0, ["a"]),
        ("a", 1, []),
        ("b", 1, ["a"]),
        ("b", 1, ["a"]),
    ]  # what was done is not done again
    text = markdown.markdown_table(*results_table(table, found)).splitlines()
    assert text[0] == "| row | FID, paper | elbo, paper | elbo, ours | seeds |"
    assert (
        text[2] == "| a | 9 | 1.2 +- .1 | 1.5 +- 0.71 | 2 |"
        and text[3] == "| b | - | - | 5.5 +- 0.71 | 2 |"
    )
    assert (
        len({setting.path(f"F-VAE {sigma}", 0, ".json") for sigma in (0.1, 0.3, 1.0)})
        == 3
    )
    assert (
        spread([]) == "-"
        and spread([2.0]) == "2"
        and spread([math.nan, 1.0]) == "nan +- nan"
        and spread([math.inf, 1.0]) == "inf +- nan"
    )


def test_a_row_that_diverges_does_not_hold_the_others(tmp_path, caplog):
    caplog.set_level(logging.INFO, "twostage")

    def measure(row, seed, earlier, setting):
        if row.name == "b" and seed == 0:
            raise DivergedError("the loss of epoch 2 is nan")
        return {"elbo": 1.0 + seed}

    table, setting = (
        [Row("b", {}, {"elbo": "7"}), Row("a", {}), Row("c", {}, needs="b")],
        Setting(tmp_path, 1),
    )
    found = run_rows(table, measure, setting, (0, 1))
    assert "b, seed 0: the loss of epoch 2 is nan" in caplog.messages
    assert "c, seed 0: b, which it needs, diverged" in caplog.messages
    assert run_rows(table, None, setting, (0, 1)) == found  # it would diverge again
    assert [line[1:] for line in results_table(table, found)[1]] == [
        ["7", "2", "2, 1 diverged"],
        ["-", "1.5 +- 0.71", "2"],
        ["-", "2", "2, 1 diverged"],
    ]


def test_points_lie_near_the_curve_with_their_thirds_noise():
    found = planar_task.points(300_000, np.random.default_rng(0)).astype("float64")
    t = np.linspace(-2.6, 2.6, 52_001)
    for low, high, noise in ((-2.3, -1.0, 0.05), (-0.6, 0.6, 0.01), (1.1, 2.3, 0.1)):
        inside = found[(found[:, 0] > low) & (found[:, 0] < high)][:3_000]
        curve = np.stack([t, np.cos(2 * t)], 1)[(t > low - 0.5) & (t < high + 0.5)]
        distance = np.array(
            [np.sqrt(((point - curve) ** 2).sum(1).min()) for point in inside[:600]]
        )
        assert np.sqrt((distance**2).mean()) == pytest.approx(
            noise, rel=0.12
        )  # across the curve, one of two coordinates
    assert (
        found.dtype == np.float64
        and len(np.unique(np.floor((found[:, 0] + 2.5) / 5 * 3))) >= 3
    )


@pytest.mark.slow
def test_the_elbo_is_the_papers():
    """A hardly trained F-VAE of sigma 1: the bound of the loss itself, without its
    constant log 2 pi.
    """
    vae, history = planar_task.train(1.0, 0, epochs=2)
    found = planar_task.measure(vae, history, seed=0)
    vae.compile()
    fresh = planar_task.points(10_000, np.random.default_rng((0, 10)))
    again = vae.evaluate(fresh, verbose=0, return_dict=True)
    assert found["elbo"] == pytest.approx(
        -again["reconstruction"] - again["kl"] + math.log(2 * math.pi), abs=0.03
    )
    assert (
        found["sigma"] == 1
        and len(found["curves"]["loss"]) == 2
        and len(found["points"]["sampled"]) == planar_task.POINTS_IN_FIGURE
    )


@pytest.mark.slow
def test_a_table_by_the_command(tmp_path, monkeypatch, capsys):
    names = ("LS-VAE", "F*-VAE", "LV-VAE", "scheduled F-VAE")
    rows = [row for row in berger_sebag.ROWS if row.name in names]
    with_rows(monkeypatch, "berger_sebag", rows)
    monkeypatch.setattr(planar_task, "STEPS_PER_EPOCH", 4)
    experiment(
        "berger_sebag", ["--out", str(tmp_path), "--epochs", "2", "--seeds", "1"]
    )
    folder = tmp_path / "2-epochs"
    text = (folder / "results.md").read_text()
    assert (
        "2 of 200 epochs, 1 of 10 seeds" in text
        and "| LV-VAE | 1.62 +- .08 |" in text
        and text.count("\n| ") == 6
    )
    found = {
        path.stem: json.loads(path.read_text()) for path in folder.glob("*-0.json")
    }
    assert len(found) == 4 and found["F_-VAE-0"]["sigma"] == pytest.approx(
        found["LS-VAE-0"]["sigma"], rel=1e-5
    )
    assert found["scheduled_F-VAE-0"]["curves"]["gamma"] == pytest.approx(
        found["LS-VAE-0"]["curves"]["gamma"], rel=1e-5
    )
    page = (folder / "report.html").read_text()
    assert (
        page.count("<svg") == len(list(folder.glob("figure-*.svg"))) == 2 * 4 + 3 + 1
        and page.count("\u00b1") + page.count("+-") >= 3
    )
    ElementTree.parse(folder / "figure-1.svg")
    with pytest.raises(SystemExit):  # its rows are of something else
        experiment("hypersphere", ["--out", str(folder), "--seeds", "1"])
    assert (
        f"received hypersphere for {folder}, expected berger_sebag, whose rows it has:"
        " take another --out" in capsys.readouterr().err
    )


def test_some_rows_of_a_table(tmp_path, monkeypatch, capsys):
    """Those that they need are run, too. What the folder has stands in the table, and
    figures are for all rows alone.
    """
    rows = [Row("a", {}), Row("b", {}, needs="a"), Row("c", {}), Row("d", {})]
    measured = []

    def measure(row, seed, earlier, setting):
        measured.append((row.name, seed, *earlier))
        return {"elbo": 1.0}

    changed = dataclasses.replace(
        EXPERIMENTS["berger_sebag"], rows=rows, measure=measure, figures=None
    )
    monkeypatch.setitem(EXPERIMENTS, "berger_sebag", changed)

    def table(*arguments):
        experiment("berger_sebag", ["--out", str(tmp_path), *arguments])
        page = (tmp_path / "report.html").read_text()
        return (tmp_path / "results.md").read_text(), page

    text, page = table("--seeds", "1", "--rows", "b")
    assert measured == [("a", 0), ("b", 0, "a")]
    assert "2 of 4 rows" in text and text.count("| 1 |") == 2
    assert "these rows were not run: c; d." in page
    text, _ = table("--seeds", "1", "--rows", "d")
    assert measured[2:] == [("d", 0, "a", "b")]
    assert "3 of 4 rows" in text and "| b |" in text and "| c |" not in text
    text, _ = table("--seeds", "2", "--rows", "c")  # the others have one seed of two
    assert measured[3:] == [("c", 0), ("c", 1)]
    assert "1 of 4 rows" in text and "| b |" not in text
    text, page = table("--seeds", "1")
    assert len(measured) == 5
    assert "4 of 4 rows" in text and "not run" not in page
    for name, words in (("d-0.json", "the row is run again"), ("about.json", "--out")):
        path = tmp_path / name
        path.write_text("{")
        with pytest.raises(SystemExit):
            table("--seeds", "1")
        assert f"{path}, which is damaged" in (error := capsys.readouterr().err)
        assert words in error and len(measured) == 5
        path.unlink()
    for number in (0, 1.5):
        with pytest.raises(InputError, match=f"`seeds={number}`, expected"):
            run(changed, tmp_path, seeds=number)


def test_rows_need_earlier_ones():
    for found in EXPERIMENTS.values():
        names = [row.name for row in found.rows]
        for i, row in enumerate(found.rows):
            assert row.needs is None or row.needs in names[:i]
    needs = {row.name: row.needs for row in berger_sebag.ROWS}
    assert needs["F*-VAE"] == needs["scheduled F-VAE"] == "LS-VAE"
    assert needs["LV-VAE"] is None
    needs = {row.name: row.needs for row in EXPERIMENTS["local_optima"].rows}
    assert needs["LV-VAE, from LS-VAE"] == "LS-VAE"
    assert needs["LV-VAE, from random weights"] is None


@pytest.mark.parametrize(
    ("name", "arguments", "words"),
    [
        (
            "ill_posed",
            ["--rows", "no bound", "no", "bound"],
            "received rows 'no', 'bound', expected rows of ill_posed: no bound; sigma^2"
            " >= 0.01; sigma^2 >= 0.0001; sigma^2 >= 1e-06: take names of this list,"
            " each in quotes",
        ),
        ("berger_sebag", ["--seeds", "0"], "--seeds"),
        ("berger_sebag", ["--epochs", "0"], "--epochs"),
        ("berger_sebag", ["--data", "mnist"], "makes its own data"),
        (
            "likelihoods",
            ["--extractor", "random"],
            "received --extractor random, expected none, as likelihoods measures no"
            " distance between images: drop it",
        ),
        (
            "berger_sebag",
            ["--precision", "mixed_bfloat16"],
            "received --precision mixed_bfloat16, expected none, as berger_sebag has a"
            " precision of its own: drop it",
        ),
        (
            "rae",
            ["--extractor", "keras", "--weights", "none.h5"],
            "none.h5, which does not exist: fetch",
        ),
        (
            "rae",
            ["--data", "photos"],
            "received --data photos, expected a name that begins with mnist or cifar10",
        ),
    ],
)
def test_a_mistake_ends_before_anything_is_trained(
    tmp_path, monkeypatch, capsys, name, arguments, words
):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(SystemExit):
        experiment(name, ["--out", str(tmp_path / "out"), *arguments])
    assert words in capsys.readouterr().err


def test_a_mistake_that_kept_no_row_does_not_hold_the_folder(tmp_path, capsys):
    out = ["--out", str(tmp_path / "out")]
    with pytest.raises(SystemExit):
        experiment("rae", [*out, "--data", "photos"])
    with pytest.raises(SystemExit):
        data = ["--data", str(tmp_path / "nothing.npz")]
        experiment("beta_sigma", [*out, "--epochs", "100", *data])
    assert "nothing.npz', which is no folder" in capsys.readouterr().err


@pytest.mark.slow
def test_vaes_on_a_circle_lie_on_their_side_of_the_threshold(tmp_path):
    rows = {
        row.settings["side"]: row
        for row in hypersphere.ROWS
        if row.settings["dimensions"] == 2
    }
    low, high = (
        hypersphere.measure(rows[side], 0, {}, Setting(tmp_path, 8))
        for side in (0.8, 3.0)
    )
    assert (
        low["radius"] < 0.1
        and low["kl"] < 0.02
        and high["radius"] > 0.9
        and high["kl"] > 0.5
    )
    for row, found in ((rows[0.8], low), (rows[3.0], high)):
        best = hypersphere.best_radius(row.settings["side"] * 2**0.5, 2)
        assert row.paper["radius"] == f"{best:.3f} in theory"
        assert (
            found["evidence"]
            < hypersphere.log_likelihood(best, row.settings["side"] * 2**0.5, 2) + 0.02
        )


def test_the_heat_map_is_lightest_where_the_theorem_says():
    """Figure 2: in each column the lightest cell lies next to the curve, which leaves 0
    at sqrt 2.
    """
    results = {row.name: [{"radius": 0.5}] for row in hypersphere.ROWS}
    drawn = ElementTree.fromstring(
        charts.standalone(next(hypersphere.figures(results, None)).image)
    )
    # the cells are gray and not stroked; black is SVG's default
    black = "fill: #000000"
    cells = [
        cell.attrib | {"style": cell.get("style") or black}
        for cell in drawn.iter("{http://www.w3.org/2000/svg}path")
        if re.fullmatch(r"fill: #(..)\1\1", cell.get("style") or black)
    ]
    level = np.array([int(cell["style"][-2:], 16) for cell in cells]).reshape(45, 60)
    radius, sharpness = np.linspace(0, 4, 45), np.linspace(0.05, 4, 60)
    lightest = radius[level.argmax(0)]
    assert (lightest[sharpness < 1.3] == 0).all() and lightest[
        sharpness > 1.7
    ].min() > 0.8
    best = np.array([hypersphere.best_radius(R, 2) * R for R in sharpness])
    far = (sharpness < 1.2) | (sharpness > 2)
    np.testing.assert_allclose(
        lightest[far], best[far], atol=0.35
    )  # the levels are whole numbers
    heights = [float(cell["d"].split()[2]) for cell in cells]
    assert heights[0] > heights[-1]  # the first row is the lowest


def test_the_distortions_of_the_rate_distortion_curve():
    """Two curves drawn by hand: at the rates 10 and 20 the second is lower by 5 and 15
    nats; 40 is outside the first.
    """
    made = {
        "constant": ((5, 100), (15, 80), (25, 60)),
        "Beta-Sigma": ((10, 85), (20, 55), (40, 20)),
    }
    results = {"constant 0.4": [{"rate": 15, "test": -95}]}
    for name, points in made.items():
        for beta, (rate, distortion) in zip(
            (*beta_sigma.BETAS[:3], 10.0, 100.0),
            (*points, points[-1], points[-1]),
            strict=True,
        ):
            results[f"{name} {beta:g}"] = [{"rate": rate, "test": -distortion - rate}]
    assert beta_sigma.gains(results, "test") == [
        (10.0, pytest.approx(5)),
        (20.0, pytest.approx(15)),
    ]


def test_the_theory_of_the_hypersphere_is_written_out():
    for row in hypersphere.ROWS:
        dimensions = row.settings["dimensions"]
        sharpness = row.settings["side"] * math.sqrt(dimensions)
        radius = hypersphere.best_radius(sharpness, dimensions)
        nats = hypersphere.log_likelihood(radius, sharpness, dimensions)
        assert row.paper == {
            "radius": f"{radius:.3f} in theory",
            "evidence": f"{nats:.3f} at most",
        }


def test_listing_the_experiments_loads_no_framework():
    script = (
        "import sys; from twostage.experiments.catalog import EXPERIMENTS\n"
        "heavy = {'keras', 'tensorflow', 'jax', 'numpy', 'scipy'}\n"
        "print(len(EXPERIMENTS), sorted(heavy & set(sys.modules)))"
    )
    done = subprocess.run(
        [sys.executable, "-c", script],
        capture_output=True,
        text=True,
        cwd=Path(__file__).parents[1],
    )
    assert done.stdout.strip() == "12 []", done.stderr


def test_the_page_of_results_knows_the_experiments():
    page = (Path(__file__).parents[1] / "docs" / "notes" / "results.md").read_text()
    for name, count in re.findall(r"^\| `(\w+)[^|]*\|[^|]*\| (\d+) rows", page, re.M):
        assert len(EXPERIMENTS[name].rows) == int(count), name


def test_an_experiment_prints_its_defaults(capsys):
    with pytest.raises(SystemExit):
        experiment("balancing", ["--help"])
    printed = " ".join(capsys.readouterr().out.split())
    assert (
        "Tables 1, 2 and 5" in printed
        and "(default: 700, with --quick 7)" in printed
        and "(default: cifar10)" in printed
        and "(default: 10)" in printed
    )


def test_every_row_of_two_stages_is_a_setting_of_the_commands():
    for preset, name in (
        ("cifar10", "balancing"),
        ("celeba", "balancing_faces"),
        ("cifar10", "dai_wipf"),
    ):
        rows = EXPERIMENTS[name].rows
        names = [row.name for row in rows]
        assert len(set(names)) == len(names)
        for i, row in enumerate(rows):
            presets.resolve(1, preset, **row.settings["stage1"])
            presets.resolve(2, preset, **row.settings["stage2"])
            assert row.continues is None or row.continues in names[:i]
    for row in rae.ROWS:
        for data in rae.SETTINGS:
            presets.resolve(1, "mnist", **rae.stage1(row.name, data))
    assert (
        len(EXPERIMENTS["balancing"].rows) == 14 + 1 + 3
        and len(EXPERIMENTS["balancing_faces"].rows) == 1 + 24
    )
    assert {
        rae.stage1(name, "cifar10")["epochs"] for name in ("RAE-GP", "CV-VAE", "WAE")
    } == {70} and rae.stage1("WAE", "mnist")["epochs"] == rae.stage1("RAE", "cifar10")[
        "epochs"
    ] == 100
    vae = build.build_stage1(
        presets.resolve(1, "cifar10", **dai_wipf.ROWS[0].settings["stage1"]),
        (32, 32, 3),
    )
    assert (
        sum(
            int(np.prod(weight.shape))
            for part in (vae.encoder, vae.decoder)
            for weight in part.trainable_weights
        )
        == 2_195_171
    )  # of the authors' default
    assert rae.stage1("RAE", "cifar10")["kl_weight"] == pytest.approx(
        0.24
    ) and rae.stage1("RAE", "mnist")["kl_weight"] == pytest.approx(0.032)
    assert rae.stage1("RAE-L2", "mnist")["l2"] == pytest.approx(
        1.024e-4
    ) and rae.stage1("VAE", "mnist")["gamma_start"] ** 2 == pytest.approx(0.156)


@pytest.mark.slow
def test_the_ill_posed_likelihood_grows_and_its_bound_holds(tmp_path):
    from twostage.experiments import ill_posed

    free, bound = ill_posed.ROWS[0], ill_posed.ROWS[2]
    found = {
        row.name: ill_posed.measure(row, 0, {}, Setting(tmp_path, 12))
        for row in (free, bound)
    }
    cap = -5 * math.log(2 * math.pi * 1e-4)
    assert (
        ill_posed.cap(1e-4) == pytest.approx(cap)
        and bound.paper["log_likelihood"] == f"at most {cap:.2f}"
    )
    assert cap - 3 < found[bound.name]["log_likelihood"] <= cap + 1e-3
    assert found[free.name]["log_likelihood"] > cap + 5
