"""What is said of a training that diverges, with its last good checkpoint."""

from collections.abc import Mapping
from pathlib import Path

import numpy as np

from twostage.errors import DivergedError

FIX = (
    "start another run, with a smaller `learning_rate`, `optimizer='stable_adam'`, or a"
    " larger `gamma_floor`"
)


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
