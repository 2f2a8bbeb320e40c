"""Theorem 1 of Berger & Sebag: data on a hypersphere of radius R in D dimensions, and what a decoder with a fixed sigma makes of them.

The best decoder maps the latents onto a sphere of radius r. r* is 0, the data's centre, unless sigma < R / sqrt(D); above that
r = R I_{D/2}(r R / sigma^2) / I_{D/2-1}(r R / sigma^2). Their text proves the weaker sigma >= R / sqrt(D - 1).
"""

import math

from scipy.optimize import brentq
from scipy.special import ive


def best_radius(sharpness, dimensions):
    """r*/R in [0, 1) of the likelihood's best sphere.

    Args:
        sharpness: R / sigma.
        dimensions: D, at least 2.
    """
    if sharpness**2 <= dimensions:
        return 0.0
    return brentq(lambda r: _mean_cosine(r * sharpness**2, dimensions) - r, 1e-9, 1.0, xtol=1e-12)


def log_likelihood(radius, sharpness, dimensions):
    """E log p(x) of a point x of the data's sphere, under points spread evenly on a sphere of radius r with noise sigma; in units of R = 1, nats.

    p(x) = (2 pi sigma^2)^(-D/2) exp(-(1 + r^2) / (2 sigma^2)) E[exp(r cos / sigma^2)], the last factor a Bessel function.
    """
    precision, half = sharpness**2, dimensions / 2
    t = radius * precision
    bessel = ive(half - 1, t) if t > 1e-6 else 0.0
    spread = math.lgamma(half) + (1 - half) * math.log(t / 2) + math.log(bessel) + t if bessel else t**2 / (2 * dimensions)  # its series, where it underflows
    return -half * math.log(2 * math.pi / precision) - (1 + radius**2) * precision / 2 + spread


def _mean_cosine(t, dimensions):
    """I_{D/2}(t) / I_{D/2-1}(t): the mean resultant length of a von Mises-Fisher distribution."""
    below = ive(dimensions / 2 - 1, t)
    return ive(dimensions / 2, t) / below if below else t / dimensions  # its series, where both underflow
