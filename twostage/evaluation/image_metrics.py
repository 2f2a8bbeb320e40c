"""Distances between sets of images, by their features."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

import numpy as np

from twostage.metrics.frechet import extrapolated, frechet_of, least_rows
from twostage.metrics.kernel import kernel_distances
from twostage.metrics.precision_recall import neighbor_measures
from twostage.metrics.standard_error import half_error, over_halves, subsets
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
) -> dict[str, Any]:
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
        `frechet_infinite`, extrapolated, and its `_error`, None where there are too few
        images; `frechet_halves` and `frechet_infinite_halves`, see `difference_error`;
        `precision`, `recall`, `density`, `coverage`.
    """

    def shown(name: str) -> Callable:
        return functools.partial(progress, label=f"{label}: {name}")

    halves: dict[str, Any] = {"repeats": half_samples, "seed": seed, "paired": paired}
    frechet = over_halves(
        frechet_of, real, features, progress=shown("Frechet distance"), **halves
    )
    kernel = kernel_distances(
        real,
        features,
        subsets(len(real), len(features), **halves),
        paired=paired,
        progress=shown("kernel distance"),
    )
    infinite = _at_infinity(
        real, features, progress=shown("distance at infinity"), **halves
    )
    with announced(f"{label}: neighbors"):
        neighbors = neighbor_measures(
            _random_rows(real, seed), _random_rows(features, seed)
        )
    return {
        "images": len(features),
        **_with_error("frechet", frechet),
        **_with_error("frechet_infinite", infinite),
        "kernel": float(kernel[0]),
        "kernel_error": half_error(kernel),
        **neighbors,
    }


def _at_infinity(
    real: np.ndarray,
    features: np.ndarray,
    *,
    progress: Callable,
    seed: int,
    paired: bool,
    **halves: Any,
) -> list[float]:
    """The Frechet distance at infinitely many images, of all rows and of halves; empty
    where there are too few images, one value where a half of them are.
    """

    def measure(real: np.ndarray, features: np.ndarray) -> float:
        return extrapolated(real, features, seed=seed, paired=paired)[0]

    count = min(len(real), len(features)) // least_rows(real.shape[1])
    if count < 1:
        return []
    if count < 2:
        return [measure(real, features)]
    return over_halves(
        measure, real, features, progress=progress, seed=seed, paired=paired, **halves
    )


def _with_error(name: str, values: list[float]) -> dict[str, Any]:
    """The value of all rows, its standard error, and the values of halves."""
    halves = values[1:]
    return {
        name: values[0] if values else None,
        f"{name}_error": half_error(values) if halves else None,
        f"{name}_halves": halves or None,
    }


def _random_rows(features: np.ndarray, seed: int) -> np.ndarray:
    order = np.random.default_rng(seed).permutation(len(features))
    return features[order[:MAX_NEIGHBOR_ROWS]]
