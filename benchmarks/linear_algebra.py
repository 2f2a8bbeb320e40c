"""What one library's threads save: `python benchmarks/linear_algebra.py [--rounds 5]`.

Interleaved, in one process: all distances of 10,000 images from 1,800, by 256 features,
with the decompositions of NumPy and with those of SciPy, which has threads of its own;
a mixture of ten on 8,550 vectors of 64 latents, with one thread and with all. Prints
seconds and the ratio of medians.
"""

import argparse
import contextlib
from unittest import mock

import numpy as np
from interleaved import medians
from scipy import linalg

from twostage.evaluation.image_metrics import image_distances
from twostage.models import gaussian_mixture


@contextlib.contextmanager
def by_scipy():
    """Within, `numpy.linalg` decomposes by SciPy."""
    replaced = {
        "cholesky": lambda a: linalg.cholesky(a, lower=True),
        "eigh": linalg.eigh,
    }
    with mock.patch.multiple(np.linalg, **replaced):
        yield


@contextlib.contextmanager
def all_threads():
    """Within, the mixture's limit of threads is none."""
    unlimited = {"threadpool_limits": lambda *_, **__: contextlib.nullcontext()}
    with mock.patch.multiple("threadpoolctl", **unlimited):
        yield


def distances():
    generator = np.random.default_rng(0)
    real, generated = (generator.normal(size=(rows, 256)) for rows in (1_800, 10_000))
    image_distances(real, generated, half_samples=10, seed=0)


def mixture():
    generator = np.random.default_rng(0)
    latents = generator.normal(size=(8_550, 64)) * np.linspace(0.3, 1.5, 64)
    latents[:4_000] += generator.normal(size=64)
    gaussian_mixture.Mixture(latents, 10)


SIDES = {
    "distances: NumPy, SciPy": (distances, by_scipy),
    "mixture: one thread, all": (mixture, all_threads),
}


def main(rounds):
    """Prints a Markdown table, a row per comparison."""
    print("| | now, s | other, s | now / other |")
    print("| --- | --- | --- | --- |")
    for name, (function, other) in SIDES.items():
        # a function that makes a context manager also decorates
        now, before = medians((function, other()(function)), rounds)
        print(f"| {name} | {now:.2f} | {before:.2f} | {now / before:.2f} |", flush=True)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=5)
    main(parser.parse_args().rounds)
