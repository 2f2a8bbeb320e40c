"""How far a measure would move with other images: from random halves of those there
are.
"""

import numpy as np


def interval(measure, real, generated, repeats=20, seed=0, z=1.96, paired=False):
    """(value, standard error, low, high) of `measure(real, generated)` over features
    (N, d), (M, d).

    A bootstrap without replacement: with replacement there would be duplicates, which
    no measure of pairs or neighbours survives. The variance over halves around the
    whole is 2/N - 1/N = 1/N of that of a row, as is the whole's own (Shao & Wu 1989,
    the jackknife that deletes half). The interval is `z` standard
    errors to either side of the value of all rows. `paired`: row i of both sets is of
    one image, as of a reconstruction, so that the halves are the same rows of both;
    halves apart from each other would make such a measure look several times less
    certain than it is.
    """
    generator = np.random.default_rng(seed)

    def half():
        rows = generator.permutation(len(real))[: len(real) // 2]
        others = (
            rows
            if paired
            else generator.permutation(len(generated))[: len(generated) // 2]
        )
        return measure(real[rows], generated[others])

    found = [half() for _ in range(repeats)]
    value, error = measure(real, generated), float(np.std(found, ddof=1))
    return value, error, value - z * error, value + z * error
