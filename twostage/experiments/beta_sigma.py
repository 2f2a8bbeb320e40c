"""Kim & Lee's Beta-Sigma VAE: beta with a constant decoder variance, and apart from an
optimal one.
"""

import math
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

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

COMMON = {
    "network": "beta_sigma",
    "latent_dim": 32,
    "pad": 0,
    "batch_size": 128,
    "learning_rate": 1e-3,
}
BETAS = (0.01, 0.1, 1.0, 10.0, 100.0)
CONSTANT, BETA_SIGMA = "constant", "Beta-Sigma"
FAMILIES = {
    CONSTANT: {"gamma": "fixed", "gamma_start": math.sqrt(0.5)},  # S + beta KL
    BETA_SIGMA: {"likelihood": "optimal_image"},
}
COLUMNS = ("FID", "test", "train")  # log likelihood of test and training images
# A line per beta.
PAPER = {
    CONSTANT: (
        (190.3, 667, 659),
        (163.6, 626, 618),
        (225.8, 291, 286),
        (351.7, -19, -20),
        (352.5, -19, -20),
    ),
    BETA_SIGMA: (
        (67.4, 796, 788),
        (75.5, 850, 840),
        (59.2, 887, 877),
        (38.4, 662, 656),
        (332.8, -15, -17),
    ),
}
MAX_IMAGES = 10_000  # of each split, that are measured
MODELS_OF_FIGURE_1 = {
    "constant 10": " Model A of Figure 1.",
    "Beta-Sigma 1": " Model B of Figure 1.",
}


def _name(family: str, beta: float) -> str:
    return f"{family} {beta:g}"


def _row(family: str, beta: float, paper: dict[str, str]) -> Row:
    settings = {**FAMILIES[family], "kl_weight": beta}
    return Row(_name(family, beta), settings, paper)


def _table_1_rows() -> Iterator[Row]:
    for family, lines in PAPER.items():
        for beta, line in zip(BETAS, lines, strict=True):
            texts = [str(number) for number in line]
            yield _row(family, beta, dict(zip(COLUMNS, texts, strict=True)))


# Not in the paper: near the rate of Beta-Sigma 10, where a straight line from .1 to 1
# lies above the curve.
ROWS = [*_table_1_rows(), _row(CONSTANT, 0.4, {})]


def measure(
    row: Row, seed: int, earlier: dict[str, Result], setting: Setting
) -> Result:
    """The distance of samples, and in nats per image: rate, and the evidence bound of
    test and training images with the variance at each image's optimum, as the paper's;
    of test images also at the optimum of them all, and, of a constant variance, at its
    other readings.
    """
    from twostage.experiments import image_runs
    from twostage.likelihoods.conventions import constant_sigma_readings

    vae, config = image_runs.train_row(row, seed, setting=setting, common=COMMON)
    readings, rates, images = {}, {}, {}
    for split in ("test", "train"):
        images[split] = image_runs.split_images(config, split, count=MAX_IMAGES)
        errors, kl = image_runs.errors_and_rate(vae, images[split], seed=seed)
        dimensions = images[split][0].size
        readings[split] = constant_sigma_readings(
            errors, kl, dimensions=dimensions, beta=config.kl_weight
        )
        rates[split] = float(kl.mean())
    path = setting.path(row.name, seed, ".png")
    image_runs.draw(vae, images["test"], path=path, seed=seed)
    result = {
        "fd": image_runs.distance(vae, config, setting=setting, seed=seed),
        "test": readings["test"]["optimal_image"],
        "train": readings["train"]["optimal_image"],
        "rate": rates["test"],
        "one optimum": readings["test"]["optimal"],
    }
    if row.name.startswith(CONSTANT):
        result["beta / 2"] = readings["test"]["beta"]
        result["1 / 2"] = readings["test"]["half"]
    return result


def distortions(
    results: Results, family: str, reading: str
) -> "tuple[np.ndarray, np.ndarray]":
    """(rates, distortions) of a family of models, means over the seeds, from the lowest
    rate.
    """
    import numpy as np

    names = [name for name in results if name.startswith(family)]
    rates = np.array([_mean(results[name], "rate") for name in names])
    bounds = np.array([_mean(results[name], reading) for name in names])
    order = np.argsort(rates)
    return rates[order], -(bounds + rates)[order]


