"""`python -m twostage.experiments.berger_sebag_images`: Table 2 and Figures 5, 11 to 14
(MNIST) of Berger & Sebag: squared error against a sigma of the decoder for each pixel.
"""

import math

from twostage.experiments.table import Row

LENGTH, QUICK, SEEDS, DATA = 1000, 5, 1, "mnist"
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
BOUNDED = 1_000  # test images


def measured(row, seed, found, setting):
    """Evidence bound of test images: `bits`, log2 of the density of a pixel in [0, 1],
    which the floor of sigma bounds, without the constant log 2 pi, as the paper's; nats
    an image, with it; rate; squared error a pixel.
    """
    from twostage.evaluation import likelihood_metrics
    from twostage.experiments import image_runs

    vae, config = image_runs.trained(row, seed, setting, COMMON)
    test = image_runs.split_images(config, "test", BOUNDED)
    image_runs.draw(vae, test, setting.path(row, seed, ".png"), seed, noisy=True)
    bound = likelihood_metrics.likelihood_metrics(
        vae, test, importance_samples=10, seed=seed
    )
    return {
        "bits": (
            (bound["evidence"] / test[0].size + math.log(2 * math.pi) / 2) / math.log(2)
        ),
        "evidence": bound["evidence"],
        "rate": bound["rate"],
        "mse": bound["mse"],
        "fd": image_runs.distance(vae, config, setting, seed),
    }


def figures(results, setting):
    """Means and samples side by side, seed 0."""
    for row in ROWS:
        yield (
            setting.path(row, 0, ".png"),
            (
                f"{row.name}: test images; means of their reconstructions, samples of"
                " these; means of samples of the prior, samples of these (Figures 5,"
                " 11 to 14)."
            ),
        )
