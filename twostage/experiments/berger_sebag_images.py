"""Berger & Sebag on MNIST: squared error against a sigma for each pixel."""

import math
from collections.abc import Iterator

from twostage.experiments.experiment import (
    Experiment,
    Figure,
    Result,
    Results,
    Row,
    Setting,
)

COMMON = {
    "network": "convolutional",
    "latent_dim": 256,
    "pad": 0,
    "learning_rate": 1e-3,
}
ROWS = [
    Row("F-VAE", {"gamma": "fixed", "gamma_start": math.sqrt(0.5)}, {"bits": ".06"}),
    Row("LV-VAE", {"likelihood": "diagonal"}, {"bits": "4.89"}),
]
TEST_IMAGES = 1_000  # whose likelihood is bounded
IMPORTANCE_SAMPLES = 10


def measure(
    row: Row, seed: int, earlier: dict[str, Result], setting: Setting
) -> Result:
    """Evidence bound of test images.

    `bits` is log2 of the density of a pixel in [0, 1], which the floor of sigma bounds,
    without the constant log 2 pi, as the paper's. `evidence` is in nats per image, with
    it. Besides, the rate and the squared error per pixel.
    """
    from twostage.evaluation import likelihood_metrics
    from twostage.experiments import image_runs

    vae, config = image_runs.train_row(row, seed, setting=setting, common=COMMON)
    test = image_runs.split_images(config, "test", count=TEST_IMAGES)
    path = setting.path(row.name, seed, ".png")
    image_runs.draw(vae, test, path=path, seed=seed, noisy=True)
    bound = likelihood_metrics.likelihood_metrics(
        vae, test, importance_samples=IMPORTANCE_SAMPLES, seed=seed
    )
    nats_per_pixel = bound["evidence"] / test[0].size + math.log(2 * math.pi) / 2
    return {
        "bits": nats_per_pixel / math.log(2),
        "evidence": bound["evidence"],
        "rate": bound["rate"],
        "mse": bound["mse"],
        "fd": image_runs.distance(vae, config, setting=setting, seed=seed),
    }


def figures(results: Results, setting: Setting) -> Iterator[Figure]:
    """Means and samples side by side, seed 0."""
    for name in results:
        yield Figure(
            setting.path(name, 0, ".png"),
            f"{name}: test images; means of their reconstructions, samples of these;"
            " means of samples of the prior, samples of these (Figures 5, 11 to 14).",
        )


EXPERIMENT = Experiment(
    name="berger_sebag_images",
    title=(
        "Table 2 and Figures 5, 11 to 14 (MNIST) of Berger & Sebag: squared error"
        " against a sigma of the decoder for each pixel."
    ),
    rows=ROWS,
    measure=measure,
    figures=figures,
    full_epochs=1000,
    quick_epochs=5,
    seeds=1,
    data="mnist",
    measures_distances=True,
    takes_precision=True,
)
