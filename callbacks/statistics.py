"""Statistics of q(z | x) over a data set: pure functions of mean and log_var, each (N,
k), in units in which the prior is N(0, I). They return one value per latent, (k,).
"""

import numpy as np


def mean_variance(log_var: np.ndarray) -> np.ndarray:
    """E[sigma^2] over the data: 1 where a latent carries nothing, 0 if it is exact."""
    return np.exp(log_var).mean(axis=0)


def mean_standard_deviation(log_var: np.ndarray) -> np.ndarray:
    """E[sigma] over the data, which Asperti & Trentin's code has where the paper has
    E[sigma^2].
    """
    return np.exp(log_var / 2).mean(axis=0)


def variance_law(mean: np.ndarray, log_var: np.ndarray) -> np.ndarray:
    """Var[mu] + E[sigma^2], the variance of the aggregate posterior: 1 where it matches
    the prior (Asperti & Trentin, equation 6).
    """
    return mean.var(axis=0) + mean_variance(log_var)


def variance_law_sd(mean: np.ndarray, log_var: np.ndarray) -> np.ndarray:
    """Var[mu] + E[sigma]: what the authors' released code printed as the variance law.
    Never below it while sigma < 1.
    """
    return mean.var(axis=0) + mean_standard_deviation(log_var)


def kl_per_latent(mean: np.ndarray, log_var: np.ndarray) -> np.ndarray:
    """E[KL(q(z_i | x) || N(0, 1))] in nats (Kingma & Welling 2014, appendix B)."""
    # the formula of twostage/metrics/likelihood_bounds.py: this folder stands alone
    return 0.5 * (mean**2 + np.exp(log_var) - log_var - 1).mean(axis=0)


def count_active(
    mean: np.ndarray, log_var: np.ndarray, threshold: float = 0.8
) -> tuple[int, int, int]:
    """Latents in use, by three tests: E[sigma^2] < threshold (Asperti & Trentin),
    Var[mu] > 0.01 (Burda et al.), KL > 0.01 nats.
    """
    by_variance = mean_variance(log_var) < threshold
    by_mean = mean.var(axis=0) > 0.01
    by_kl = kl_per_latent(mean, log_var) > 0.01
    return int(by_variance.sum()), int(by_mean.sum()), int(by_kl.sum())
