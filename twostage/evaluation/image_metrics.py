"""Distances between sets of images, by their features; brightness and contrast."""

import functools

import numpy as np

from twostage.metrics.frechet import extrapolated, frechet_of
from twostage.metrics.kernel import kernel_distance
from twostage.metrics.moments import Moments
from twostage.metrics.precision_recall import neighbour_measures
from twostage.metrics.standard_error import interval

BATCH = 250  # images that go through a network together


MAX_NEIGHBOR_ROWS = 5_000  # rows between which all distances are taken


def image_distances(real, features, repeats, seed, paired=False):
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
        each[np.random.default_rng(seed).permutation(len(each))[:MAX_NEIGHBOR_ROWS]]
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
