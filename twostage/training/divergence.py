"""A training that diverges stops, and says which checkpoint is good."""

import math
from collections.abc import Mapping
from pathlib import Path

import numpy as np

from twostage.errors import DivergedError

FIX = "start another run, with a smaller `learning_rate` or a larger `gamma_floor`"


def check_loss(epoch: int, loss: float, checkpoints: Path | None = None) -> None:
    """Raises `DivergedError` unless the loss is finite.

    Args:
        epoch: Number of the epoch, from 1.
        loss: Its mean loss, nats per example.
        checkpoints: Folder of the checkpoints; None: there are none.
    """
    if not math.isfinite(loss):
        raise _diverged(f"the loss of epoch {epoch} is {loss}", checkpoints)


def check_weights(
    epoch: int, arrays: Mapping[str, np.ndarray], checkpoints: Path
) -> None:
    """Raises `DivergedError` unless all weights, by name, are finite."""
    for values in arrays.values():
        if values.dtype.kind == "f" and not np.isfinite(values).all():
            raise _diverged(f"the weights of epoch {epoch} are not finite", checkpoints)


def _diverged(what: str, checkpoints: Path | None) -> DivergedError:
    kept = ""
    if checkpoints is not None and any(checkpoints.glob("epoch-*.npz")):
        kept = f"; {checkpoints} keeps the last good checkpoint"
    elif checkpoints is not None:
        kept = "; there is no checkpoint yet"
    return DivergedError(f"{what}{kept}: {FIX}")
