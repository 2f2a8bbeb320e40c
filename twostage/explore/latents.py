"""Sliders and paths through latents, for arrays."""

import numpy as np

PATHS = ("spherical", "linear")
REACH = 3.0  # a slider goes so far on either side of 0: N(0, 1) stays within
DECIMALS = 2  # of what a slider shows


def shown(z: np.ndarray) -> np.ndarray:
    """Latents as sliders show them: rounded to two decimals."""
    return np.round(np.asarray(z, "float64"), DECIMALS)


def reach(values: np.ndarray) -> float:
    """How far a slider goes on either side of 0: 3, or the next whole number where a
    value lies beyond.
    """
    return max(REACH, float(np.ceil(np.abs(values).max(initial=0))))


def edited(z: np.ndarray, latents: np.ndarray, values: np.ndarray) -> np.ndarray:
    """Latents (1, k) in which some have the values of their sliders.

    A slider shows two decimals: where it was not moved, the latent stays as it is to
    the last bit.

    Args:
        z: The latents that the sliders began with, (1, k).
        latents: The numbers of those that have sliders, (m,).
        values: Of the sliders, (m,).

    Example:
        >>> edited(np.array([[0.123, 1.0]]), np.array([0]), np.array([0.12]))
        array([[0.123, 1.   ]])
    """
    own = z[:, latents]
    moved = np.abs(np.asarray(values) - shown(own)) > 0.5 * 10**-DECIMALS
    result = np.array(z)
    result[:, latents] = np.where(moved, values, own)
    return result


def interpolated(
    first: np.ndarray, second: np.ndarray, steps: int, path: str = PATHS[0]
) -> np.ndarray:
    """Latents (steps, k) from one point to another; the ends are the points themselves.

    Args:
        first: (1, k).
        second: (1, k).
        steps: At least 2, both ends included.
        path: `"linear"`: a straight line. `"spherical"`: along the arc between them, so
            that latents of N(0, I) keep their norm (Shoemake 1985); a line where the
            points are parallel or one is 0.
    """
    t = np.linspace(0, 1, steps)[:, None]
    angle = _angle(first, second)
    if path == "linear" or np.sin(angle) < 1e-6:
        between = (1 - t) * first + t * second
    else:
        arcs = np.sin((1 - t) * angle) * first + np.sin(t * angle) * second
        between = arcs / np.sin(angle)
    between[0], between[-1] = first[0], second[0]
    return between.astype("float32")


def _angle(first: np.ndarray, second: np.ndarray) -> float:
    """Between two points seen from 0, radians; 0 where one of them is 0."""
    norms = np.linalg.norm(first) * np.linalg.norm(second)
    cosine = np.vdot(first, second) / norms if norms else 1.0
    return float(np.arccos(np.clip(cosine, -1, 1)))
