"""An epoch in one line: its main metrics, as many as fit."""

import math
from collections.abc import Mapping, Sequence

# What the line shows of the logs, and under which name; what matters most comes first.
METRICS = {
    "mse": "mse",
    "val_mse": "val_mse",
    "kl": "kl",
    "gamma": "gamma",
    "active_latents": "active",
    "val_loss": "val_loss",
    "loss": "loss",
    "val_kl": "val_kl",
    "variance_law": "law",
}
METRICS_OF_BAR = ("loss", "mse", "kl", "gamma")
MINUTE, HOUR, DAY = 60, 3600, 86400


def metrics(
    logs: Mapping[str, float], latents: int, names: Sequence[str] = tuple(METRICS)
) -> list[str]:
    """`name value` of each metric that was measured.

    Args:
        logs: The epoch's, or the step's.
        latents: Width of z, beside the active ones.
        names: Which metrics, in order.
    """
    measured = [name for name in names if not math.isnan(logs.get(name, math.nan))]
    return [f"{METRICS[name]} {_value(name, logs[name], latents)}" for name in measured]


def _value(name: str, value: float, latents: int) -> str:
    if name == "active_latents":
        return f"{value:.0f}/{latents}"
    return number_text(value)


def line(
    head: Sequence[str],
    shown: Sequence[str],
    tail: Sequence[str],
    width: int | None = None,
) -> str:
    """`head`, metrics and `tail`, with two spaces between; of the metrics as many, from
    the first, as fit into `width` characters (None: all).
    """
    count = len(shown)
    text = "  ".join([*head, *shown, *tail])
    while width is not None and count and len(text) > width:
        count -= 1
        text = "  ".join([*head, *shown[:count], *tail])
    return text[:width]


def number_text(value: float) -> str:
    """Three digits, as in .0123, 35.1 and -2106; 4.50e+15 for what is larger.

    Example:
        >>> number_text(0.0123), number_text(-2106.4), number_text(4.5e15)
        ('.0123', '-2106', '4.50e+15')
    """
    size = abs(value)
    if 999.5 <= size < 1e6:
        return f"{value:.0f}"
    if size and not 1e-4 <= size < 999.5:
        return f"{value:.2e}"
    text = f"{value:#.3g}".rstrip(".")
    return text.replace("0.", ".", 1) if 0 < size < 1 else text


def duration_text(seconds: float) -> str:
    """A time in its one or two largest units.

    Example:
        >>> duration_text(0.94), duration_text(100), duration_text(7500)
        ('0.9 s', '1 min 40 s', '2 h 5 min')
    """
    if seconds < 0.95:
        return f"{seconds:.1f} s"
    whole = round(seconds)
    if whole < MINUTE:
        return f"{whole} s"
    if whole < 10 * MINUTE:
        return f"{whole // MINUTE} min {whole % MINUTE} s"
    if whole < HOUR:
        return f"{whole // MINUTE} min"
    if whole < DAY:
        return f"{whole // HOUR} h {whole % HOUR // MINUTE} min"
    return f"{whole // DAY} d {whole % DAY // HOUR} h"
