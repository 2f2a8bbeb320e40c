"""Statistics of the latents of both stages."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from twostage.metrics.normality import normality
from twostage.models.posterior import EncodedDataset, draw_latents, encode_moments
from twostage.models.two_stage_models import TwoStageModels
from twostage.models.vae import VAE
from twostage.own_callbacks import callbacks
from twostage.sampling.latent_samplers import Sampler
from twostage.system.random_streams import Stream

MAX_ENCODED = 10_000  # training images whose latents are encoded
# edges of the latents' histograms, in standard deviations of the prior
HISTOGRAM_EDGES = np.linspace(-4, 4, 41)
LATENTS_IN_HISTOGRAMS = 8


def latent_metrics(
    models: TwoStageModels,
    train: EncodedDataset,
    *,
    samplers: Sequence[Sampler],
    seed: int,
) -> dict[str, Any]:
    """Statistics of stage 1's posterior over training images, how normal its draws and
    stage 2's are, and histograms of the most active latents.

    Args:
        models: Stage 2 may be missing.
        train: Stage 1's posterior over the training images, at most 10,000 of which
            count.
        samplers: The `Sampler`s whose latents the histograms show beside stage 1's.
        seed: Of the choice and the draws.

    Returns:
        dict in JSON's types: `posterior` and `posterior of stage 2`, with `normality`
        of each stage's draws, and `histograms`.
    """
    generator = np.random.default_rng((seed, Stream.STATISTICS_IMAGES))
    rows = np.sort(generator.permutation(len(train))[:MAX_ENCODED])
    moments = train.moments(rows)
    mean, log_var = moments[:, 0], moments[:, 1]
    z = draw_latents(moments, np.random.default_rng((seed, Stream.STATISTICS_Z)))
    drawn = {sampler.name: sampler.draw(MAX_ENCODED, seed) for sampler in samplers}
    found = {
        "posterior": posterior_statistics(mean, log_var),
        "normality": {"z of stage 1": normality(z)},
        "histograms": _histograms(
            most_active(mean, log_var)[:LATENTS_IN_HISTOGRAMS],
            {"z of stage 1": z, **drawn},
        ),
    }
    if models.stage2 is not None:
        statistics, normal = _stage2_statistics(models.stage2, z, seed)
        found["posterior of stage 2"] = statistics
        found["normality"]["u of stage 2"] = normal
    return found


def _stage2_statistics(
    stage2: VAE, z: np.ndarray, seed: int
) -> tuple[dict[str, Any], dict[str, float]]:
    """Of stage 2's posterior over latents z (N, k), and how normal its draws are."""
    moments = encode_moments(stage2, z)
    u = draw_latents(moments, np.random.default_rng((seed, Stream.STATISTICS_U)))
    return posterior_statistics(moments[:, 0], moments[:, 1]), normality(u)


def _histograms(latents: np.ndarray, draws: dict[str, np.ndarray]) -> dict[str, Any]:
    """Of some latents, by their numbers, over each array of draws (N, k)."""
    counts = {}
    for name, drawn in draws.items():
        columns = [np.clip(drawn[:, latent], -4, 4) for latent in latents]
        counts[name] = [
            np.histogram(column, HISTOGRAM_EDGES)[0].tolist() for column in columns
        ]
    return {
        "latents": latents.tolist(),
        "edges": HISTOGRAM_EDGES.round(4).tolist(),
        "counts": counts,
    }


def most_active(mean: np.ndarray, log_var: np.ndarray) -> np.ndarray:
    """The latents' numbers (k,), from the largest KL divergence to the smallest; of an
    autoencoder, where all are infinite, from the largest variance.
    """
    kl = callbacks.statistics.kl_per_latent(mean, log_var)
    activity = kl if np.isfinite(kl).all() else mean.var(0)
    return np.argsort(-activity, kind="stable")


def posterior_statistics(mean: np.ndarray, log_var: np.ndarray) -> dict[str, Any]:
    """Variance law, active latents, KL divergence (nats) and E[sigma^2] of each latent,
    of moments (N, k) in units in which the prior is N(0, I), in JSON's types.
    """
    statistics = callbacks.statistics
    by_variance, by_mean, by_kl = statistics.count_active(mean, log_var)
    by_sigma = int((statistics.mean_standard_deviation(log_var) < 0.8).sum())
    kl_per_latent = np.sort(statistics.kl_per_latent(mean, log_var))[::-1]
    return {
        "latents": mean.shape[1],
        "variance_law": float(statistics.variance_law(mean, log_var).mean()),
        "variance_law_sd": float(statistics.variance_law_sd(mean, log_var).mean()),
        "active": by_variance,
        "active_sd": by_sigma,
        "active_mu": by_mean,
        "active_kl": by_kl,
        "kl_per_latent": [
            float(kl) if np.isfinite(kl) else None for kl in kl_per_latent
        ],
        "posterior_variance": np.sort(statistics.mean_variance(log_var)).tolist(),
    }
