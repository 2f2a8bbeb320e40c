"""Plots of latents, as images."""

from typing import Any

import numpy as np

BLUE, GRAY, RED = (70, 110, 170), (200, 205, 215), (190, 60, 50)
BINS = 20


def latent_variances(
    mean: np.ndarray,
    log_var: np.ndarray,
    threshold: float = 0.8,
    size: tuple[int, int] = (640, 280),
) -> np.ndarray:
    """A uint8 image of the latents (moments (N, k)), sorted by E[sigma^2]: bars
    E[sigma^2] on Var[mu], lines at 1 and the threshold; to the right the histogram of
    E[sigma^2] over twenty bins of [0, 1].
    """
    from PIL import Image, ImageDraw

    posterior, of_means = np.exp(log_var).mean(0), mean.var(0)
    width, height = size
    image = Image.new("RGB", size, "white")
    draw = ImageDraw.Draw(image)
    base, left, right = height - 30, 30, int(width * 0.68)
    order = np.argsort(posterior)
    _variance_bars(
        draw, posterior[order], of_means[order], threshold, (left, right, base)
    )
    _histogram(draw, posterior, (right + 40, width - 20, base))
    law = np.mean(posterior + of_means)
    active = int((posterior < threshold).sum())
    draw.text((left, 8), f"variance law {law:.3f}, {active} active", fill="black")
    return np.asarray(image)


def _variance_bars(
    draw: Any,
    posterior: np.ndarray,
    of_means: np.ndarray,
    threshold: float,
    place: tuple[int, int, int],
) -> None:
    """Var[mu] stacked on E[sigma^2], a bar per latent, in (left, right, base)."""
    left, right, base = place
    unit = (base - 40) / 1.25
    step = (right - left) / len(posterior)
    for i, (lower, upper) in enumerate(zip(posterior, of_means, strict=True)):
        x0, x1 = left + i * step, left + (i + 1) * step - 1
        split = base - unit * min(lower, 1.3)
        top = base - unit * min(lower + upper, 1.3)
        draw.rectangle([x0, split, max(x0, x1), base], fill=BLUE)
        draw.rectangle([x0, top, max(x0, x1), split], fill=GRAY)
    for level in (1.0, threshold):
        y = base - unit * level
        draw.line([left, y, right, y], fill=RED)
        draw.text((4, y - 6), f"{level:g}", fill="black")
    label = f"{len(posterior)} latents: E[sigma^2] (blue) + Var[mu] (gray)"
    draw.text((left, base + 8), label, fill="black")


def _histogram(draw: Any, posterior: np.ndarray, place: tuple[int, int, int]) -> None:
    """The histogram of E[sigma^2], in (left, right, base)."""
    left, right, base = place
    counts, _ = np.histogram(np.clip(posterior, 0, 1), bins=BINS, range=(0, 1))
    width = (right - left) / BINS
    for i, count in enumerate(counts):
        top = base - (base - 40) * count / counts.max()
        draw.rectangle(
            [left + i * width, top, left + (i + 1) * width - 1, base], fill=BLUE
        )
    draw.text((left, base + 8), "histogram of E[sigma^2], 0 to 1", fill="black")
