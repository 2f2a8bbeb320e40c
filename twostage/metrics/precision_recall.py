"""Fidelity and diversity apart: precision and recall, density and coverage, from
nearest neighbours among the features.
"""

import numpy as np

BLOCK = 1_000  # rows of a distance matrix that are in memory together


def neighbour_measures(real, generated, k_precision=3, k_density=5):
    """Precision, recall, density and coverage of features (N, d) and (M, d).

    Precision: the share of generated rows inside a ball of a real one that reaches its
    k-th neighbour among the real (k 3); recall: the same with both sets exchanged
    (Kynkaanniemi et al. 2019, equation 2). Density: how many such balls (k 5) a
    generated row lies in, over k, 1 for equal distributions; coverage: the share of
    real balls with a generated row inside (Naeem et al. 2020, equations 4 and 6).

    Returns a dict of floats: precision, recall and coverage in [0, 1], density at least
    0.
    """
    real, generated = np.asarray(real, "float64"), np.asarray(generated, "float64")
    radii, of_generated = (
        _radii(real, sorted({k_precision, k_density})),
        _radii(generated, [k_precision])[k_precision],
    )
    within, inside, covered, recalled = (
        [],
        [],
        np.zeros(len(real), bool),
        np.zeros(len(real), bool),
    )
    for start in range(0, len(generated), BLOCK):
        squared = _squared_distances(
            generated[start : start + BLOCK], real
        )  # (block, N)
        within.append((squared <= radii[k_precision]).any(1))
        inside.append((squared <= radii[k_density]).sum(1))
        covered |= (squared <= radii[k_density]).any(0)
        recalled |= (squared <= of_generated[start : start + BLOCK, None]).any(0)
    return {
        "precision": float(np.concatenate(within).mean()),
        "recall": float(recalled.mean()),
        "density": float(np.concatenate(inside).mean() / k_density),
        "coverage": float(covered.mean()),
    }


def nearest(features, among, k=1):
    """(rows, distances), each (N, k), of the k rows of `among` (M, d) nearest to each
    row of `features` (N, d), nearest first.
    """
    features, among = np.asarray(features, "float64"), np.asarray(among, "float64")
    rows, squares = [], []
    for start in range(
        0, len(features), BLOCK // 5
    ):  # `among` may be a whole training set
        squared = _squared_distances(features[start : start + BLOCK // 5], among)
        some = np.argpartition(squared, k - 1, axis=1)[:, :k]
        found = np.take_along_axis(squared, some, 1)
        order = np.argsort(found, axis=1)
        rows.append(np.take_along_axis(some, order, 1))
        squares.append(np.take_along_axis(found, order, 1))
    return np.concatenate(rows), np.sqrt(np.concatenate(squares))


def _radii(features, ks):
    """{k: squared distance (N,) to the k-th neighbour among the others}."""
    found = {k: [] for k in ks}
    for start in range(0, len(features), BLOCK):
        squared = _squared_distances(features[start : start + BLOCK], features)
        squared[
            np.arange(len(squared)), np.arange(start, start + len(squared))
        ] = -1  # a row is no neighbour of its own, but its duplicates are
        nearest = np.partition(squared, ks, axis=1)
        for k in ks:
            found[k].append(nearest[:, k])
    return {k: np.concatenate(parts) for k, parts in found.items()}


def _squared_distances(x, y):
    """Never below zero; of equal rows zero up to the rounding of the squares."""
    return np.maximum((x**2).sum(1)[:, None] + (y**2).sum(1) - 2 * x @ y.T, 0)
