"""How far a set of latents is from the prior N(0, I)."""

import numpy as np
from scipy import stats
from scipy.spatial.distance import cdist

BLOCK = 1_000  # rows of a distance matrix that are in memory together


def normality(
    latents: np.ndarray, *, seed: int = 0, most: int = 5_000
) -> dict[str, float]:
    """Of latents (N, k), float64 throughout.

    Returns:
        dict: `mean_norm`, the length of their mean; `deviation`, the mean over latents
        of their standard deviations; `least_deviation`, `greatest_deviation`;
        `off_diagonal`, the root mean square of the correlations between latents;
        `skewness` and `excess_kurtosis`, root mean squares over latents (of a latent
        that does not vary 0). N draws of N(0, I) have about (k / N)^.5, N^-.5, (6 /
        N)^.5 and (24 / N)^.5 of these, and not 0; `energy_distance` to as many
        draws of N(0, I) (Szekely & Rizzo 2013, equation 5), unbiased, from at most
        `most` rows, in the latents' unit; `kolmogorov_smirnov`, mean and greatest over
        latents of the distance between each latent's distribution function and the
        normal one's, in [0, 1].
    """
    latents = np.asarray(latents, "float64")
    stds = latents.std(0)
    smirnov = [stats.kstest(column, "norm").statistic for column in latents.T]
    generator = np.random.default_rng(seed)
    subset = latents[generator.permutation(len(latents))[:most]]
    normal = generator.standard_normal(subset.shape)
    return {
        "mean_norm": float(np.linalg.norm(latents.mean(0))),
        "deviation": float(stds.mean()),
        "least_deviation": float(stds.min()),
        "greatest_deviation": float(stds.max()),
        "off_diagonal": _root_mean_square(np.nan_to_num(_correlations(latents))),
        "skewness": _root_mean_square(np.nan_to_num(stats.skew(latents))),
        "excess_kurtosis": _root_mean_square(np.nan_to_num(stats.kurtosis(latents))),
        "energy_distance": energy_distance(subset, normal),
        "kolmogorov_smirnov": float(np.mean(smirnov)),
        "greatest_kolmogorov_smirnov": float(np.max(smirnov)),
    }


def _correlations(latents: np.ndarray) -> np.ndarray:
    """Between different latents."""
    width = latents.shape[1]
    if width == 1:
        return np.zeros(1)
    return np.corrcoef(latents, rowvar=False)[~np.eye(width, dtype=bool)]


def _root_mean_square(values: np.ndarray) -> float:
    return float(np.sqrt(np.mean(np.square(values))))


def energy_distance(x: np.ndarray, y: np.ndarray) -> float:
    """2 E|X - Y| - E|X - X'| - E|Y - Y'| over all pairs of different rows of (N, k) and
    (M, k), in their unit (Szekely & Rizzo 2013, equation 5): unbiased, so it may be
    below zero.
    """
    within = sum(_sum_of_distances(z, z) / (len(z) * (len(z) - 1)) for z in (x, y))
    return float(2 * _sum_of_distances(x, y) / (len(x) * len(y)) - within)


def _sum_of_distances(x: np.ndarray, y: np.ndarray) -> float:
    return sum(
        cdist(x[start : start + BLOCK], y).sum() for start in range(0, len(x), BLOCK)
    )
