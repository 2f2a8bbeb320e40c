"""The verdict of an evaluation, from numbers whose answer is known."""

import copy
import dataclasses
import re

import numpy as np
import pytest

from twostage.evaluation import html_report, tables, verdict
from twostage.evaluation.evaluation_result import EvaluationResult
from twostage.evaluation.memorization import memorization
from twostage.evaluation.rounding import plus_minus, rounded
from twostage.evaluation.terms import TERMS, terms
from twostage.evaluation.verdict import TrainingLosses


def kind(value, error=0.02, *, contrast=0.95, train=None, test=None, infinite=None):
    return {
        "frechet": value,
        "frechet_error": error,
        "frechet_infinite": infinite,
        "contrast": contrast,
        "training_latent_nats": train,
        "latent_nats": test,
    }


DISTANCES = {
    "REC": kind(0.2),
    "GEN-1": kind(2.0, train=-90, test=-90),
    "GEN-2 noise": kind(0.6, train=-66, test=-67),
    "GEN-2 normalized": kind(0.4),
    "Gaussian": kind(0.55, train=-68, test=-68),
    "mixture of 10": kind(0.5, train=-65, test=-66),
}
HELD_OUT = TrainingLosses(held_out=[-100.0, -200.0])
MEMORIZATION = {"kind": "GEN-1", "closer": 0.01, "ratio": 1.0, "training_images": 9}


def result(changes=None, memorization=None, extractor=None):
    distances = copy.deepcopy(DISTANCES)
    for name, values in (changes or {}).items():
        distances[name] = None if values is None else {**distances[name], **values}
    manifest = {"extractor": {"frechet": "FD (random network)", **(extractor or {})}}
    kept = {name: values for name, values in distances.items() if values is not None}
    copies = {**MEMORIZATION, **(memorization or {})}
    return EvaluationResult(manifest, kept, copies, {}, {})


def texts(findings):
    return [finding.text for finding in findings]


def test_all_is_well():
    findings = verdict.verdict(result(), HELD_OUT)
    assert len(findings) == 5 and all(finding.good for finding in findings)
    best, second, overfits, copies, contrast = texts(findings)
    assert best == (
        "The best samples are those of GEN-2 normalized: FD (random network) 0.400 +-"
        " 0.020; next: mixture of 10, 0.500 +- 0.020."
    )
    assert second.startswith("Stage 2 is better than a Gaussian mixture")
    assert overfits.startswith("Stage 1 does not overfit: its held-out loss ended at")
    assert (
        "Stage 2 does not overfit: mean log density -66.0 nats on training" in overfits
    )
    assert "are not copies" in copies and "1.0%" in copies
    assert "have the contrast" in contrast and "95%" in contrast


@pytest.mark.parametrize(
    ("changes", "number", "text"),
    [
        ({"GEN-1": {"frechet": 0.1}}, 0, "those of GEN-1"),
        ({"GEN-2 normalized": {"frechet": 0.7}}, 1, "worse than a Gaussian mixture"),
        ({"GEN-2 noise": {"latent_nats": -80}}, 2, "Stage 2 overfits: .* Use fewer"),
        ({"GEN-2 normalized": {"contrast": 0.8}}, 4, "lose part of the contrast"),
    ],
)
def test_what_is_wrong_is_reported(changes, number, text):
    findings = verdict.verdict(result(changes), HELD_OUT)
    assert [each.good for each in findings].index(False) == number
    assert re.search(text, findings[number].text)


def test_a_difference_within_two_standard_errors_is_none():
    findings = verdict.verdict(result({"GEN-2 normalized": {"frechet": 0.45}}))
    assert "no worse within the error: mixture of 10" in findings[0].text
    assert "is as good as" in findings[1].text and findings[1].good


def test_a_loss_that_rises_again_is_overfitting():
    rising = TrainingLosses(held_out=[-100.0, -1000.0, -900.0])
    overfits = verdict.verdict(result(), rising)[2]
    assert not overfits.good and "the lowest was -1000." in overfits.text
    flat = TrainingLosses(held_out=[-100.0, -1000.0, -995.0])
    assert verdict.verdict(result(), flat)[2].good


def test_a_much_larger_error_on_held_out_images_is_said():
    falling = [-100.0, -1000.0]
    near = TrainingLosses(None, falling, 0.01, 0.0149)
    assert verdict.verdict(result(), near)[2].good
    far = verdict.verdict(result(), dataclasses.replace(near, held_out_error=0.02))[2]
    assert not far.good
    assert "Stage 1 does not overfit" in far.text
    assert "2.0 times as large on held-out images (0.02) as on training" in far.text


