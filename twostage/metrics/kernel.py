"""The kernel distance: an unbiased estimate of the squared maximum mean discrepancy."""

import numpy as np

BLOCK = 2_000  # rows of a kernel matrix that are in memory together


def kernel_distance(
    real: np.ndarray, generated: np.ndarray, *, paired: bool = False
) -> float:
    """MMD^2 under the kernel (x . y / d + 1)^3, unbiased, of features (N, d) and (M, d)
    (Binkowski et al. 2018, equation 4).

    All pairs count, where others average over subsets. It may be below zero, since its
    mean is exactly the squared distance. `paired`: row i of both is of one image, so
    that these pairs are left out, as a row's with itself are (Gretton et al. 2012,
    lemma 6).
    """
    n, m = len(real), len(generated)
    within_real = _within(real) / (n * (n - 1))
    within_generated = _within(generated) / (m * (m - 1))
    between = _sum(real, generated)
    if paired:
        between = (between - _own(real, generated).sum()) / (n * (n - 1))
    else:
        between = between / (n * m)
    return float(within_real + within_generated - 2 * between)


def _within(x: np.ndarray) -> float:
    """The sum of the kernel over all pairs of different rows."""
    return _sum(x, x) - _own(x, x).sum()


def _sum(x: np.ndarray, y: np.ndarray) -> float:
    """The sum of the kernel over all pairs of rows."""
    x, y = np.asarray(x, "float64"), np.asarray(y, "float64")
    blocks = (x[start : start + BLOCK] for start in range(0, len(x), BLOCK))
    return sum(((block @ y.T / x.shape[1] + 1) ** 3).sum() for block in blocks)


def _own(x: np.ndarray, y: np.ndarray) -> np.ndarray:
    """The kernel of each row of x with the same row of y."""
    products = np.asarray(x, "float64") * np.asarray(y, "float64")
    return (products.sum(1) / x.shape[1] + 1) ** 3
