"""The kernel distance: an unbiased estimate of the squared maximum mean discrepancy."""

from collections.abc import Callable, Iterable, Sequence

import numpy as np

BLOCK = 500  # rows of a kernel matrix that are in memory together

Rows = np.ndarray  # numbers of rows, (n,)


def kernel_distance(
    real: np.ndarray, generated: np.ndarray, *, paired: bool = False
) -> float:
    """MMD^2 under the kernel (x . y / d + 1)^3, unbiased, of features (N, d) and (M, d)
    (Binkowski et al. 2018, equation 4).

    All pairs count, where others average over subsets. It may be below zero, since its
    mean is exactly the squared distance. `paired`: row i of both is of one image, so
    that these pairs are left out, as a row's with itself are (Gretton et al. 2012,
    lemma 6).
    """
    everything = np.arange(len(real)), np.arange(len(generated))
    return float(kernel_distances(real, generated, [everything], paired=paired)[0])


def kernel_distances(
    real: np.ndarray,
    generated: np.ndarray,
    subsets: Sequence[tuple[Rows, Rows]],
    *,
    paired: bool = False,
    progress: Callable[[Sequence[int]], Iterable[int]] = iter,
) -> np.ndarray:
    """`kernel_distance` of several subsets of the rows, (S,). Each kernel is computed
    once: its sum over a subset is a^T K b, with ones where the subset has a row.

    Args:
        real: Features (N, d).
        generated: Features (M, d).
        subsets: Of each the rows of `real` and those of `generated`.
        paired: As for `kernel_distance`; both have the same rows then.
        progress: Passes on the first rows of blocks, and may show how many are done.
    """
    x, y = np.asarray(real, "float64"), np.asarray(generated, "float64")
    a = _indicators([rows for rows, _ in subsets], len(x))
    b = _indicators([rows for _, rows in subsets], len(y))
    n, m = a.sum(1), b.sum(1)
    within_x, within_y, between = np.zeros((3, len(subsets)))
    for start in progress(range(0, max(len(x), len(y)), BLOCK)):
        within_x += _within(x, a, start)
        within_y += _within(y, b, start)
        between += _sums(x, y, a, b, slice(start, start + BLOCK), slice(None))
    pairs = n * m
    if paired:
        between -= a @ _own(x, y)
        pairs = n * (n - 1)
    return within_x / (n * (n - 1)) + within_y / (m * (m - 1)) - 2 * between / pairs


def _indicators(subsets: Sequence[Rows], count: int) -> np.ndarray:
    """(S, count): 1 where a subset has a row."""
    found = np.zeros((len(subsets), count))
    for indicator, rows in zip(found, subsets, strict=True):
        indicator[rows] = 1
    return found


def _within(x: np.ndarray, a: np.ndarray, start: int) -> np.ndarray:
    """Sums over pairs of different rows, of which the first lies in the block that
    begins at `start`; those of a later block count twice.
    """
    block, later = slice(start, start + BLOCK), slice(start + BLOCK, None)
    same = _sums(x, x, a, a, block, block) - a[:, block] @ _own(x[block], x[block])
    return same + 2 * _sums(x, x, a, a, block, later)


def _sums(
    x: np.ndarray, y: np.ndarray, a: np.ndarray, b: np.ndarray, rows: slice, cols: slice
) -> np.ndarray:
    """a^T K b of each subset, over some rows of x and y, (S,)."""
    kernel = x[rows] @ y[cols].T
    kernel /= x.shape[1]
    kernel += 1
    kernel *= kernel * kernel
    return ((a[:, rows] @ kernel) * b[:, cols]).sum(1)


def _own(x: np.ndarray, y: np.ndarray) -> np.ndarray:
    """The kernel of each row of x with the same row of y."""
    return ((x * y).sum(1) / x.shape[1] + 1) ** 3
