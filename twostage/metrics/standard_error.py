"""Standard errors of measures of two sets of images, from random halves of them."""

import math
from collections.abc import Callable, Iterable, Sequence
from typing import Any

import numpy as np

Subset = tuple[np.ndarray, np.ndarray]  # numbers of rows of both sets


def interval(
    measure: Callable[[np.ndarray, np.ndarray], float],
    real: np.ndarray,
    generated: np.ndarray,
    **options: Any,
) -> tuple[float, float]:
    """(value, standard error) of `measure(real, generated)` over features (N, d), (M,
    d); the arguments are those of `over_halves`.
    """
    found = over_halves(measure, real, generated, **options)
    return found[0], half_error(found)


def over_halves(
    measure: Callable[[np.ndarray, np.ndarray], float],
    real: np.ndarray,
    generated: np.ndarray,
    *,
    repeats: int = 20,
    seed: int = 0,
    paired: bool = False,
    progress: Callable[[Sequence[Subset]], Iterable[Subset]] = iter,
) -> list[float]:
    """`measure(real, generated)` of all rows, then of each of the random halves.

    Args:
        measure: Of two arrays of rows.
        real: Features (N, d).
        generated: Features (M, d).
        repeats: Number of halves.
        seed: Of their choice.
        paired: See `subsets`.
        progress: Passes on the subsets, and may show how many are done.
    """
    chosen = subsets(
        len(real), len(generated), repeats=repeats, seed=seed, paired=paired
    )
    return [measure(real[rows], generated[others]) for rows, others in progress(chosen)]


def half_error(values: Sequence[float] | np.ndarray) -> float:
    """The standard error of the first value, that of all rows, by the others, those of
    halves.

    A bootstrap without replacement: with replacement there would be duplicates, which
    no measure of pairs or neighbors survives. The variance over halves around the whole
    is 2/N - 1/N = 1/N of that of a row, as is the whole's own (Shao & Wu 1989, the
    jackknife that deletes half). Where both sets are alike a distance is not linear in
    its rows, and this is more than the error: up to twice.
    """
    return float(np.std(values[1:], ddof=1))


def difference_error(first: Sequence[float], second: Sequence[float]) -> float:
    """The standard error of the difference of two measures, by their values over the
    same halves, without those of all rows.

    Two kinds of samples share the reference, and kinds of one stage 2 their z as well.
    The errors that come from these cancel, where the root of the summed squares of both
    errors would count them twice.
    """
    return float(np.std(np.subtract(first, second), ddof=1))


def error_of_difference(
    first: float,
    second: float,
    first_halves: Sequence[float] | None,
    second_halves: Sequence[float] | None,
) -> float:
    """The standard error of the difference of two distances.

    Args:
        first: Standard error of one of them.
        second: Of the other one.
        first_halves: The distance over halves of the images; None in a result of an
            earlier version: both are then taken as independent, which is too cautious.
        second_halves: The other one over the same halves.
    """
    if not first_halves or not second_halves:
        return math.hypot(first, second)
    return difference_error(first_halves, second_halves)


def subsets(
    count: int, others: int, *, repeats: int, seed: int, paired: bool = False
) -> list[Subset]:
    """All rows of two sets, then random halves of them.

    Args:
        count: Rows of the first set.
        others: Rows of the second.
        repeats: Number of halves.
        seed: Of their choice.
        paired: Row i of both sets is of one image, as of a reconstruction, so that the
            halves are the same rows of both; halves apart from each other would make a
            measure look several times less certain than it is.
    """
    generator = np.random.default_rng(seed)
    found = [(np.arange(count), np.arange(others))]
    for _ in range(repeats):
        first = second = generator.permutation(count)[: count // 2]
        if not paired:
            second = generator.permutation(others)[: others // 2]
        found.append((first, second))
    return found
