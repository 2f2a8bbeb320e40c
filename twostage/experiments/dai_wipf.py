"""`python -m twostage.experiments.dai_wipf`: the two-stage VAE with a learned gamma
(Dai & Wipf 2019), with the settings of its code, on CIFAR-10 or CelebA.

The figures are those that Asperti & Trentin (Tables 2 and 4) and the authors' code
quote; rows without any are systems of the code.
"""

from twostage.experiments.table import Row

LENGTH, QUICK, SEEDS, DATA = 1000, 5, 1, "cifar10"
LEARNED = {
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
SECOND = {
    "gamma": "learned",
    "epochs": 2000,
    "halve_every": 600,
    "batch_size": 64,
    "learning_rate": 1e-4,
    "width": 1024,
    "sampling": "noise",
}
CELEBA = {
    "stage1": {"epochs": 400, "halve_every": 150},
    "stage2": {"epochs": 800, "halve_every": 300},
}  # what differs there
TOLD = {
    "GEN-1, CIFAR-10": "76.7 +- .8",
    "GEN-2, CIFAR-10": "72.9 +- .9",
    "GEN-1, CelebA": "60.5 +- .6",
    "GEN-2, CelebA": "44.4 +- .7",
}
ROWS = [
    Row("resnet, learned", {"stage1": LEARNED, "stage2": SECOND}, TOLD),
    Row(
        "infogan, learned",
        {"stage1": {**LEARNED, "network": "infogan"}, "stage2": SECOND},
    ),
    Row(
        "infogan, gamma 1",
        {
            "stage1": {**LEARNED, "network": "infogan", "gamma": "fixed"},
            "stage2": SECOND,
        },
    ),
]


def measured(row, seed, found, setting):
    """A row of both stages. The paper's GEN-2 is with noise; ours has each way of
    sampling.
    """
    from pathlib import Path

    from twostage.experiments import two_stage_runs

    preset = "celeba" if "celeba" in Path(setting.data).name.lower() else "cifar10"
    if preset == "celeba":
        row = Row(
            row.name,
            {
                stage: {**settings, **CELEBA[stage]}
                for stage, settings in row.settings.items()
            },
        )
    return two_stage_runs.measured(row, seed, setting, LENGTH, preset)
