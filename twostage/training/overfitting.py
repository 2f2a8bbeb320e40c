"""Whether a training ran for too long, by its held-out losses."""

import logging
from collections.abc import Sequence

from twostage.metrics.overfitting import has_risen

logger = logging.getLogger(__name__)


def warn_of_overfitting(rows: Sequence[dict[str, float]]) -> bool:
    """Warns where the held-out loss has risen again (`has_risen`).

    Args:
        rows: The history, a dict per epoch; `val_loss` in some of them.

    Returns:
        Whether it did.
    """
    losses = {
        epoch: row["val_loss"] for epoch, row in enumerate(rows, 1) if "val_loss" in row
    }
    values = list(losses.values())
    if not has_risen(values):
        return False
    best = min(losses, key=lambda epoch: losses[epoch])
    logger.warning(
        "the training overfits: the held-out loss was lowest after epoch %d, %.5g nats,"
        " and is %.5g now. Use fewer epochs, a smaller network or more images;"
        " `patience` keeps the best epoch",
        best,
        losses[best],
        values[-1],
    )
    return True
