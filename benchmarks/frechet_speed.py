"""The Frechet distance of 10,000 + 10,000 rows of 2,048 features against SciPy's matrix
square root, in one run: `python benchmarks/frechet_speed.py [--width 2048]`.

Times the distance alone, from the moments: ours and `scipy.linalg.sqrtm`, interleaved.
It prints the seconds of both, their ratio, and the difference of the two distances.
"""

import argparse
import statistics
import time

import numpy as np
from scipy import linalg

from twostage.metrics.frechet import frechet_distance
from twostage.metrics.moments import Moments


def by_sqrtm(a, b):
    """As it is usually written."""
    difference = a.mean - b.mean
    return (
        difference @ difference
        + np.trace(a.covariance)
        + np.trace(b.covariance)
        - 2 * np.trace(linalg.sqrtm(a.covariance @ b.covariance)).real
    )


def main(width, rows, rounds):
    generator = np.random.default_rng(0)
    mix = linalg.qr(generator.standard_normal((width, width)))[0]
    spectrum = np.exp(-np.linspace(0, 4, width))
    a, b = (
        Moments(
            (generator.standard_normal((rows, width)) * spectrum) @ mix * scale + shift
        )
        for scale, shift in ((1, 0), (1.1, 0.02))
    )
    ratios = []
    for _ in range(rounds):
        seconds, found = [], []
        for distance in (frechet_distance, by_sqrtm):
            begun = time.perf_counter()
            found.append(distance(a, b))
            seconds.append(time.perf_counter() - begun)
        ratios.append(seconds[1] / seconds[0])
        print(
            f"ours {seconds[0]:.2f} s, sqrtm {seconds[1]:.2f} s, ratio"
            f" {ratios[-1]:.1f}, relative difference"
            f" {abs(found[0] / found[1] - 1):.1e}",
            flush=True,
        )
    print(
        f"{width} features, {rows} + {rows} rows: ratio {statistics.median(ratios):.1f}"
        f" (median of {rounds})"
    )


if __name__ == "__main__":
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    for name, default in (("width", 2048), ("rows", 10_000), ("rounds", 3)):
        parser.add_argument(f"--{name}", type=int, default=default)
    given = parser.parse_args()
    main(given.width, given.rows, given.rounds)
