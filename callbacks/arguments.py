"""Checks of a callback's arguments."""

import math
from collections.abc import Callable
from typing import Any

import numpy as np


def is_number(value: Any) -> bool:
    """Whether it is one real number, Python's, NumPy's or a backend's; no bool."""
    return np.ndim(value) == 0 and np.asarray(value).dtype.kind in "fiu"


def whole(name: str, value: Any, least: int) -> int:
    """A whole number of at least `least`, as an int; 2.0 is one.

    Raises:
        ValueError: any other value, such as 1.5, NaN, "2" or True. As a number of
            epochs each of them would measure at the wrong ones, or never.
    """
    if is_number(value) and math.isfinite(value) and value == int(value) >= least:
        return int(value)
    raise ValueError(
        f"received {name}={value!r}, expected a whole number of at least {least}"
    )


def real(name: str, value: Any, valid: Callable[[Any], bool], expected: str) -> float:
    """A number for which `valid` holds, as a float.

    Raises:
        ValueError: any other value, such as NaN, "0.5" or True; it says what is
            `expected`.
    """
    if is_number(value) and valid(value):
        return float(value)
    raise ValueError(f"received {name}={value!r}, expected {expected}")


def text(name: str, value: Any) -> str:
    """A text, as it is.

    Raises:
        ValueError: it is none.
    """
    if isinstance(value, str):
        return value
    raise ValueError(f"received {name}={value!r:.80}, expected a text")


def function(name: str, value: Any, call: str) -> Any:
    """A function or None, as it is.

    Raises:
        ValueError: it is neither; `call` shows how it would be called.
    """
    if value is None or callable(value):
        return value
    raise ValueError(f"received {name}={value!r:.80}, expected a function, {call}")


def posterior_function(value: Any) -> Any:
    """`function` of what a callback takes as `posterior`."""
    return function("posterior", value, "posterior(model, x) -> (mean, log_var)")


def variance_threshold(value: Any) -> float:
    """`real` of a threshold on E[sigma^2]."""
    expected = "a number in (0, 1]"
    return real("threshold", value, lambda number: 0 < number <= 1, expected)
