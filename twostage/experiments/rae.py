"""Ghosh et al. 2020: regularized autoencoders with densities fitted afterwards.

The second stage is ours (three layers, computed gamma, batch 100) on the latents as
they are; the authors' auxiliary VAE has two layers, batch 64 and a fixed weight, on
standardized ones.
"""

import dataclasses
import math
from typing import Any

from twostage.experiments.experiment import Experiment, Result, Row, Setting

FULL_EPOCHS = 100
# The authors trained these rows shorter on CIFAR-10.
SHORT_EPOCHS = 70
SHORT_ROWS = ("RAE-GP", "CV-VAE", "WAE")
MIXTURES = (1, 10)
STAGE_2 = {"width": 1024, "epochs": 100, "halve_every": 50, "learning_rate": 1e-4}


@dataclasses.dataclass(frozen=True)
class MeanWeights:
    """Weights of the authors' losses of means.

    Args:
        latents: Of the mean of z^2.
        regularizer: Of the row's own regularizer.
    """

    latents: float = 0
    regularizer: float = 0


@dataclasses.dataclass(frozen=True)
class DataSettings:
    """The authors' settings on a data set.

    Args:
        dimensions: D, of an image after padding.
        channels: C, of an image.
        latents: k.
        autoencoders: Weights of each autoencoder by its row's name; AE has none.
        kl_weights: Weights of the divergence by the row's name, beside S / C for VAE
            and CV-VAE and beside S / D for WAE.
    """

    dimensions: int
    channels: int
    latents: int
    autoencoders: dict[str, MeanWeights]
    kl_weights: dict[str, float]


SETTINGS = {
    "mnist": DataSettings(
        dimensions=32 * 32,
        channels=1,
        latents=16,
        autoencoders={
            "RAE": MeanWeights(5e-4),
            "RAE-L2": MeanWeights(1e-4, 1e-7),
            "RAE-GP": MeanWeights(1e-4, 5e-8),
            "RAE-SN": MeanWeights(9e-3),
        },
        kl_weights={"VAE": 0.312, "CV-VAE": 0.039, "WAE": 0.03},
    ),
    "cifar10": DataSettings(
        dimensions=3 * 32 * 32,
        channels=3,
        latents=128,
        autoencoders={
            "RAE": MeanWeights(1e-2),
            "RAE-L2": MeanWeights(1e-3, 1e-6),
            "RAE-GP": MeanWeights(9e-4),
            "RAE-SN": MeanWeights(3e-2),
        },
        kl_weights={"VAE": 0.024, "CV-VAE": 9e-4, "WAE": 0.006},
    ),
}
# FID of samples from a mixture of 10, on MNIST and CIFAR-10.
COLUMNS = ("FID, MNIST", "FID, CIFAR-10")
PAPER = {
    "AE": ("10.66", "76.47"),
    "RAE": ("9.81", "76.28"),
    "RAE-L2": ("8.69", "74"),
    "RAE-GP": ("11.54", "-"),
    "RAE-SN": ("11.74", "75.30"),
    "VAE": ("17.66; N(0, I) 19.21", "N(0, I) 106"),
    "CV-VAE": ("17.87; one Gaussian 33.79", "86.64"),
    "WAE": ("9.39", "93.53"),
}
ROWS = [
    Row(name, {"stage2": STAGE_2}, dict(zip(COLUMNS, distances, strict=True)))
    for name, distances in PAPER.items()
]


def stage1(name: str, data: str) -> dict[str, Any]:
    """Settings of a `Stage1Config` for a row on a data set: the losses of means brought
    to S + W |z|^2, gamma^2 = 1/2.

    Args:
        name: Of the row.
        data: Name of the data set in `SETTINGS`.
    """
    settings = SETTINGS[data]
    common = {
        "network": "rae",
        "pad": 32,
        "latent_dim": settings.latents,
        "gamma": "fixed",
        "gamma_start": math.sqrt(0.5),
        "epochs": _epochs(name, data),
        "halve_every": 40,
    }
    if name in ("VAE", "CV-VAE"):
        return {**common, **_vae(name, settings)}
    if name == "WAE":
        return {**common, **_wae(settings)}
    return {**common, **_autoencoder(name, settings)}


def _epochs(name: str, data: str) -> int:
    shorter = data == "cifar10" and name in SHORT_ROWS
    return SHORT_EPOCHS if shorter else FULL_EPOCHS


def _vae(name: str, settings: DataSettings) -> dict[str, Any]:
    """The weight is beside S / C."""
    from twostage.likelihoods.conventions import gamma_of_mean_weight

    weight = settings.kl_weights[name]
    return {
        "gamma_start": gamma_of_mean_weight(weight, settings.channels),
        "learning_rate": 1e-4,
        "posterior": "constant" if name == "CV-VAE" else "gaussian",
    }


def _wae(settings: DataSettings) -> dict[str, Any]:
    """The weight is beside S / D."""
    return {
        "learning_rate": 1e-3,
        "posterior": "none",
        "divergence": "mmd",
        "kl_weight": settings.kl_weights["WAE"] * settings.dimensions,
    }


def _autoencoder(name: str, settings: DataSettings) -> dict[str, Any]:
    from twostage.likelihoods.conventions import rae_of_mean

    weights = settings.autoencoders.get(name, MeanWeights())
    latent_weight, regularizer_weight = rae_of_mean(
        weights.latents, weights.regularizer, settings.dimensions, settings.latents
    )
    regularizers = {
        "RAE-L2": {"l2": regularizer_weight},
        "RAE-GP": {"gradient_penalty": regularizer_weight},
        "RAE-SN": {"spectral_norm": True},
    }
    return {
        "learning_rate": 5e-4,
        "posterior": "none",
        "divergence": "l2",
        "kl_weight": latent_weight,
        **regularizers.get(name, {}),
    }


def measure(
    row: Row, seed: int, earlier: dict[str, Result], setting: Setting
) -> Result:
    """A row: one stage 1 and every density on it: N(0, I), one Gaussian, a mixture of
    ten, a second stage.
    """
    from twostage.experiments import two_stage_runs

    data = two_stage_runs.known_data(setting.data, SETTINGS, what="settings")
    settings = {"stage1": stage1(row.name, data), **row.settings}
    return two_stage_runs.measure_row(
        Row(row.name, settings),
        seed,
        setting=setting,
        full_epochs=FULL_EPOCHS,
        preset="mnist",
        mixtures=MIXTURES,
    )


EXPERIMENT = Experiment(
    name="rae",
    title=(
        "Regularized autoencoders with densities fitted afterwards (Ghosh et al. 2020),"
        " and what they are compared with, on MNIST or CIFAR-10."
    ),
    description=(
        "Weights and Frechet distances are those in the authors' code;"
        " where it gives one of N(0, I) or of one Gaussian, the table says so."
    ),
    rows=ROWS,
    measure=measure,
    full_epochs=FULL_EPOCHS,
    quick_epochs=3,
    seeds=1,
    data="mnist",
    measures_distances=True,
    takes_precision=True,
)