def gains(results: Results, reading: str) -> list[tuple[float, float]]:
    """[(rate, nats)]: at each rate of the Beta-Sigma VAE that the constant variance's
    rates enclose, by how much its distortion is lower than theirs, interpolated
    linearly.
    """
    import numpy as np

    rates, ours = distortions(results, BETA_SIGMA, reading)
    constant_rates, constant_distortions = distortions(results, CONSTANT, reading)
    gain = np.interp(rates, constant_rates, constant_distortions) - ours
    inside = (rates >= constant_rates[0]) & (rates <= constant_rates[-1])
    return list(zip(rates[inside].tolist(), gain[inside].tolist(), strict=True))


def figures(results: Results, setting: Setting) -> Iterator[Figure]:
    """Figure 3: distortion over rate; Table 1 over beta; Figures 1 and 4: images of
    each row, seed 0.
    """
    title = "variance at each image's optimum"
    yield _distortion_figure(results, title, ("test",))
    title = "the readings of a constant variance"
    yield _distortion_figure(results, title, ("one optimum", "beta / 2", "1 / 2"))
    title = "evidence bound of test images, nats"
    yield _beta_figure(results, title, "test")
    title = "distance of samples (FD of a classifier)"
    yield _beta_figure(results, title, "fd")
    for name in results:
        model = MODELS_OF_FIGURE_1.get(name, "")
        yield Figure(
            setting.path(name, 0, ".png"),
            f"{name}: test images, reconstructions, samples (Figure 4).{model}",
        )


def best_betas(results: Results, quantity: str) -> str:
    """Which beta is the best in each family, in words."""
    best = max if quantity != "fd" else min
    found = []
    for family in FAMILIES:
        means = {beta: _mean(results[_name(family, beta)], quantity) for beta in BETAS}
        beta = best(means, key=means.__getitem__)
        found.append(f"{beta:g} ({family})")
    return f"The best beta: {', '.join(found)}."


def _mean(row_results: Sequence[Result], quantity: str) -> float:
    import numpy as np

    return float(np.mean([result[quantity] for result in row_results]))


def _distortion_figure(results: Results, title: str, readings: Sequence[str]) -> Figure:
    """The first reading is the Beta-Sigma VAE's, too."""
    from twostage.reporting.charts import chart

    series = []
    for reading in readings:
        label = f"{CONSTANT}, {reading}" if len(readings) > 1 else CONSTANT
        series.append((label, *distortions(results, CONSTANT, reading), "marked"))
    optimum = distortions(results, BETA_SIGMA, readings[0])
    series.append((BETA_SIGMA, *optimum, "marked"))
    gained = ", ".join(
        f"{gain:+.0f} at rate {rate:.1f}" for rate, gain in gains(results, readings[0])
    )
    return Figure(
        chart(f"distortion over rate, nats: {title}", series, "rate"),
        "Figure 3, test images, the lower the better. The Beta-Sigma VAE's distortion"
        f" is lower by {gained}.",
    )


def _beta_figure(results: Results, title: str, quantity: str) -> Figure:
    from twostage.reporting.charts import chart

    log_betas = [math.log10(beta) for beta in BETAS]
    series = []
    for family in FAMILIES:
        rows = [results[_name(family, beta)] for beta in BETAS]
        means = [_mean(row_results, quantity) for row_results in rows]
        series.append((family, log_betas, means, "marked"))
    return Figure(
        chart(title, series, "log10 beta"),
        f"Table 1, mean over the seeds. {best_betas(results, quantity)}",
    )


EXPERIMENT = Experiment(
    name="beta_sigma",
    title=(
        "Table 1 (MNIST) and Figures 1, 3 and 4 of the Beta-Sigma VAE (Kim & Lee): beta"
        " with a constant decoder variance, and apart from an optimal one."
    ),
    rows=ROWS,
    measure=measure,
    figures=figures,
    full_epochs=50,
    quick_epochs=5,
    seeds=5,
    data="mnist",
    measures_distances=True,
    takes_precision=True,
)
