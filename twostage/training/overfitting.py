"""Whether a training went on for too long, by its held-out losses."""

import logging
from collections.abc import Sequence

logger = logging.getLogger(__name__)

MAX_RISE = 0.01  # of the held-out loss above its least, as a part of that
MIN_NATS = 1.0


def warn_of_overfitting(rows: Sequence[dict[str, float]]) -> bool:
    """Warns where the held-out loss has risen from its least by more than a hundredth
    of that, and by more than a nat.

    Args:
        rows: The history, a dict per epoch; `val_loss` in some of them.

    Returns:
        Whether it did.
    """
    losses = {
        epoch: row["val_loss"] for epoch, row in enumerate(rows, 1) if "val_loss" in row
    }
    if not losses:
        return False
    last = list(losses.values())[-1]
    best = min(losses, key=lambda epoch: losses[epoch])
    least = losses[best]
    if last - least <= max(MAX_RISE * abs(least), MIN_NATS):
        return False
    logger.warning(
        "the training overfits: the held-out loss was least after epoch %d, %.5g nats,"
        " and is %.5g now. Use fewer epochs, a smaller network or more images;"
        " `patience` keeps the best epoch",
        best,
        least,
        last,
    )
    return True
