"""The Frechet distance between Gaussians fitted to two sets of features."""

import numpy as np

from twostage.errors import InputError
from twostage.metrics.moments import Moments


def frechet_distance(real: Moments, generated: Moments) -> float:
    """|m1 - m2|^2 + tr(C1 + C2 - 2 (C1 C2)^(1/2)) of two `Moments`, in squared units of
    the features (Heusel et al. 2017, equation 6).

    The trace of the square root is the nuclear norm of A^T B for any factors A A^T =
    C1, B B^T = C2, which needs no square root of a matrix: with Cholesky factors it is
    the sum of the square roots of the eigenvalues of A^T C2 A; where a covariance is
    singular, the sum of the singular values of A^T B.
    """
    if real.mean.shape != generated.mean.shape:
        raise InputError(
            f"features of {len(real.mean)} and {len(generated.mean)} numbers",
            "the same extractor for both",
        )
    if min(real.count, generated.count) < 2:
        raise InputError(
            f"{real.count} and {generated.count} rows of features",
            "at least 2 of both",
        )
    a, a_sound = real.factor()
    b, b_sound = generated.factor()
    if a_sound and b_sound:
        values = np.linalg.eigvalsh(a.T @ generated.covariance @ a)  # of its lower half
        root = np.sqrt(np.maximum(values, 0)).sum()
    else:
        root = np.linalg.svd(a.T @ b, compute_uv=False).sum()
    difference = real.mean - generated.mean
    return float(difference @ difference + (a**2).sum() + (b**2).sum() - 2 * root)


def frechet_of(real: np.ndarray, generated: np.ndarray) -> float:
    """`frechet_distance` of two arrays of features, (N, d) and (M, d), in their squared
    units.
    """
    return frechet_distance(Moments(real), Moments(generated))


def least_rows(width: int) -> int:
    """The fewest rows of so many features that a distance is extrapolated from."""
    return 4 * width


def extrapolated(
    real: np.ndarray,
    generated: np.ndarray,
    *,
    sizes: int = 8,
    repeats: int = 4,
    seed: int = 0,
    paired: bool = False,
) -> tuple[float, float]:
    """The distance extrapolated to infinitely many rows: its line in 1/N, at 1/N = 0
    (Chong & Forsyth 2020). Arrays (N, d), shuffled or not.

    `sizes` numbers of rows, even in 1/N between an eighth of all (or twice the
    features, if that is more) and all; `repeats` random subsets of each, of the same
    rows where the sets are `paired` row by row: the line of others would pass below the
    distance, by as much as pairing saves at all rows.

    Returns:
        (distance at infinity, slope in 1/N), in squared units of the features. With few
        rows the distance is a little too low.

    Raises:
        InputError: fewer rows than four times the features: the distance is not linear
            in 1/N there.
    """
    generator = np.random.default_rng(seed)
    most, width = min(len(real), len(generated)), real.shape[1]
    if most < least_rows(width):
        raise InputError(
            f"{most} rows of {width} features",
            f"at least {least_rows(width)}",
            "the distance cannot be extrapolated from fewer",
        )
    inverse, distances = [], []
    for one in np.linspace(1 / most, 1 / max(most / 8, 2 * width), sizes):
        size = round(1 / one)
        for _ in range(repeats):
            rows = others = generator.choice(len(real), size, replace=False)
            if not paired:
                others = generator.choice(len(generated), size, replace=False)
            inverse.append(one)
            distances.append(frechet_of(real[rows], generated[others]))
    slope, distance = np.polyfit(inverse, distances, 1)
    return float(distance), float(slope)
