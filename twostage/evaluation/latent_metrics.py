"""Statistics of the latents of both stages."""

import numpy as np

import callbacks
from twostage.metrics.normality import normality
from twostage.models.posterior import draw_latents, encode_dataset
from twostage.system.random_streams import Stream

MAX_ENCODED = 10_000  # training images whose latents are looked at


HISTOGRAM_EDGES = np.linspace(
    -4, 4, 41
)  # of the latents' histograms, in prior deviations


SHOWN_LATENTS = 8


def latent_metrics(models, train, samplers, seed):
    """Statistics of stage 1's posterior over training images, how normal its draws and
    stage 2's are, and histograms of the most active latents.

    Args:
        models: {stage1, stage2, normalizer}.
        train: Training images, of which at most 10,000 are encoded.
        samplers: The `Sampler`s whose latents the histograms show beside stage 1's.
        seed: Of the choice and the draws.
    """
    rows = np.sort(
        np.random.default_rng((seed, Stream.STATISTICS_IMAGES)).permutation(len(train))[
            :MAX_ENCODED
        ]
    )
    mean, log_var = encode_dataset(models["stage1"], train[rows])
    z = draw_latents(
        np.stack([mean, log_var], axis=1),
        np.random.default_rng((seed, Stream.STATISTICS_Z)),
    )
    found = {
        "posterior": _summary(mean, log_var),
        "normality": {"z of stage 1": normality(z)},
    }
    shown = most_active(mean, log_var)[:SHOWN_LATENTS]
    drawn = {
        "z of stage 1": z,
        **{sampler.name: sampler.draw(MAX_ENCODED, seed) for sampler in samplers},
    }
    counts = {
        name: [
            np.histogram(np.clip(of[:, latent], -4, 4), HISTOGRAM_EDGES)[0].tolist()
            for latent in shown
        ]
        for name, of in drawn.items()
    }
    found["histograms"] = {
        "latents": shown.tolist(),
        "edges": HISTOGRAM_EDGES.round(4).tolist(),
        "counts": counts,
    }
    if "stage2" in models:
        mean, log_var = encode_dataset(models["stage2"], z)
        found["posterior of stage 2"] = _summary(mean, log_var)
        found["normality"]["u of stage 2"] = normality(
            draw_latents(
                np.stack([mean, log_var], axis=1),
                np.random.default_rng((seed, Stream.STATISTICS_U)),
            )
        )
    return found


def most_active(mean, log_var):
    """The latents' numbers, from the largest KL divergence to the smallest; of an
    autoencoder, where all are infinite, from the largest variance.
    """
    kl = callbacks.statistics.kl_per_latent(mean, log_var)
    return np.argsort(-(kl if np.isfinite(kl).all() else mean.var(0)), kind="stable")


def _summary(mean, log_var):
    statistics = callbacks.statistics
    by_variance, by_mean, by_kl = statistics.count_active(mean, log_var)
    return {
        "latents": mean.shape[1],
        "variance_law": float(statistics.variance_law(mean, log_var).mean()),
        "variance_law_sd": float(statistics.variance_law_sd(mean, log_var).mean()),
        "active": by_variance,
        "active_sd": int((statistics.mean_deviation(log_var) < 0.8).sum()),
        "active_mu": by_mean,
        "active_kl": by_kl,
        "kl_per_latent": [
            float(kl) if np.isfinite(kl) else None
            for kl in np.sort(statistics.kl_per_latent(mean, log_var))[::-1]
        ],
        "posterior_variance": np.sort(statistics.mean_variance(log_var)).tolist(),
    }
