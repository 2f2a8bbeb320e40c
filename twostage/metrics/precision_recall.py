"""Fidelity and diversity apart: precision and recall, density and coverage, from
nearest neighbors among the features.
"""

import numpy as np

BLOCK = 1_000  # rows of a distance matrix that are in memory together


def neighbor_measures(
    real: np.ndarray,
    generated: np.ndarray,
    *,
    k_precision: int = 3,
    k_density: int = 5,
) -> dict[str, float]:
    """Precision, recall, density and coverage of features (N, d) and (M, d).

    Precision: the fraction of generated rows inside a ball of a real one that reaches
    its k-th neighbor among the real (k 3); recall: the same with both sets exchanged
    (Kynkaanniemi et al. 2019, equation 2). Density: how many such balls (k 5) a
    generated row lies in, over k, 1 for equal distributions; coverage: the fraction of
    real balls with a generated row inside (Naeem et al. 2020, equations 4 and 6).

    Returns:
        dict of floats: precision, recall and coverage in [0, 1], density at least 0.
    """
    real, generated = np.asarray(real, "float64"), np.asarray(generated, "float64")
    radii = _radii(real, sorted({k_precision, k_density}))
    radii_of_generated = _radii(generated, [k_precision])[k_precision]
    inside, balls = [], []
    covered = np.zeros(len(real), bool)
    recalled = np.zeros(len(real), bool)
    for start in range(0, len(generated), BLOCK):
        rows = slice(start, start + BLOCK)
        squared = _squared_distances(generated[rows], real)  # (block, N)
        in_balls = squared <= radii[k_density]
        inside.append((squared <= radii[k_precision]).any(1))
        balls.append(in_balls.sum(1))
        covered |= in_balls.any(0)
        recalled |= (squared <= radii_of_generated[rows, None]).any(0)
    return {
        "precision": float(np.concatenate(inside).mean()),
        "recall": float(recalled.mean()),
        "density": float(np.concatenate(balls).mean() / k_density),
        "coverage": float(covered.mean()),
    }


def nearest(
    features: np.ndarray, among: np.ndarray, k: int = 1
) -> tuple[np.ndarray, np.ndarray]:
    """(rows, distances), each (N, k), of the k rows of `among` (M, d) nearest to each
    row of `features` (N, d), nearest first. Distances are Euclidean, in the features'
    unit.
    """
    features, among = np.asarray(features, "float64"), np.asarray(among, "float64")
    rows, squares = [], []
    block = BLOCK // 5  # `among` may be a whole training set
    for start in range(0, len(features), block):
        squared = _squared_distances(features[start : start + block], among)
        candidates = np.argpartition(squared, k - 1, axis=1)[:, :k]
        distances = np.take_along_axis(squared, candidates, 1)
        order = np.argsort(distances, axis=1)
        rows.append(np.take_along_axis(candidates, order, 1))
        squares.append(np.take_along_axis(distances, order, 1))
    return np.concatenate(rows), np.sqrt(np.concatenate(squares))


def _radii(features: np.ndarray, ks: list[int]) -> dict[int, np.ndarray]:
    """{k: squared distance (N,) to the k-th neighbor among the others}."""
    parts: dict[int, list[np.ndarray]] = {k: [] for k in ks}
    for start in range(0, len(features), BLOCK):
        squared = _squared_distances(features[start : start + BLOCK], features)
        rows = np.arange(len(squared))
        # a row is no neighbor of its own, but its duplicates are
        squared[rows, start + rows] = -1
        smallest = np.partition(squared, ks, axis=1)
        for k in ks:
            parts[k].append(smallest[:, k])
    return {k: np.concatenate(values) for k, values in parts.items()}


def _squared_distances(x: np.ndarray, y: np.ndarray) -> np.ndarray:
    """Never below zero; of equal rows zero up to the rounding of the squares."""
    return np.maximum((x**2).sum(1)[:, None] + (y**2).sum(1) - 2 * x @ y.T, 0)
