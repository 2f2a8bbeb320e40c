"""How a VAE uses the targets and weights that `fit` is given."""

import logging
from collections.abc import Callable
from typing import Any

import numpy as np

logger = logging.getLogger(__name__)


class Targets:
    """Chooses what is reconstructed: the targets, where they have the data's shape,
    else the data. Labels are ignored, with one warning.
    """

    def __init__(self) -> None:
        self._warned = False

    def of(self, x: Any, y: Any, scale: Callable[[Any], Any]) -> Any:
        """The target of scaled data x (batch, ...)."""
        if y is None:
            return x
        if _shape(y) == tuple(x.shape[1:]):
            return scale(y)
        if not self._warned:
            self._warned = True
            logger.warning(
                "the data come with labels, which a VAE does not use: they are ignored"
            )
        return x


def check_targets(
    x: Any, y: Any, weights: Any = None, class_weights: Any = None
) -> Any:
    """The targets that Keras is given for data x: y; x itself where there are weights
    and no targets, for Keras drops weights without targets.

    Raises:
        ValueError: targets of another shape than the data; weights that are not one
            finite number of at least 0 per example; class weights.
    """
    if class_weights is not None:
        raise ValueError(
            "received class_weight, expected none: a VAE has no classes. Weight the"
            " examples: sample_weight=weights, of shape (N,)"
        )
    if y is not None and np.shape(y) != np.shape(x):
        raise ValueError(
            f"received targets y of shape {np.shape(y)}, expected data to reconstruct,"
            f" of x's shape {np.shape(x)}: leave labels out, fit(x)"
        )
    if weights is None:
        return y
    values = np.asarray(weights)
    if values.shape != np.shape(x)[:1]:
        raise ValueError(
            f"received sample_weight of shape {values.shape}, expected one weight per"
            f" example, {np.shape(x)[:1]}"
        )
    if not (np.isfinite(values).all() and (values >= 0).all()):
        raise ValueError(
            "received sample_weight with negative or not finite values, expected"
            " numbers of at least 0"
        )
    return x if y is None else y


def _shape(y: Any) -> tuple[int, ...] | None:
    """That of an example; None of what is no tensor."""
    return tuple(y.shape[1:]) if hasattr(y, "shape") else None
