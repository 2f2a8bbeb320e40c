"""What is measured of a run: distances between features, likelihoods of images, the
state of the latents. Dicts in JSON's types.
"""

import functools

import keras
import numpy as np

import callbacks
from twostage import sampling
from twostage.latents import encode, redraw
from twostage.likelihoods import readings
from twostage.metrics import bounds
from twostage.metrics.frechet import extrapolated, frechet_of
from twostage.metrics.half_samples import interval
from twostage.metrics.kernel import kernel_distance
from twostage.metrics.moments import Moments
from twostage.metrics.neighbours import nearest, neighbour_measures
from twostage.metrics.normality import normality

BATCH = 250  # images that go through a network together
MOST_NEIGHBOURS = 5_000  # rows between which all distances are taken
LATENTS = 10_000  # training images whose latents are looked at
EDGES = np.linspace(-4, 4, 41)  # of the latents' histograms, in prior deviations
SHOWN_LATENTS = 8


def distances(real, features, repeats, seed, paired=False):
    """Between the features of the reference (N, d) and of one kind of images (M, d);
    `paired`: of its reconstructions, row by row.
    """
    value, error, *_ = interval(
        frechet_of, real, features, repeats, seed, paired=paired
    )
    kernel, kernel_error, *_ = interval(
        functools.partial(kernel_distance, paired=paired),
        real,
        features,
        repeats,
        seed,
        paired=paired,
    )
    enough = min(len(real), len(features)) >= 4 * real.shape[1]
    infinite = (
        extrapolated(real, features, seed=seed, paired=paired)[0] if enough else None
    )
    some = [
        each[np.random.default_rng(seed).permutation(len(each))[:MOST_NEIGHBOURS]]
        for each in (real, features)
    ]
    return {
        "images": len(features),
        "frechet": value,
        "frechet_error": error,
        "frechet_infinite": infinite,
        "kernel": kernel,
        "kernel_error": kernel_error,
        **neighbour_measures(*some),
    }


def tone(pixels, reference):
    """Of the `Moments` of all pixels of some images, 0 to 255, and of the reference's:
    `brightness`, by how much their mean is larger, as a part of 255, and `contrast`,
    the ratio of the pixels' standard deviations, both over all channels. Decoder means
    lose contrast: where E[x | z] is exact, reconstructions have sqrt(1 - mse / Var[x])
    (the law of total variance).
    """
    contrast = np.trace(pixels.covariance) / max(np.trace(reference.covariance), 1e-12)
    return {
        "brightness": float(np.mean(pixels.mean - reference.mean) / 255),
        "contrast": float(contrast**0.5),
    }


def pixel_moments(images, moments=None):
    """`Moments` of the pixels of uint8 images (N, height, width, channels), a row a
    pixel; after those that `moments` has taken in.
    """
    moments = moments or Moments()
    for i in range(0, len(images), BATCH):
        moments.update(images[i : i + BATCH].reshape(-1, images.shape[-1]))
    return moments


def likelihood(stage1, images, samples, seed, constant=False):
    """Bounds of test images in nats an image, in bits a dimension where that means
    something, and the squared error a dimension; that alone of an autoencoder, which
    has no bound.

    `constant`: gamma was fixed from the start, so that the evidence bound has several
    `readings` (docs/observation_models.md).
    """
    mse = _mse(stage1, images)
    if stage1.deviation == 0:
        return {"mse": mse}
    plain = bounds.bounds(stage1, images, samples, seed)
    errors = {
        f"{name}_error": float(values.std(ddof=1) / len(values) ** 0.5)
        for name, values in plain.items()
    }
    told = {
        **{name: float(values.mean()) for name, values in plain.items()},
        **errors,
        "bits_per_dimension": _bits(stage1, images, plain, samples, seed),
        "mse": mse,
    }
    return (
        {**told, "readings": _readings(stage1, plain, images[0].size)}
        if constant
        else told
    )


def _mse(stage1, images):
    parts = [images[i : i + BATCH] for i in range(0, len(images), BATCH)]
    return float(
        np.mean(
            np.concatenate(
                [
                    keras.ops.convert_to_numpy(sampling.reconstruct(stage1, part))
                    - part / 255
                    for part in parts
                ]
            )
            ** 2
        )
    )


