"""Figures of a trained model: uint8 images (height, width, 1 or 3), for `save_png`."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from twostage.evaluation.latent_metrics import most_active
from twostage.metrics.precision_recall import nearest
from twostage.models.posterior import encode_dataset
from twostage.models.vae import VAE
from twostage.reporting.png import tile
from twostage.sampling.decoding import decoded, reconstructed

MAX_SAMPLES_IN_GRID = 36  # of each kind
STEPS = 9  # columns of a walk through the latents
ROWS = 8


def model_figures(
    stage1: VAE, images: np.ndarray
) -> tuple[dict[str, np.ndarray], list[int]]:
    """Reconstructions, interpolations and traversals of test images (N, height, width,
    channels), uint8, by name; and the latents that the traversals go along.
    """
    grid, latents = traversals(stage1, images)
    found = {
        "reconstructions": reconstructions(stage1, images),
        "interpolations": interpolations(stage1, images),
        "traversals": grid,
    }
    return found, latents


def sample_grids(samples: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
    """A grid of each kind of samples, images in [0, 1], by its name as a figure;
    reconstructions among them are left out.
    """
    return {
        sample_figure(kind): tile(images)
        for kind, images in samples.items()
        if kind != "REC"
    }


def sample_figure(kind: str) -> str:
    """The name of the figure of a kind of samples."""
    return f"samples-{kind.replace(' ', '_')}"


def reconstructions(stage1: VAE, images: np.ndarray, *, rows: int = 4) -> np.ndarray:
    """Images, uint8, above their reconstructions, in `rows` double rows of 8."""
    # a set of fewer is repeated
    originals = images[np.arange(rows * ROWS) % len(images)]
    again = reconstructed(stage1, originals)
    shape = again.shape[1:]
    pairs = np.stack([originals / np.float32(255), again])
    # (image or reconstruction, row, column) -> (row, image or reconstruction, column)
    pairs = pairs.reshape(2, rows, ROWS, *shape).swapaxes(0, 1)
    return tile(pairs.reshape(-1, *shape), columns=ROWS)


def interpolations(stage1: VAE, images: np.ndarray, *, rows: int = 6) -> np.ndarray:
    """From one image to another along the straight line between their posterior means;
    the images themselves at both ends of each row.
    """
    images = images[np.arange(2 * rows) % len(images)]
    shape = images.shape[1:]
    means, _ = encode_dataset(stage1, images)
    share = np.linspace(0, 1, STEPS, dtype="float32")[:, None]
    lines = [
        (1 - share) * first + share * last
        for first, last in zip(means[::2], means[1::2], strict=True)
    ]
    between = decoded(stage1, np.concatenate(lines)).reshape(rows, STEPS, *shape)
    ends = (images / np.float32(255)).reshape(rows, 2, *shape)
    walks = np.concatenate([ends[:, :1], between, ends[:, 1:]], axis=1)
    return tile(walks.reshape(-1, *shape), columns=STEPS + 2)


def traversals(
    stage1: VAE, images: np.ndarray, *, span: float = 3.0
) -> tuple[np.ndarray, list[int]]:
    """A row for each of the most active latents, which goes from -span to span while
    the others stay at the first image's posterior mean; and these latents.
    """
    mean, log_var = encode_dataset(stage1, images)
    latents = most_active(mean, log_var)[:ROWS]
    z = np.repeat(mean[:1], len(latents) * STEPS, 0)
    for row, latent in enumerate(latents):
        z[row * STEPS : (row + 1) * STEPS, latent] = np.linspace(-span, span, STEPS)
    return tile(decoded(stage1, z), columns=STEPS), latents.tolist()


def neighbors(
    samples: np.ndarray,
    features: np.ndarray,
    *,
    train: np.ndarray,
    train_features: np.ndarray,
    count: int = 8,
    k: int = 5,
) -> np.ndarray:
    """Each row a sample, then the k training images nearest to it by their features,
    all where there are fewer.

    Args:
        samples: Floats in [0, 1], at least `count`.
        features: Of the samples, (N, d).
        train: uint8.
        train_features: (M, d).
        count: Rows.
        k: Neighbors of each sample.
    """
    k = min(k, len(train))
    rows, _ = nearest(features[:count], train_features, k)
    # in order, as a memory map is read
    different = np.unique(rows)
    images = train[different] / np.float32(255)
    of_rows = images[np.searchsorted(different, rows)]
    lines = np.concatenate([samples[: len(rows), None], of_rows], axis=1)
    return tile(lines.reshape(-1, *images.shape[1:]), columns=k + 1)
