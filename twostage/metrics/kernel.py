"""The kernel distance: an unbiased estimate of the squared maximum mean discrepancy."""

import numpy as np

BLOCK = 2_000  # rows of a kernel matrix that are in memory together


def kernel_distance(real, generated, paired=False):
    """MMD^2 under the kernel (x . y / d + 1)^3, unbiased, of features (N, d) and (M, d)
    (Binkowski et al. 2018, equation 4).

    All pairs count, where others average over subsets. It may be below zero, since its
    mean is exactly the squared distance. `paired`: row i of both is of one image, so
    that these pairs are left out, as a row's with itself are (Gretton et al. 2012,
    lemma 6).
    """
    n, m = len(real), len(generated)
    within = (_sum(real, real) - _own(real, real).sum()) / (n * (n - 1)) + (
        _sum(generated, generated) - _own(generated, generated).sum()
    ) / (m * (m - 1))
    between = (
        _sum(real, generated) / (n * m)
        if not paired
        else (_sum(real, generated) - _own(real, generated).sum()) / (n * (n - 1))
    )
    return float(within - 2 * between)


def _sum(x, y):
    x, y = np.asarray(x, "float64"), np.asarray(y, "float64")
    return sum(
        ((x[i : i + BLOCK] @ y.T / x.shape[1] + 1) ** 3).sum()
        for i in range(0, len(x), BLOCK)
    )


def _own(x, y):
    return (
        (np.asarray(x, "float64") * np.asarray(y, "float64")).sum(1) / x.shape[1] + 1
    ) ** 3
