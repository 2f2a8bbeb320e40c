"""Tables of the papers: rows that resume, the planar task's data and figures."""

import json
import math

import numpy as np
import pytest

from twostage import cli
from twostage.experiments import berger_sebag, planar, rows
from twostage.experiments.rows import Row


def test_rows_are_run_once_and_set_beside_the_paper(tmp_path, capsys):
    asked = []

    def measure(row, seed, found):
        asked.append((row.name, seed, sorted(found)))
        if row.name == "b" and seed == 1 and len(asked) < 5:
            raise KeyboardInterrupt
        return {"elbo": row.settings["x"] + seed, "curve": [1, 2]}

    table = [Row("a", {"x": 1.0}, {"elbo": "1.2 +- .1"}), Row("b", {"x": 5.0})]
    with pytest.raises(KeyboardInterrupt):
        rows.run(table, measure, tmp_path, (0, 1))
    results = rows.run(table, measure, tmp_path, (0, 1))
    assert asked == [("a", 0, []), ("b", 0, ["a"]), ("a", 1, []), ("b", 1, ["a"]), ("b", 1, ["a"])]  # what was done is not done again
    text = rows.table(table, results).splitlines()
    assert text[0] == "| row | elbo, paper | elbo, ours | seeds |"
    assert text[2] == "| a | 1.2 +- .1 | 1.5 +- 0.71 | 2 |" and text[3] == "| b | - | 5.5 +- 0.71 | 2 |"
    assert rows.spread([]) == "-" and rows.spread([2.0]) == "2"


def test_points_lie_near_the_curve_with_their_thirds_noise():
    found = planar.points(300_000, np.random.default_rng(0)).astype("float64")
    t = np.linspace(-2.6, 2.6, 52_001)
    for low, high, noise in ((-2.3, -1.0, 0.05), (-0.6, 0.6, 0.01), (1.1, 2.3, 0.1)):
        inside = found[(found[:, 0] > low) & (found[:, 0] < high)][:3_000]
        curve = np.stack([t, np.cos(2 * t)], 1)[(t > low - 0.5) & (t < high + 0.5)]
        distance = np.array([np.sqrt(((point - curve) ** 2).sum(1).min()) for point in inside[:600]])
        assert np.sqrt((distance**2).mean()) == pytest.approx(noise, rel=0.12)  # across the curve, one of two coordinates
    assert found.dtype == np.float64 and len(np.unique(np.floor((found[:, 0] + 2.5) / 5 * 3))) >= 3


def test_the_elbo_is_the_papers():
    """A hardly trained F-VAE of sigma 1: the bound of the loss itself, without its constant log 2 pi."""
    vae, history = planar.train({"sigma": 1.0}, 0, 2)
    found = planar.measure(vae, history, 0)
    vae.compile()
    fresh = planar.points(10_000, np.random.default_rng((0, 10)))
    again = vae.evaluate(fresh, verbose=0, return_dict=True)
    assert found["elbo"] == pytest.approx(-again["reconstruction"] - again["kl"] + math.log(2 * math.pi), abs=0.03)
    assert found["sigma"] == 1 and len(found["curves"]["loss"]) == 2 and len(found["points"]["sampled"]) == 2_000


def test_a_quick_table_by_the_command(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(berger_sebag, "LENGTH", 10)
    monkeypatch.setattr(berger_sebag, "ROWS", [row for row in berger_sebag.ROWS if row.name in ("LS-VAE", "F*-VAE", "LV-VAE", "scheduled F-VAE")])
    cli.experiment("berger_sebag", ["--out", str(tmp_path), "--quick", "--seeds", "1"])
    text = (tmp_path / "quick" / "results.md").read_text()
    assert "1 of 10 epochs, 1 seeds" in text and "| LV-VAE | 1.62 +- .08 |" in text and text.count("\n| ") == 6
    found = {path.stem: json.loads(path.read_text()) for path in (tmp_path / "quick").glob("*.json")}
    assert len(found) == 4 and found["F*-VAE-0"]["sigma"] == pytest.approx(found["LS-VAE-0"]["sigma"], rel=1e-5)
    assert found["scheduled_F-VAE-0"]["sigma"] == pytest.approx(found["LS-VAE-0"]["sigma"], rel=1e-5)
    with pytest.raises(SystemExit):
        cli.experiment("berger_sebag", ["--seeds", "0"])


def test_the_ill_posed_likelihood_grows_and_its_bound_holds(tmp_path):
    from twostage.experiments import ill_posed

    free, bound = ill_posed.ROWS[0], ill_posed.ROWS[2]
    found = {row.name: ill_posed.measured(row, 0, {}, epochs=12) for row in (free, bound)}
    cap = -5 * math.log(2 * math.pi * 1e-4)
    assert ill_posed.cap(1e-4) == pytest.approx(cap) and bound.paper["log_likelihood"] == f"at most {cap:.2f}"
    assert cap - 3 < found[bound.name]["log_likelihood"] <= cap + 1e-3
    assert found[free.name]["log_likelihood"] > cap + 5
