"""The Frechet distance between Gaussians fitted to two sets of features."""

import numpy as np
from scipy import linalg

from twostage.errors import InputError
from twostage.metrics.moments import Moments


def frechet_distance(real, generated):
    """|m1 - m2|^2 + tr(C1 + C2 - 2 (C1 C2)^(1/2)) of two `Moments`, in squared units of
    the features (Heusel et al. 2017, equation 6).

    The trace of the square root is the nuclear norm of A^T B for any factors A A^T =
    C1, B B^T = C2, which needs no square root of a matrix: with Cholesky factors it is
    the sum of the square roots of the eigenvalues of A^T C2 A; where a covariance is
    singular, the sum of the singular values of A^T B.
    """
    if real.mean.shape != generated.mean.shape:
        raise InputError(
            f"received features of {len(real.mean)} and {len(generated.mean)} numbers,"
            " expected the same extractor for both"
        )
    if min(real.count, generated.count) < 2:
        raise InputError(
            f"received {real.count} and {generated.count} rows of features, expected at"
            " least 2 of both"
        )
    (a, a_sound), (b, b_sound) = real.factor(), generated.factor()
    if a_sound and b_sound:
        values = np.linalg.eigvalsh(a.T @ generated.covariance @ a)  # of its lower half
        root = np.sqrt(np.maximum(values, 0)).sum()
    else:
        root = linalg.svdvals(a.T @ b).sum()
    difference = real.mean - generated.mean
    return float(difference @ difference + (a**2).sum() + (b**2).sum() - 2 * root)


def frechet_of(real, generated):
    """`frechet_distance` of two arrays of features, (N, d) and (M, d)."""
    return frechet_distance(Moments(real), Moments(generated))


def extrapolated(real, generated, sizes=8, repeats=4, seed=0, paired=False):
    """The distance as both sets grow without end: its line in 1/N, at 1/N = 0 (Chong &
    Forsyth 2020). Arrays (N, d), shuffled or not.

    `sizes` numbers of rows, even in 1/N between an eighth of all (or twice the
    features, if that is more) and all; `repeats` random subsets of each, of the same
    rows where the sets are `paired` row by row: the line of others would pass below the
    distance, by as much as pairing saves at all rows.

    Returns (distance at infinity, slope in 1/N).

    Raises:
        InputError: fewer rows than four times the features: the distance is no line in
            1/N there.
    """
    generator, most, width = (
        np.random.default_rng(seed),
        min(len(real), len(generated)),
        real.shape[1],
    )
    if most < 4 * width:
        raise InputError(
            f"received {most} rows of {width} features, expected at least {4 * width}"
            " to extrapolate from"
        )
    inverse, found = [], []
    for one in np.linspace(1 / most, 1 / max(most / 8, 2 * width), sizes):
        for _ in range(repeats):
            rows = generator.choice(len(real), round(1 / one), replace=False)
            others = (
                rows
                if paired
                else generator.choice(len(generated), round(1 / one), replace=False)
            )
            inverse.append(one)
            found.append(frechet_of(real[rows], generated[others]))
    slope, distance = np.polyfit(inverse, found, 1)
    return float(distance), float(slope)