def test_the_losses_of_a_run_end_with_the_epoch_that_was_kept(tmp_path):
    """Later ones, which `patience` waited for in vain, do not make it overfit."""
    (tmp_path / "stage1").mkdir()
    rows = [
        "epoch,reconstruction,kl,mse,val_loss,val_mse",
        "1,-90,10,0.03,-70,0.04",
        "2,-190,20,0.02,-150,0.03",
        "3,-290,30,0.01,-50,0.05",
    ]
    (tmp_path / "stage1" / "history.csv").write_text("\n".join(rows))
    whole = html_report.training_losses(tmp_path)
    assert whole == TrainingLosses(-260.0, [-70.0, -150.0, -50.0], 0.01, 0.05)
    (tmp_path / "results.json").write_text('{"stage1": {"epoch": 2}}')
    kept = html_report.training_losses(tmp_path)
    assert kept == TrainingLosses(-170.0, [-70.0, -150.0], 0.02, 0.03)
    (tmp_path / "results.json").write_text('{"stage1": {"epoch": 0}}')
    assert html_report.training_losses(tmp_path) == TrainingLosses()


@pytest.mark.parametrize(("training", "good"), [(-75.0, False), (-3.0, True)])
def test_without_held_out_images_the_gap_to_test_images_decides(training, good):
    found = dataclasses.replace(
        result({"GEN-2 noise": {"latent_nats": None}}),
        likelihood={"evidence": -12.486, "evidence_error": 5.3},
    )
    found.manifest["data"] = {"shape": [1797, 8, 8, 1]}
    overfits = verdict.verdict(found, TrainingLosses(training))[2]
    assert overfits.good == good
    assert f"{training:.1f} nats on training images and 12.5 on" in overfits.text
    assert ("Hold images out" in overfits.text) == (not good)


def cifar10(training, evidence, training_error, test_error):
    """The sentence on the papers' recipe for CIFAR-10."""
    found = dataclasses.replace(
        result({"GEN-2 noise": {"latent_nats": None}, "REC": {"mse": test_error}}),
        likelihood={"evidence": evidence, "evidence_error": 100.0},
    )
    found.manifest["data"] = {"shape": [10000, 32, 32, 3]}
    return verdict.verdict(found, TrainingLosses(training, (), training_error))[2]


def test_a_test_error_that_rises_while_the_training_error_falls_is_overfitting():
    """After 50, 68 and 100 epochs, docs/notes/results/balancing.md."""
    assert cifar10(-2759, 2176, 0.00889, 0.01134).good
    assert not cifar10(-2916, 2011, 0.00801, 0.01160).good
    last = cifar10(-3094, 1770, 0.00707, 0.01179)
    assert not last.good and "Stage 1 overfits" in last.text
    assert "1.7 times as large on test images (0.0118) as on training" in last.text


def test_a_much_larger_error_on_test_images_is_overfitting_by_itself():
    found = cifar10(-2000, 1990, 0.01, 0.016)
    assert not found.good and "Stage 1 overfits" in found.text
    assert cifar10(-2000, 1990, 0.01, 0.0149).good
    assert cifar10(-2000, 1990, None, 0.0149).good  # not known


@pytest.mark.parametrize("found", [{"closer": 0.2}, {"ratio": 0.5}])
def test_copies_are_reported(found):
    copies = verdict.verdict(result(memorization=found))[3]
    assert not copies.good and "may be copies" in copies.text


@pytest.mark.parametrize(
    ("nats", "good"),
    [
        ((-77.4, -85.5, -85.6, -86.3), False),  # CIFAR-10, 200 epochs: 8.2 become .8
        ((-80.4, -82.0, -84.7, -85.4), True),  # 60 epochs: 4.3 become 3.4
        ((-46.3, -46.8, -51.2, -52.0), True),  # 2,710 sprites
        ((-20.7, -22.5, -22.9, -23.0), True),  # digits: 2.1 become .6, within a nat
        ((-57.0, -120.5, -68.0, -68.3), False),  # 9,000 faces
    ],
)
def test_what_stage_2_gains_on_training_latents_should_be_left_on_test_latents(
    nats, good
):
    keys = ("training_latent_nats", "latent_nats")
    changes = {
        "GEN-2 noise": dict(zip(keys, nats[:2], strict=True)),
        "Gaussian": dict(zip(keys, nats[2:], strict=True)),
    }
    assert verdict.verdict(result(changes))[2].good == good


