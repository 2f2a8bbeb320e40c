"""Checks of a callback's arguments."""

import math

import numpy as np


def whole(name: str, value: object, least: int) -> int:
    """A whole number of at least `least`, as an int; 2.0 is one.

    Raises:
        ValueError: any other value, such as 1.5, NaN, "2" or True. As a number of
            epochs each of them would measure at the wrong ones, or never.
    """
    if (
        isinstance(value, (int, float, np.integer, np.floating))
        and not isinstance(value, bool)
        and math.isfinite(value)
        and value == int(value) >= least
    ):
        return int(value)
    raise ValueError(
        f"received {name}={value!r}, expected a whole number of at least {least}"
    )
