"""Theorem 1 of Berger & Sebag: when a decoder with a fixed sigma ignores its latents.

Data lie on a hypersphere of radius R in D dimensions. The best decoder maps the latents
onto a sphere of radius r. r* is 0, the data's center, unless sigma < R / sqrt(D); above
that r = R I_{D/2}(r R / sigma^2) / I_{D/2-1}(r R / sigma^2). Their text proves the
weaker sigma >= R / sqrt(D - 1).
"""

import math
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from twostage.experiments.experiment import (
    Experiment,
    Figure,
    Result,
    Results,
    Row,
    Setting,
)

if TYPE_CHECKING:
    import numpy as np

DIMENSIONS = (2, 10)  # D
# c of R / sigma = c sqrt(D): two below the threshold, the others above.
SIDES = (0.8, 0.95, 1.1, 1.25, 1.5, 2.0, 3.0)
# By D, for each side: r* / R, and its log likelihood in nats, by `best_radius` and
# `log_likelihood`. Written out, so that listing the experiments loads no SciPy.
THEORY = {
    2: (
        ("0.000", "-2.231"),
        ("0.000", "-2.150"),
        ("0.555", "-2.128"),
        ("0.745", "-2.067"),
        ("0.858", "-1.935"),
        ("0.930", "-1.682"),
        ("0.971", "-1.297"),
    ),
    10: (
        ("0.000", "-3.108"),
        ("0.000", "-2.702"),
        ("0.446", "-2.661"),
        ("0.629", "-2.605"),
        ("0.767", "-2.486"),
        ("0.878", "-2.253"),
        ("0.948", "-1.882"),
    ),
}
TEST_POINTS = 5_000


def best_radius(sharpness: float, dimensions: int) -> float:
    """r*/R in [0, 1) of the likelihood's best sphere.

    Args:
        sharpness: R / sigma.
        dimensions: D, at least 2.
    """
    from scipy.optimize import brentq

    if sharpness**2 <= dimensions:
        return 0.0

    def excess(radius: float) -> float:
        return _mean_cosine(radius * sharpness**2, dimensions) - radius

    root: Any = brentq(excess, 1e-9, 1.0, xtol=1e-12)
    return root


def log_likelihood(radius: float, sharpness: float, dimensions: int) -> float:
    """E log p(x) of a point x of the data's sphere, under points spread evenly on a
    sphere of radius r with noise sigma; in units of R = 1, nats.

    p(x) = (2 pi sigma^2)^(-D/2) exp(-(1 + r^2) / (2 sigma^2)) E[exp(r cos / sigma^2)],
    the last factor a Bessel function.

    Args:
        radius: r.
        sharpness: 1 / sigma.
        dimensions: D, at least 2.
    """
    precision = sharpness**2
    constant = -dimensions / 2 * math.log(2 * math.pi / precision)
    quadratic = (1 + radius**2) * precision / 2
    return constant - quadratic + _log_mean_exp_cosine(radius * precision, dimensions)


def _log_mean_exp_cosine(t: float, dimensions: int) -> float:
    """log E[exp(t cos)] over directions spread evenly on the sphere."""
    from scipy.special import ive

    half = dimensions / 2
    bessel = ive(half - 1, t) if t > 1e-6 else 0.0
    if not bessel:  # it underflows: the series
        return t**2 / (2 * dimensions)
    scale = math.lgamma(half) + (1 - half) * math.log(t / 2)
    return scale + math.log(bessel) + t  # ive is scaled by exp(-t)


def _mean_cosine(t: float, dimensions: int) -> float:
    """I_{D/2}(t) / I_{D/2-1}(t): the mean resultant length of a von Mises-Fisher
    distribution.
    """
    from scipy.special import ive

    below = ive(dimensions / 2 - 1, t)
    if not below:  # both underflow: the series
        return t / dimensions
    return ive(dimensions / 2, t) / below


def _rows() -> Iterator[Row]:
    for dimensions in DIMENSIONS:
        for side, (radius, evidence) in zip(SIDES, THEORY[dimensions], strict=True):
            yield Row(
                f"D {dimensions}, {side:g} sqrt D",
                {"dimensions": dimensions, "side": side},
                {"radius": f"{radius} in theory", "evidence": f"{evidence} at most"},
            )


ROWS = list(_rows())


