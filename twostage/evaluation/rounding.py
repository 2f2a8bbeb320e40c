"""Numbers with as many digits as their error allows."""

import math

LEAST, MOST = 0, 6  # decimals


def rounded(value: float, error: float) -> str:
    """The number with the decimals that show two digits of its standard error.

    Example:
        >>> rounded(0.43412, 0.0341), rounded(1234.5, 21.7), rounded(2.5, 0)
        ('0.434', '1234', '2.5')
    """
    if not (math.isfinite(value) and math.isfinite(error)) or error <= 0:
        return f"{value:.4g}"
    decimals = 1 - math.floor(math.log10(error))
    return f"{value:.{min(max(decimals, LEAST), MOST)}f}"


def plus_minus(value: float, error: float) -> str:
    """The number and its standard error, such as `0.434 +- 0.034`."""
    return f"{rounded(value, error)} +- {rounded(error, error)}"
