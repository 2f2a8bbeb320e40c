"""The settings of each preset, as differences from the defaults."""

from typing import Any

from twostage.config import Stage1Config, Stage2Config
from twostage.errors import InputError

# Differences from the configs' defaults, which are CIFAR-10's: (stage 1, stage 2).
# CIFAR-10 and CelebA: Asperti & Trentin's released code, which holds no images out.
# MNIST, Fashion and digits have no source; docs/notes/mnist.md lists what was tried.
_GREY_28 = (
    {
        "pad": 32,
        "held_out": 0.05,
        "base_dim": 16,
        "latent_dim": 32,
        "learning_rate": 1e-3,
        "epochs": 100,
        "halve_every": 30,
    },
    {
        "width": 1024,
        "learning_rate": 5e-4,
        "epochs": 200,
        "halve_every": 60,
        "patience": 40,
        "sampling": "auto",
    },
)


# Their other settings follow from the images: twostage/training/auto.py.
AUTO = "auto"

PRESETS = {
    AUTO: ({"held_out": 0.05, "schedule": "cosine"}, {"schedule": "cosine"}),
    "digits": (
        {
            "held_out": 0.05,
            "num_scale": 2,
            "latent_dim": 16,
            "fc_dim": 256,
            "learning_rate": 1e-3,
            "epochs": 120,
            "halve_every": 60,
        },
        {
            "width": 512,
            "learning_rate": 1e-3,
            "epochs": 400,
            "halve_every": 120,
            "patience": 80,
            "sampling": "auto",
        },
    ),
    "mnist": ({"data": "mnist", **_GREY_28[0]}, _GREY_28[1]),
    "fashion_mnist": ({"data": "fashion_mnist", **_GREY_28[0]}, _GREY_28[1]),
    "cifar10": ({"data": "cifar10"}, {}),
    "celeba": (
        {
            "data": "celeba",
            "crop": "128",
            "side": 64,
            "num_scale": 4,
            "l2": 0.001,
            "kl_weight": 4.0,
            "epochs": 70,
            "learning_rate": 5e-5,
            "halve_every": 60,
        },
        {"width": 4096, "epochs": 140, "learning_rate": 5e-5, "halve_every": 120},
    ),
}


def resolve(stage: int, preset: str, **changes: Any) -> Any:
    """The config of stage 1 or 2: defaults, then the preset's differences, then
    `changes`.

    Raises:
        InputError: an unknown preset or field, or a value out of range; `minutes` with
            a preset whose number of epochs is fixed.
    """
    if preset not in PRESETS:
        raise InputError(
            f"received preset {preset!r}, expected one of {', '.join(PRESETS)}"
        )
    kind = (Stage1Config, Stage2Config)[stage - 1]
    config = kind.from_dict({**PRESETS[preset][stage - 1], **changes})
    if changes.get("minutes") and preset != AUTO:
        raise InputError(
            f"`minutes={changes['minutes']}` with the preset {preset}",
            f"`preset={AUTO!r}`, which alone fits its epochs to a time",
            "add it, or use `epochs` instead",
        )
    return config
