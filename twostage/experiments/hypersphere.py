"""`python -m twostage.experiments.hypersphere`: Theorem 1 of Berger & Sebag. Data on a
hypersphere of radius R in D dimensions, and what a decoder with a fixed sigma makes of
them.

The best decoder maps the latents onto a sphere of radius r. r* is 0, the data's centre,
unless sigma < R / sqrt(D); above that r = R I_{D/2}(r R / sigma^2) / I_{D/2-1}(r R /
sigma^2). Their text proves the weaker sigma >= R / sqrt(D - 1).
"""

import math

import numpy as np
from scipy.optimize import brentq
from scipy.special import ive

from twostage.experiments.table import Row
from twostage.reporting.charts import chart, heat_map
from twostage.system.random_streams import Stream

LENGTH, QUICK, SEEDS = 100, 20, 3  # epochs of 100 batches of 100 fresh points


def best_radius(sharpness, dimensions):
    """r*/R in [0, 1) of the likelihood's best sphere.

    Args:
        sharpness: R / sigma.
        dimensions: D, at least 2.
    """
    if sharpness**2 <= dimensions:
        return 0.0
    return brentq(
        lambda r: _mean_cosine(r * sharpness**2, dimensions) - r, 1e-9, 1.0, xtol=1e-12
    )


def log_likelihood(radius, sharpness, dimensions):
    """E log p(x) of a point x of the data's sphere, under points spread evenly on a
    sphere of radius r with noise sigma; in units of R = 1, nats.

    p(x) = (2 pi sigma^2)^(-D/2) exp(-(1 + r^2) / (2 sigma^2)) E[exp(r cos / sigma^2)],
    the last factor a Bessel function.
    """
    precision, half = sharpness**2, dimensions / 2
    t = radius * precision
    bessel = ive(half - 1, t) if t > 1e-6 else 0.0
    spread = (
        math.lgamma(half) + (1 - half) * math.log(t / 2) + math.log(bessel) + t
        if bessel
        else t**2 / (2 * dimensions)
    )  # its series, where it underflows
    return (
        -half * math.log(2 * math.pi / precision)
        - (1 + radius**2) * precision / 2
        + spread
    )


def _mean_cosine(t, dimensions):
    """I_{D/2}(t) / I_{D/2-1}(t): the mean resultant length of a von Mises-Fisher
    distribution.
    """
    below = ive(dimensions / 2 - 1, t)
    return (
        ive(dimensions / 2, t) / below if below else t / dimensions
    )  # its series, where both underflow


SIDES = (
    0.8,
    0.95,
    1.1,
    1.25,
    1.5,
    2.0,
    3.0,
)  # c of R / sigma = c sqrt(D): two below the threshold, the others above


def _row(dimensions, side):
    sharpness = side * math.sqrt(dimensions)
    radius = best_radius(sharpness, dimensions)
    told = {
        "radius": f"{radius:.3f} in theory",
        "evidence": f"{log_likelihood(radius, sharpness, dimensions):.3f} at most",
    }
    return Row(
        f"D {dimensions}, {side:g} sqrt D",
        {"dimensions": dimensions, "side": side},
        told,
    )


ROWS = [_row(dimensions, side) for dimensions in (2, 10) for side in SIDES]


def measured(row, seed, found, setting):
    """A trained VAE, R = 1: the mean radius on which it decodes its prior, that of its
    reconstructions, KL and evidence bound in nats.
    """
    import keras
    from keras import ops

    from twostage.experiments import planar_task
    from twostage.likelihoods.gaussian_likelihood import GaussianLikelihood
    from twostage.metrics.likelihood_bounds import bounds
    from twostage.models.networks.berger_sebag import residual_decoder, residual_encoder
    from twostage.models.vae import VAE

    keras.utils.set_random_seed(seed)
    dimensions = row.settings["dimensions"]
    likelihood = GaussianLikelihood(
        1 / (row.settings["side"] * math.sqrt(dimensions)), floor=1e-3
    )
    networks = (
        residual_encoder(dimensions, dimensions, 100, 2),
        residual_decoder(dimensions, dimensions, 100, 2),
    )
    vae = VAE(*networks, likelihood, data_dtype="float32", seed=seed)
    planar_task.fit(
        vae,
        lambda count, generator: directions(count, dimensions, generator),
        dimensions,
        seed,
        setting.epochs,
    )
    fresh = directions(
        5_000, dimensions, np.random.default_rng((seed, Stream.SYNTHETIC_POINTS, 0, 1))
    )  # without the last number they would be a training batch's
    z = np.random.default_rng((seed, Stream.SYNTHETIC_PRIOR)).standard_normal(
        (5_000, dimensions), dtype="float32"
    )

    def radius(latents):
        return float(
            np.linalg.norm(ops.convert_to_numpy(vae.decode(latents)), axis=1).mean()
        )

    bound = bounds(vae, fresh, samples=10, seed=seed, batch_rows=5_000)
    return {
        "radius": radius(z),
        "reconstructed": radius(vae.posterior(fresh)[0]),
        "kl": float(bound["rate"].mean()),
        "evidence": float(bound["evidence"].mean()),
    }


def directions(count, dimensions, generator):
    """(count, D) float32, evenly on the sphere of radius 1."""
    drawn = generator.standard_normal((count, dimensions))
    return (drawn / np.linalg.norm(drawn, axis=1, keepdims=True)).astype("float32")


def figures(results, setting):
    """Figure 2, and the trained VAEs beside the theory."""
    a, b = np.linspace(0.05, 4, 60), np.linspace(0, 4, 45)
    density = [
        [math.exp(log_likelihood(r / R, R, 2) / 2) / R for R in a] for r in b
    ]  # its root, in units of sigma
    curve = ("best r", a, [best_radius(R, 2) * R for R in a])
    yield (
        heat_map(
            "root of p(x), D 2, over R / sigma and r / sigma",
            density,
            (0, 4),
            (0, 4),
            "R / sigma",
            curve,
        ),
        (
            "Figure 2: the lighter the higher. The best radius leaves 0 at R / sigma ="
            " sqrt 2."
        ),
    )
    c = np.linspace(0.7, 3.1, 200)
    for dimensions in (2, 10):
        rows = [row for row in ROWS if row.settings["dimensions"] == dimensions]
        trained = [
            np.mean([result["radius"] for result in results[row.name]]) for row in rows
        ]
        series = [
            (
                "r* / R in theory",
                c,
                [best_radius(x * math.sqrt(dimensions), dimensions) for x in c],
            ),
            ("trained VAEs", [row.settings["side"] for row in rows], trained, "point"),
        ]
        yield (
            chart(
                f"radius of what is decoded, D {dimensions}",
                series,
                "R / (sigma sqrt D)",
                y_range=(-0.02, 1.05),
            ),
            (
                f"Trained VAEs, D {dimensions}, mean over seeds, on both sides of the"
                " threshold at 1."
            ),
        )