def test_an_undertrained_second_stage_does_not_overfit():
    changes = {"GEN-2 noise": {"training_latent_nats": -90, "latent_nats": -99}}
    assert verdict.verdict(result(changes))[2].good


def test_stage_1_alone_has_fewer_findings():
    alone = {name: None for name in DISTANCES if name.startswith("GEN-2")}
    findings = verdict.verdict(result(alone))
    assert len(findings) == 3 and "mixture of 10" in findings[0].text


def test_the_distance_at_infinity_comes_first_where_the_extractor_says_so():
    infinite = {"headline": "frechet_infinite"}
    changes = {
        name: {
            "frechet_infinite": 1.0 if name == "GEN-2 noise" else 3.0,
            "frechet_infinite_error": 0.5,
        }
        for name in DISTANCES
    }
    found = result(changes, extractor=infinite)
    assert (
        "GEN-2 noise: FD (random network) at infinity 1.00 +- 0.50;"
        in texts(verdict.verdict(found))[0]
    )
    assert "at infinity" in tables.distance_table(found).header[1]
    without_error = {name: {"frechet_infinite": 1.0} for name in DISTANCES}
    too_few = result(without_error, extractor=infinite)
    assert "at infinity" not in texts(verdict.verdict(too_few))[0]
    table = tables.distance_table(too_few)
    column = table.header.index("FD (random network) at infinity")
    assert [row[column] for row in table.rows] == ["1.000"] * len(DISTANCES)
    assert "at infinity" not in " ".join(tables.distance_table(result()).header)


@pytest.mark.parametrize(
    ("value", "error", "text"),
    [
        (0.43412, 0.0341, "0.434 +- 0.034"),
        (86.951, 0.84, "86.95 +- 0.84"),
        (1234.5, 21.7, "1234 +- 22"),
        (992.2, 312.0, "992 +- 312"),
        (2.5, 0.0, "2.5 +- 0"),
        (0.0000123, 0.0000004, "0.000012 +- 0.000000"),
    ],
)
def test_numbers_have_the_digits_that_their_error_allows(value, error, text):
    assert plus_minus(value, error) == text


def test_an_infinite_error_is_no_crash():
    assert rounded(1.5, float("nan")) == "1.5"


def test_every_word_of_the_tables_is_explained():
    found = terms(result())
    columns = [*tables.DISTANCES, *tables.LATENTS, *tables.NORMALITY]
    known = {column.title for column in columns} - {"latents"}
    assert known <= set(found) and set(DISTANCES) <= set(found)
    assert set(TERMS) <= set(found)


def test_copies_are_not_judged_by_blurred_samples_or_repeated_images():
    """Both look like copies, or hide them, by their distances alone."""
    near = {"closer": 0.74, "ratio": 0.33}
    blurred = verdict.verdict(result({"GEN-1": {"contrast": 0.39}}, near))[3]
    assert not blurred.good and "cannot be judged: they have 39%" in blurred.text
    repeated = verdict.verdict(result(None, {"ratio": 9e6, "repeated": 0.6}))[3]
    assert not repeated.good and "60% of the test images equal" in repeated.text


def test_repeated_test_images_are_counted():
    generator = np.random.default_rng(0)
    train, other = generator.normal(size=(2, 200, 8))
    test = np.concatenate([train[:30], other[:70]])
    found = memorization(other[100:], train, test=test)
    assert found["repeated"] == pytest.approx(0.3)


def test_repeated_images_do_not_hide_copies():
    generator = np.random.default_rng(0)
    train, other = generator.normal(size=(2, 200, 8))
    test = np.concatenate([train[:10], other[:190]])
    near = train + 0.01 * generator.normal(size=train.shape)
    found = memorization(near, train, test=test)
    assert found["repeated"] == pytest.approx(0.05)
    assert found["closer"] > 0.9 and found["ratio"] < 0.1


def test_distances_over_the_same_halves_differ_by_less_than_their_errors():
    """A difference of one error is clear where nearly all halves have it."""
    halves = [0.38, 0.42, 0.40, 0.39]
    for mixture, relation in (
        ([0.401, 0.439, 0.42, 0.411], "next"),
        ([0.44, 0.40, 0.42, 0.43], "no worse within the error"),
        (None, "no worse within the error"),  # a result of an earlier version
    ):
        changes = {
            "GEN-2 normalized": {"frechet_halves": halves},
            "mixture of 10": {"frechet": 0.42, "frechet_halves": mixture},
        }
        best = texts(verdict.verdict(result(changes)))[0]
        assert f"; {relation}: mixture of 10" in best, mixture