def measure(
    row: Row, seed: int, earlier: dict[str, Result], setting: Setting
) -> Result:
    """A trained VAE, R = 1: the mean radius on which it decodes its prior, that of its
    reconstructions, KL and evidence bound in nats.
    """
    import numpy as np

    from twostage.experiments import planar_task
    from twostage.metrics.likelihood_bounds import bounds
    from twostage.system.random_streams import Stream

    dimensions = row.settings["dimensions"]
    vae = _build_vae(dimensions, row.settings["side"], seed)

    def draw(count: int, generator: np.random.Generator) -> np.ndarray:
        return directions(count, dimensions, generator)

    planar_task.fit(vae, draw, dimensions=dimensions, seed=seed, epochs=setting.epochs)
    generator = np.random.default_rng((seed, Stream.SYNTHETIC_POINTS, 0, 1))
    points = directions(TEST_POINTS, dimensions, generator)
    generator = np.random.default_rng((seed, Stream.SYNTHETIC_PRIOR))
    z = generator.standard_normal((TEST_POINTS, dimensions), dtype="float32")
    bound = bounds(vae, points, samples=10, seed=seed, batch_rows=5_000)
    return {
        "radius": _mean_radius(vae, z),
        "reconstructed": _mean_radius(vae, vae.posterior(points)[0]),
        "kl": float(bound["rate"].mean()),
        "evidence": float(bound["evidence"].mean()),
    }


def _build_vae(dimensions: int, side: float, seed: int) -> Any:
    import keras

    from twostage.likelihoods.gaussian_likelihood import GaussianLikelihood
    from twostage.models.networks.berger_sebag import residual_decoder, residual_encoder
    from twostage.models.vae import VAE

    keras.utils.set_random_seed(seed)
    sigma = 1 / (side * math.sqrt(dimensions))
    likelihood = GaussianLikelihood(sigma, floor=1e-3)
    encoder = residual_encoder(dimensions, dimensions, width=100, blocks=2)
    decoder = residual_decoder(dimensions, dimensions, width=100, blocks=2)
    return VAE(encoder, decoder, likelihood, data_dtype="float32", seed=seed)


def _mean_radius(vae: Any, latents: Any) -> float:
    import numpy as np
    from keras import ops

    decoded = np.asarray(ops.convert_to_numpy(vae.decode(latents)))
    return float(np.linalg.norm(decoded, axis=1).mean())


def directions(
    count: int, dimensions: int, generator: "np.random.Generator"
) -> "np.ndarray":
    """(count, D) float32, evenly on the sphere of radius 1."""
    import numpy as np

    normal = generator.standard_normal((count, dimensions))
    unit = normal / np.linalg.norm(normal, axis=1, keepdims=True)
    return unit.astype("float32")


def figures(results: Results, setting: Setting) -> Iterator[Figure]:
    """Figure 2, and the trained VAEs beside the theory."""
    yield _likelihood_figure()
    for dimensions in DIMENSIONS:
        yield _radius_figure(results, dimensions)


def _likelihood_figure() -> Figure:
    """The root of the density in units of sigma, as Figure 2."""
    import numpy as np

    from twostage.reporting.charts import heat_map

    sharpness, radii = np.linspace(0.05, 4, 60), np.linspace(0, 4, 45)
    density = [
        [math.exp(log_likelihood(r / R, R, 2) / 2) / R for R in sharpness]
        for r in radii
    ]
    best = [best_radius(R, 2) * R for R in sharpness]
    drawn = heat_map(
        "root of p(x), D 2, over R / sigma and r / sigma",
        np.array(density),
        (0, 4),
        (0, 4),
        "R / sigma",
        ("best r", sharpness, best),
    )
    return Figure(
        drawn,
        "Figure 2: the lighter the higher. The best radius leaves 0 at R / sigma ="
        " sqrt 2.",
    )


def _radius_figure(results: Results, dimensions: int) -> Figure:
    import numpy as np

    from twostage.reporting.charts import chart

    sides = np.linspace(0.7, 3.1, 200)
    theory = [best_radius(side * math.sqrt(dimensions), dimensions) for side in sides]
    rows = [row for row in ROWS if row.settings["dimensions"] == dimensions]
    radii = [
        np.mean([result["radius"] for result in results[row.name]]) for row in rows
    ]
    series = [
        ("r* / R in theory", sides, theory),
        ("trained VAEs", [row.settings["side"] for row in rows], radii, "point"),
    ]
    drawn = chart(
        f"radius of what is decoded, D {dimensions}",
        series,
        "R / (sigma sqrt D)",
        y_range=(-0.02, 1.05),
    )
    return Figure(
        drawn,
        f"Trained VAEs, D {dimensions}, mean over seeds, on both sides of the threshold"
        " at 1.",
    )


EXPERIMENT = Experiment(
    name="hypersphere",
    title=(
        "Theorem 1 of Berger & Sebag: data on a hypersphere of radius R in D"
        " dimensions, and what a decoder with a fixed sigma makes of them."
    ),
    description=(
        "The best decoder maps the latents onto a sphere of radius r. r* is 0, the"
        " data's center, unless sigma < R / sqrt(D); above that r = R I_{D/2}(r R /"
        " sigma^2) / I_{D/2-1}(r R / sigma^2). Their text proves the weaker sigma >= R"
        " / sqrt(D - 1)."
    ),
    rows=ROWS,
    measure=measure,
    figures=figures,
    full_epochs=100,  # of 100 batches of 100 fresh points
    quick_epochs=20,
    seeds=3,
)
