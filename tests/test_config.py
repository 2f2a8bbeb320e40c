"""Configs check themselves, and the command line shows their messages as flags."""

import dataclasses

import pytest

from twostage import InputError
from twostage.cli.arguments import stage_parser
from twostage.cli.errors import in_flags
from twostage.cli.export import _parser as export_parser
from twostage.config import UNUSED_WITH, Stage1Config, Stage2Config
from twostage.old_names import current_names
from twostage.presets import PRESETS, resolve


@pytest.mark.parametrize(
    ("kind", "settings", "words"),
    [
        (Stage1Config, {"epochs": -1}, "`epochs=-1`, expected more than 0"),
        (Stage1Config, {"epochs": 1.5}, "`epochs=1.5`, expected a value of type int"),
        (Stage1Config, {"epochs": True}, "`epochs=True`, expected a value of type int"),
        (Stage1Config, {"data": 3}, "`data=3`, expected a value of type str"),
        (Stage1Config, {"pad": -1}, "`pad=-1`, expected at least 0"),
        (Stage1Config, {"kl_weight": float("nan")}, "expected a finite number"),
        (Stage1Config, {"learning_rate": float("inf")}, "expected a finite number"),
        (Stage1Config, {"network": "vgg"}, "`network='vgg'`, expected one of resnet"),
        (Stage1Config, {"seed": 2**32}, "expected less than 2"),
        (
            Stage1Config,
            {"gamma": "scheduled"},
            "expected `gamma_from='RUN'` to take the curve from",
        ),
        (Stage1Config, {"gamma_from": "run"}, "expected no `gamma_from`"),
        (Stage1Config, {"gamma_start": 1e-4}, "below `gamma_floor=0.0011`"),
        (
            Stage2Config,
            {"gamma_start": 0.5, "initialization": "gaussian"},
            "`gamma_start=0.5` with `initialization='gaussian'`, expected no",
        ),
        (Stage1Config, {"posterior": "none"}, "which is infinite there"),
        (Stage1Config, {"spectral_norm": True}, "expected rae"),
        (Stage2Config, {"sampling": "magic"}, "expected one of mean, noise, normal"),
        (Stage2Config, {"width": 0}, "`width=0`, expected more than 0"),
    ],
)
def test_a_config_made_by_hand_is_checked(kind, settings, words):
    with pytest.raises(InputError, match=words):
        kind(**settings)


def test_settings_by_name():
    config = Stage1Config.from_dict({"epochs": 3, "kl_weight": 2})
    assert config.differences(Stage1Config(epochs=3, kl_weight=2.0)) == []
    assert config.differences(Stage1Config(epochs=4, kl_weight=2)) == ["epochs 3 -> 4"]
    with pytest.raises(InputError, match=r"unknown settings epoch, expected epochs$"):
        Stage1Config.from_dict({"epoch": 3})


def test_the_british_name_of_a_sampler_is_taken():
    """As files and commands of earlier versions have it."""
    assert Stage2Config(sampling="normalised") == Stage2Config(sampling="normalized")
    old = {"sampling": "normalised", "epochs": 3}
    assert Stage2Config.from_dict(old).sampling == "normalized"
    parser = stage_parser(2, "train-stage2")
    changes = vars(parser.parse_args(["--sampling", "normalised"]))
    assert resolve(2, "digits", sampling=changes["sampling"]).sampling == "normalized"
    assert export_parser().parse_args(["--method", "normalised"]).method == "normalized"


def test_settings_without_effect_are_named():
    names = ("halve_every", "gamma_rule", "gamma_multiplier", "epochs")
    assert Stage1Config().unused(names) == [
        "`gamma_multiplier=1.0` has no effect with `gamma='computed'`"
    ]
    learned = Stage2Config(gamma="learned", schedule="cosine")
    assert learned.unused(names) == [
        "`halve_every=400` has no effect with `schedule='cosine'`",
        "`gamma_rule='minimum'` has no effect with `gamma='learned'`",
    ]
    assert learned.unused(["epochs"]) == []
    rae = Stage1Config(network="rae", likelihood="bernoulli")
    assert rae.unused(["base_dim", "l2", "l2_of", "resize", "gamma_rule"]) == [
        "`gamma_rule='minimum'` has no effect with `likelihood='bernoulli'`",
        "`base_dim=32` has no effect with `network='rae'`",
        "`l2_of='sampling'` has no effect with `network='rae'`",
        "`l2_of='sampling'` has no effect with `l2=0.0`",
        "`resize='bilinear'` has no effect with `side=0`",
    ]


