"""Distances between sets of images, by their features."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

import numpy as np

from twostage.metrics.frechet import extrapolated, frechet_of
from twostage.metrics.kernel import kernel_distances
from twostage.metrics.precision_recall import neighbor_measures
from twostage.metrics.standard_error import half_error, interval, subsets
from twostage.system.progress import announced, progress

BATCH = 250  # images that go through a network together
MAX_NEIGHBOR_ROWS = 5_000  # rows between which all distances are computed


def image_distances(
    real: np.ndarray,
    features: np.ndarray,
    *,
    half_samples: int,
    seed: int,
    paired: bool = False,
    label: str = "images",
) -> dict[str, float | int | None]:
    """Distances between the features of the reference and of one kind of images.

    Args:
        real: The reference's, (N, d).
        features: (M, d).
        half_samples: Random halves that the standard errors come from.
        seed: Of the halves and of the rows that neighbors are searched in.
        paired: Whether row i of both is of one image, as of reconstructions.
        label: What the images are, for the progress bars.

    Returns:
        dict: `images`; `frechet` and `kernel`, each with its `_error`;
        `frechet_infinite`, extrapolated, None where there are too few images;
        `precision`, `recall`, `density`, `coverage`.
    """

    def shown(name: str) -> Callable:
        return functools.partial(progress, label=f"{label}: {name}")

    halves: dict[str, Any] = {"repeats": half_samples, "seed": seed, "paired": paired}
    frechet, frechet_error = interval(
        frechet_of, real, features, progress=shown("Frechet distance"), **halves
    )
    kernel = kernel_distances(
        real,
        features,
        subsets(len(real), len(features), **halves),
        paired=paired,
        progress=shown("kernel distance"),
    )
    infinite = None
    with announced(f"{label}: neighbors"):
        if min(len(real), len(features)) >= 4 * real.shape[1]:
            infinite, _ = extrapolated(real, features, seed=seed, paired=paired)
        neighbors = neighbor_measures(
            _random_rows(real, seed), _random_rows(features, seed)
        )
    return {
        "images": len(features),
        "frechet": frechet,
        "frechet_error": frechet_error,
        "frechet_infinite": infinite,
        "kernel": float(kernel[0]),
        "kernel_error": half_error(kernel),
        **neighbors,
    }


def _random_rows(features: np.ndarray, seed: int) -> np.ndarray:
    order = np.random.default_rng(seed).permutation(len(features))
    return features[order[:MAX_NEIGHBOR_ROWS]]
