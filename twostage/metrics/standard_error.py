"""Standard errors of measures of two sets of images, from random halves of them."""

from collections.abc import Callable, Iterable, Sequence

import numpy as np


def interval(
    measure: Callable[[np.ndarray, np.ndarray], float],
    real: np.ndarray,
    generated: np.ndarray,
    *,
    repeats: int = 20,
    seed: int = 0,
    z: float = 1.96,
    paired: bool = False,
    progress: Callable[[Sequence[int]], Iterable[int]] = iter,
) -> tuple[float, float, float, float]:
    """(value, standard error, low, high) of `measure(real, generated)` over features
    (N, d), (M, d).

    A bootstrap without replacement: with replacement there would be duplicates, which
    no measure of pairs or neighbours survives. The variance over halves around the
    whole is 2/N - 1/N = 1/N of that of a row, as is the whole's own (Shao & Wu 1989,
    the jackknife that deletes half). The interval is `z` standard
    errors to either side of the value of all rows. `paired`: row i of both sets is of
    one image, as of a reconstruction, so that the halves are the same rows of both;
    halves apart from each other would make such a measure look several times less
    certain than it is. `progress` passes on the numbers of the halves, and one more for
    all rows, and may show how many are done.
    """
    generator = np.random.default_rng(seed)
    halves = []
    value = float("nan")
    for repeat in progress(range(repeats + 1)):
        if repeat == repeats:
            value = measure(real, generated)
            continue
        rows = others = generator.permutation(len(real))[: len(real) // 2]
        if not paired:
            others = generator.permutation(len(generated))[: len(generated) // 2]
        halves.append(measure(real[rows], generated[others]))
    error = float(np.std(halves, ddof=1))
    return value, error, value - z * error, value + z * error