def test_the_table_of_unused_settings_names_settings_and_their_values():
    settings = {field.name: field for field in dataclasses.fields(Stage1Config)}
    for name, other, values in UNUSED_WITH:
        choices = settings[other].metadata["choices"] or (0, 0.0)
        assert name in settings and values and set(values) <= set(choices)


def test_the_british_name_of_a_setting_is_taken():
    assert Stage1Config.from_dict({"use_unlabelled": True}).use_unlabeled
    parser = stage_parser(1, "train-stage1")
    for flag in ("--use-unlabelled", "--use-unlabeled"):
        assert vars(parser.parse_args([flag]))["use_unlabeled"]
    assert "unlabelled" not in parser.format_help()


def test_names_of_earlier_versions_become_the_current_ones():
    old = {
        "manifest": {
            "run": "normalised",
            "batch_normalisation": "moving averages of training",
            "batch_normalisation_choice": {
                "chosen": "moving averages of training",
                "evidence": {"moving averages of training": 1.0},
            },
            "protocol": {"quantisation": "uint8, rounded"},
        },
        "distances": {"GEN-2 normalised": {"frechet": 1.0}, "GEN-2 mean": {}},
        "copying": {"kind": "GEN-2 normalised"},
        "rows": [{"sampling": "normalised"}, {"method": "normalised"}],
    }
    assert current_names(old) == {
        "manifest": {
            "run": "normalised",
            "batch_normalization": "as trained",
            "batch_normalization_choice": {
                "chosen": "as trained",
                "evidence": {"as trained": 1.0},
            },
            "protocol": {"quantization": "uint8, rounded"},
        },
        "distances": {"GEN-2 normalized": {"frechet": 1.0}, "GEN-2 mean": {}},
        "copying": {"kind": "GEN-2 normalized"},
        "rows": [{"sampling": "normalized"}, {"method": "normalized"}],
    }


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("pad them with `pad=32`", "pad them with --pad 32"),
        ("received `epochs=-1`", "received --epochs -1"),
        ("drop `partial`, or `resume=True`", "drop --partial, or --resume"),
        ("use `gamma='fixed'`", "use --gamma fixed"),
        ("`mixtures=[1, 10]`", "--mixtures 1 10"),
        ("received `kl_weight=nan`", "received --kl-weight nan"),
        ("`pad=-inf, side=f(1)`", "--pad -inf --side 'f(1)'"),
        ("call `model.build()` first", "call `model.build()` first"),
        ("`x=3` is no setting", "`x=3` is no setting"),
        ("a lone ` stays", "a lone ` stays"),
        (
            "`train_stage1(run='my runs/x', resume=True)` again",
            "`python -m twostage train-stage1 --run 'my runs/x' --resume` again",
        ),
    ],
)
def test_python_in_messages_becomes_flags(text, shown, monkeypatch):
    monkeypatch.setattr("sys.argv", ["/x/twostage/__main__.py"])
    assert in_flags(text) == shown


@pytest.mark.parametrize(
    ("program", "shown"),
    [
        ("/home/me/train_stage1.py", "`python train_stage1.py --run r --resume`"),
        ("/usr/bin/twostage", "`twostage train-stage1 --run r --resume`"),
        ("twostage.exe", "`twostage train-stage1 --run r --resume`"),
    ],
)
def test_advice_names_the_program_as_it_was_called(program, shown, monkeypatch):
    monkeypatch.setattr("sys.argv", [program])
    assert in_flags("`train_stage1(run='r', resume=True)`") == shown


@pytest.mark.parametrize("name", sorted(PRESETS))
@pytest.mark.parametrize("number", [1, 2])
def test_no_setting_of_a_preset_is_without_effect(name, number):
    config = resolve(number, name)
    assert config.unused(config.changed()) == []


def test_settings_that_are_not_the_defaults():
    assert Stage1Config().changed() == set()
    config = Stage1Config(epochs=7, gamma="learned", gamma_rule="ema")
    assert config.changed() == {"epochs", "gamma", "gamma_rule"}
    assert config.unused(config.changed()) == [
        "`gamma_rule='ema'` has no effect with `gamma='learned'`"
    ]