def _readings(stage1, plain, dimensions):
    """Of sigma^2: 1/2, beta / 2, the optimum for all images. The loss S / (2 gamma^2) +
    kappa KL is S + beta KL at beta = 2 gamma^2 kappa.
    """
    variance, kappa = (
        float(keras.ops.convert_to_numpy(value))
        for value in (stage1.likelihood.variance, stage1.kl_weight)
    )
    squared = (
        2
        * variance
        * (plain["distortion"] - dimensions / 2 * np.log(2 * np.pi * variance))
    )
    found = readings.constant_sigma_readings(
        squared,
        plain["rate"],
        dimensions,
        readings.beta_of_gamma(variance**0.5) * kappa,
    )
    return {name: found[name] for name in ("half", "beta", "optimal")}


def _bits(stage1, images, plain, samples, seed):
    """Bits of a level; None where the likelihood is no probability."""
    likelihood = stage1.likelihood
    if not likelihood.normalised:
        return None
    if not likelihood.discrete:
        images = bounds.dequantised(images, (seed, 9))
        plain = bounds.bounds(stage1, images, samples, seed)
    return bounds.bits_per_dimension(likelihood, plain["importance"].mean(), images)


def latents(models, train, samplers, seed):
    """Statistics of stage 1's posterior over training images, how normal its draws and
    stage 2's are, and histograms of the most active latents.

    Args:
        models: {stage1, stage2, normalizer}.
        train: Training images, of which at most 10,000 are encoded.
        samplers: The `Sampler`s whose latents the histograms show beside stage 1's.
        seed: Of the choice and the draws.
    """
    rows = np.sort(np.random.default_rng((seed, 4)).permutation(len(train))[:LATENTS])
    mean, log_var = encode(models["stage1"], train[rows])
    z = redraw(np.stack([mean, log_var], axis=1), np.random.default_rng((seed, 5)))
    found = {
        "posterior": _summary(mean, log_var),
        "normality": {"z of stage 1": normality(z)},
    }
    shown = most_active(mean, log_var)[:SHOWN_LATENTS]
    drawn = {
        "z of stage 1": z,
        **{sampler.name: sampler.draw(LATENTS, seed) for sampler in samplers},
    }
    counts = {
        name: [
            np.histogram(np.clip(of[:, latent], -4, 4), EDGES)[0].tolist()
            for latent in shown
        ]
        for name, of in drawn.items()
    }
    found["histograms"] = {
        "latents": shown.tolist(),
        "edges": EDGES.round(4).tolist(),
        "counts": counts,
    }
    if "stage2" in models:
        mean, log_var = encode(models["stage2"], z)
        found["posterior of stage 2"] = _summary(mean, log_var)
        found["normality"]["u of stage 2"] = normality(
            redraw(np.stack([mean, log_var], axis=1), np.random.default_rng((seed, 6)))
        )
    return found


def most_active(mean, log_var):
    """The latents' numbers, from the largest KL divergence to the smallest; of an
    autoencoder, where all are infinite, from the largest variance.
    """
    kl = callbacks.statistics.kl_per_latent(mean, log_var)
    return np.argsort(-(kl if np.isfinite(kl).all() else mean.var(0)), kind="stable")


def copying(generated, train, test, seed=0, most=1_000):
    """Whether generated images copy training images: distances from features to the
    nearest training image's, against those of test images.

    Args:
        generated, train, test: Features (N, d). At most `most` rows of the first and
            last are looked at.

    Returns:
        dict: `ratio`, the median distance of generated images over that of test images,
        0 for copies and about 1 for images as new as the test set's; `closer`, the
        share of generated images that are nearer to a training image than 99 % of the
        test images are; `training_images`.
    """
    some = [
        each[np.random.default_rng(seed).permutation(len(each))[:most]]
        for each in (generated, test)
    ]
    made, held = (nearest(each, train, 1)[1][:, 0] for each in some)
    return {
        "ratio": float(np.median(made) / max(np.median(held), 1e-12)),
        "closer": float((made < np.quantile(held, 0.01)).mean()),
        "training_images": len(train),
    }


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
