"""How far a set of latents is from the prior N(0, I)."""

import numpy as np
from scipy import stats
from scipy.spatial.distance import cdist

BLOCK = 1_000


def normality(latents, seed=0, most=5_000):
    """Of latents (N, k), float64 throughout.

    Returns:
        dict: `mean_norm`, the length of their mean; `deviation`, the mean over latents
        of their standard deviations; `least_deviation`, `greatest_deviation`;
        `off_diagonal`, the root mean square of the correlations between latents;
        `skewness` and `excess_kurtosis`, root mean squares over latents (0 for a
        Gaussian); `energy_distance` to as many draws of N(0, I) (Szekely & Rizzo 2013,
        equation 5), unbiased, from at most `most` rows; `kolmogorov_smirnov`, mean and
        greatest over latents of the distance between each latent's distribution
        function and the normal one's, in [0, 1].
    """
    latents = np.asarray(latents, "float64")
    deviations = latents.std(0)
    correlations = (
        np.corrcoef(latents, rowvar=False)[~np.eye(latents.shape[1], dtype=bool)]
        if latents.shape[1] > 1
        else np.zeros(1)
    )
    smirnov = [stats.kstest(column, "norm").statistic for column in latents.T]

    def root(values):
        return float(np.sqrt(np.mean(np.square(values))))

    generator = np.random.default_rng(seed)
    some = latents[generator.permutation(len(latents))[:most]]
    return {
        "mean_norm": float(np.linalg.norm(latents.mean(0))),
        "deviation": float(deviations.mean()),
        "least_deviation": float(deviations.min()),
        "greatest_deviation": float(deviations.max()),
        "off_diagonal": root(np.nan_to_num(correlations)),
        "skewness": root(stats.skew(latents)),
        "excess_kurtosis": root(stats.kurtosis(latents)),
        "energy_distance": energy_distance(some, generator.standard_normal(some.shape)),
        "kolmogorov_smirnov": float(np.mean(smirnov)),
        "greatest_kolmogorov_smirnov": float(np.max(smirnov)),
    }


def energy_distance(x, y):
    """2 E|X - Y| - E|X - X'| - E|Y - Y'| over all pairs of different rows of (N, k) and
    (M, k): unbiased, so it may be below zero.
    """
    within = sum(_sum_of_distances(z, z) / (len(z) * (len(z) - 1)) for z in (x, y))
    return float(2 * _sum_of_distances(x, y) / (len(x) * len(y)) - within)


def _sum_of_distances(x, y):
    return sum(
        cdist(x[start : start + BLOCK], y).sum() for start in range(0, len(x), BLOCK)
    )
