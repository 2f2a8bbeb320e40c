"""Memorization test: are generated images copies of training images?"""

import numpy as np

from twostage.metrics.precision_recall import nearest

SAME = 1e-4  # of the features' spread: the rounding of equal images in two batches
MAX_IMAGES = 1_000  # generated and test images whose nearest neighbors are searched


def memorization(
    generated: np.ndarray,
    train: np.ndarray,
    *,
    test: np.ndarray,
    seed: int = 0,
    max_images: int = MAX_IMAGES,
) -> dict[str, float | int | None]:
    """Compares how far generated and test images lie from the nearest training image.

    Args:
        generated: Features (N, d).
        train: Features (M, d).
        test: Features (L, d).
        seed: Of the choice of at most `max_images` generated and test images.
        max_images: See `seed`.

    Returns:
        dict, of test images that equal no training image: `ratio`, the median distance
        of generated images over theirs, 0 for copies and about 1 for images as new as
        the test set's; `closer`, the fraction of generated images that are nearer to a
        training image than 99% of the test images are; both None where all test images
        equal one. `repeated`, the fraction of test images that equal a training image;
        `training_images`.
    """
    of_generated = _nearest_distances(generated, train, seed, max_images)
    of_test = _nearest_distances(test, train, seed, max_images)
    same = SAME * float(np.linalg.norm(train.std(0)))
    others = of_test[of_test > same]
    ratio = closer = None
    if len(others):
        ratio = float(np.median(of_generated) / max(np.median(others), 1e-12))
        closer = float((of_generated < np.quantile(others, 0.01)).mean())
    return {
        "ratio": ratio,
        "closer": closer,
        "repeated": float((of_test <= same).mean()),
        "training_images": len(train),
    }


def _nearest_distances(
    features: np.ndarray, train: np.ndarray, seed: int, max_images: int
) -> np.ndarray:
    """(n,): from a random choice of the features to the nearest training image's."""
    rows = np.random.default_rng(seed).permutation(len(features))[:max_images]
    _, distances = nearest(features[rows], train, 1)
    return distances[:, 0]
