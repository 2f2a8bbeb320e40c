"""Whether a held-out loss has risen again."""

from collections.abc import Sequence

MAX_RISE = 0.01  # of the last loss above the least, as a part of the least
MIN_NATS = 1.0


def has_risen(losses: Sequence[float]) -> bool:
    """Whether the last loss, in nats, is above the least by more than a hundredth of
    that, and by more than a nat: a rule of our own, above the noise of a held-out loss.

    Example:
        >>> has_risen([50.0, 40.0, 45.0]), has_risen([50.0, 40.0, 40.5])
        (True, False)
    """
    if not losses:
        return False
    least = min(losses)
    return losses[-1] - least > max(MAX_RISE * abs(least), MIN_NATS)
