"""Plots of latents and curves, as images."""

import numpy as np

BLUE, GRAY, RED = (70, 110, 170), (200, 205, 215), (190, 60, 50)
BINS = 20


def latent_variances(mean, log_var, threshold=0.8, size=(640, 280)):
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


def _variance_bars(draw, posterior, of_means, threshold, place):
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


def _histogram(draw, posterior, place):
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


def curves(steps, values, title, size=(640, 320)):
    """A uint8 image of k curves: `values` (T, k) over `steps` (T,), the vertical axis
    from 0 to the largest value.
    """
    from PIL import Image, ImageDraw

    width, height = size
    image = Image.new("RGB", size, "white")
    draw = ImageDraw.Draw(image)
    left, right, top, base = 40, width - 20, 30, height - 30
    largest = max(float(np.nanmax(values)), 1e-9)
    x = left + (right - left) * (np.asarray(steps) - steps[0]) / max(
        steps[-1] - steps[0], 1
    )
    for i, latent in enumerate(np.argsort(values[-1])):
        shade = i / max(
            values.shape[1] - 1, 1
        )  # from blue, smallest at the end, to red
        color = (int(60 + 150 * shade), 90, int(180 - 130 * shade))
        draw.line(
            list(
                zip(x, base - (base - top) * values[:, latent] / largest, strict=True)
            ),
            fill=color,
        )
    for level in (0.0, largest / 2, largest):
        draw.text(
            (4, base - (base - top) * level / largest - 6), f"{level:.2f}", fill="black"
        )
    draw.line([left, top, left, base, right, base], fill="black")
    draw.text((left, 8), title, fill="black")
    for step, place in ((steps[0], left), (steps[-1], right - 50)):
        draw.text((place, base + 8), f"step {step:.0f}", fill="black")
    return np.asarray(image)
