"""Statistics of batch normalization: those of the trained model, or re-estimated ones;
held-out images show which are better.
"""

from __future__ import annotations

import contextlib
import dataclasses
import functools
from collections.abc import Iterator
from typing import Any

import keras
import numpy as np

from twostage.errors import InputError
from twostage.metrics.likelihood_bounds import bounds
from twostage.models.recalibrate import recalibrate
from twostage.models.vae import VAE
from twostage.system.progress import announced, progress
from twostage.system.random_streams import Stream

TRAINED, RECALIBRATED = "as trained", "recalibrated on training images"
MAX_DECIDING_IMAGES = 2_000  # held-out images that decide


@dataclasses.dataclass(frozen=True)
class _Split:
    """Images that statistics are re-estimated on, and held-out ones that decide."""

    train: np.ndarray
    held_out: np.ndarray
    decided_by: str


def recalibrate_if_better(
    vae: VAE, train: np.ndarray, validation: np.ndarray | None = None, *, seed: int = 0
) -> dict[str, Any]:
    """Recalibrates `vae`, and restores its statistics unless that raised the evidence
    bound (kappa 1) of validation images.

    Args:
        vae: Stage 1, changed in place.
        train: uint8 images (N, height, width, channels) that it was trained on.
        validation: Images that decide; None: random training images, which the
            recalibration leaves out.
        seed: Of the choice of images and of z; both modes get the same.

    Returns:
        dict in JSON's types: `chosen`, the mode; `evidence` of each mode, nats per
        image; `gain` of the recalibration and its `gain_error`, one standard error over
        the images; `images`, their number; `decided_by`, which they are.

    Raises:
        InputError: an autoencoder, or too few images to decide.
    """
    if vae.posterior_std == 0:
        raise InputError(
            "an autoencoder, which has no evidence bound",
            "a VAE to choose the batch normalization of",
            "drop `recalibrate`",
        )
    split = _split(train, validation, seed)
    weights = [weight.copy() for weight in vae.get_weights()]
    before = _evidence(vae, split.held_out, seed)
    with announced("batch normalization: measured on training images"):
        recalibrate(vae, split.train, seed=seed)
    gains = _evidence(vae, split.held_out, seed) - before
    better = bool(gains.mean() > 0)
    if not better:
        vae.set_weights(weights)
    return {
        "chosen": RECALIBRATED if better else TRAINED,
        "evidence": {
            TRAINED: float(before.mean()),
            RECALIBRATED: float((before + gains).mean()),
        },
        "gain": float(gains.mean()),
        "gain_error": float(gains.std(ddof=1) / len(gains) ** 0.5),
        "images": len(split.held_out),
        "decided_by": split.decided_by,
    }


def _evidence(vae: VAE, images: np.ndarray, seed: int) -> np.ndarray:
    """Of each image (N,), nats."""
    label = f"evidence of {len(images):,} images"
    shown = functools.partial(progress, label=label)
    return bounds(vae, images, samples=1, seed=seed, progress=shown)["evidence"]


def _split(train: np.ndarray, validation: np.ndarray | None, seed: int) -> _Split:
    generator = np.random.default_rng((seed, Stream.RECALIBRATION_IMAGES))
    if validation is not None:
        rows = generator.permutation(len(validation))[:MAX_DECIDING_IMAGES]
        held_out = validation[np.sort(rows)]
        split = _Split(train, held_out, "held-out images")
    else:
        order = generator.permutation(len(train))
        count = min(MAX_DECIDING_IMAGES, len(train) // 10)
        held_out, others = train[np.sort(order[:count])], train[np.sort(order[count:])]
        split = _Split(
            others,
            held_out,
            "training images that the recalibration left out: the data have no"
            " validation split",
        )
    if len(split.held_out) < 2:
        raise InputError(
            f"{len(split.held_out)} images to choose the batch normalization by",
            "at least 2",
            "give more training images",
        )
    return split


@contextlib.contextmanager
def restored(model: keras.Model) -> Iterator[None]:
    """Within: the model may change; afterwards all its variables are as before."""
    values = [keras.ops.convert_to_numpy(variable) for variable in model.variables]
    copies = [np.array(value) for value in values]
    try:
        yield
    finally:
        for variable, value in zip(model.variables, copies, strict=True):
            variable.assign(value)


def summary(choice: dict[str, Any]) -> str:
    """One line about what `recalibrate_if_better` returned."""
    return (
        f"batch normalization: {choice['chosen']}; re-estimating changes the bound"
        f" (ELBO) by {choice['gain']:+.2f} +- {choice['gain_error']:.2f} nats per image"
        f" on {choice['images']:,} {choice['decided_by']}"
    )
