"""Stops a training that diverges, and names the last good checkpoint."""

import math
from collections.abc import Mapping
from pathlib import Path

import numpy as np

from twostage.errors import DivergedError
from twostage.models.vae import VAE
from twostage.own_callbacks import callbacks

FIX = "start another run, with a smaller `learning_rate` or a larger `gamma_floor`"


def check_logs(
    epoch: int, logs: Mapping[str, float], vae: VAE, checkpoints: Path | None = None
) -> None:
    """Raises `DivergedError` unless the loss is finite and the KL has not exploded.

    A KL above a million nats comes from a step that exploded. The loss may recover, but
    Adam's second moments then hold the encoder still for tens of thousands of steps.
    An autoencoder has no KL, and no variance that could explode.

    Args:
        epoch: Number of the epoch, from 1.
        logs: Its mean metrics, nats per example.
        vae: What is trained.
        checkpoints: Folder of the checkpoints; None: there are none.
    """
    if not math.isfinite(logs["loss"]):
        raise diverged(f"the loss of epoch {epoch} is {logs['loss']}", checkpoints)
    exploded = logs.get("kl", 0.0) > callbacks.nan_diagnosis.EXPLODED
    if exploded and vae.posterior_std is None:
        what = f"the KL of epoch {epoch} is {logs['kl']:.3g} nats: a step exploded"
        raise diverged(what, checkpoints)


def check_weights(
    epoch: int, arrays: Mapping[str, np.ndarray], checkpoints: Path
) -> None:
    """Raises `DivergedError` unless all weights, by name, are finite."""
    for values in arrays.values():
        if values.dtype.kind == "f" and not np.isfinite(values).all():
            raise diverged(f"the weights of epoch {epoch} are not finite", checkpoints)


def diverged(what: str, checkpoints: Path | None) -> DivergedError:
    """The error that says what happened, which checkpoint is left and what to do."""
    kept = ""
    if checkpoints is not None and any(checkpoints.glob("epoch-*.npz")):
        kept = f"; {checkpoints} keeps the last good checkpoint"
    elif checkpoints is not None:
        kept = "; there is no checkpoint yet"
    return DivergedError(f"{what}{kept}: {FIX}")
