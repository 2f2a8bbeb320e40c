"""Dai & Wipf 2019: the two-stage VAE with a learned gamma."""

from pathlib import Path
from typing import Any

from twostage.experiments.experiment import Experiment, Result, Row, Setting

FULL_EPOCHS = 1000
STAGE_1 = {
    "gamma": "learned",
    "epochs": 1000,
    "halve_every": 300,
    "batch_size": 64,
    "learning_rate": 1e-4,
    "kl_weight": 1.0,
    "l2": 0.0,
    "num_scale": 4,
    "base_dim": 16,
}
STAGE_2 = {
    "gamma": "learned",
    "epochs": 2000,
    "halve_every": 600,
    "batch_size": 64,
    "learning_rate": 1e-4,
    "width": 1024,
    "sampling": "noise",
}
# What differs on CelebA.
CELEBA = {
    "stage1": {"epochs": 400, "halve_every": 150},
    "stage2": {"epochs": 800, "halve_every": 300},
}
PAPER = {
    "GEN-1, CIFAR-10": "76.7 +- .8",
    "GEN-2, CIFAR-10": "72.9 +- .9",
    "GEN-1, CelebA": "60.5 +- .6",
    "GEN-2, CelebA": "44.4 +- .7",
}


def _settings(**stage1: Any) -> dict[str, Any]:
    return {"stage1": {**STAGE_1, **stage1}, "stage2": STAGE_2}


ROWS = [
    Row("resnet, learned", _settings(), PAPER),
    Row("infogan, learned", _settings(network="infogan")),
    Row("infogan, gamma 1", _settings(network="infogan", gamma="fixed")),
]


def measure(
    row: Row, seed: int, earlier: dict[str, Result], setting: Setting
) -> Result:
    """A row of both stages. The paper's GEN-2 is with noise; ours has each sampler."""
    from twostage.experiments import two_stage_runs

    preset = "cifar10"
    if "celeba" in Path(setting.data).name.lower():
        preset = "celeba"
        row = _on_celeba(row)
    return two_stage_runs.measure_row(
        row, seed, setting=setting, full_epochs=FULL_EPOCHS, preset=preset
    )


def _on_celeba(row: Row) -> Row:
    settings = {
        stage: {**settings, **CELEBA[stage]} for stage, settings in row.settings.items()
    }
    return Row(row.name, settings)


EXPERIMENT = Experiment(
    name="dai_wipf",
    title=(
        "The two-stage VAE with a learned gamma (Dai & Wipf 2019), with the settings of"
        " its code, on CIFAR-10 or CelebA."
    ),
    description=(
        "The numbers are those that Asperti & Trentin (Tables 2 and 4) and the authors'"
        " code quote; rows without any are systems of the code."
    ),
    rows=ROWS,
    measure=measure,
    full_epochs=FULL_EPOCHS,
    quick_epochs=5,
    seeds=1,
    data="cifar10",
    measures_distances=True,
    takes_precision=True,
)
