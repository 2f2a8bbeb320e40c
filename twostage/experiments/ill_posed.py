"""`python -m twostage.experiments.ill_posed`: the likelihood without a bound. One data
point; the decoder hits it and lets its sigma run to 0.

With sigma^2 >= xi the log likelihood stops at -(D / 2) log(2 pi xi); without, it grows
as long as one trains (seed_facts 6.21).
"""

import math

from twostage.experiments.table import Row
from twostage.reporting.charts import chart

LENGTH, QUICK, SEEDS = 40, 10, 3  # epochs of 100 steps
DIMENSIONS = 10


def cap(xi):
    """The largest log likelihood of a point, nats, where sigma^2 >= xi."""
    return -DIMENSIONS / 2 * math.log(2 * math.pi * xi)


ROWS = [Row("no bound", {"xi": 0.0}, {"log_likelihood": "unbounded"})]
ROWS += [
    Row(f"sigma^2 >= {xi:g}", {"xi": xi}, {"log_likelihood": f"at most {cap(xi):.2f}"})
    for xi in (1e-2, 1e-4, 1e-6)
]


def measured(row, seed, found, setting):
    """One row: the log likelihood reached, the bound's rate beside it, and the curve an
    epoch.
    """
    import keras
    import numpy as np

    from twostage.likelihoods.diagonal_gaussian_likelihood import (
        DiagonalGaussianLikelihood,
    )
    from twostage.models.compilation import jit_compile
    from twostage.models.networks.berger_sebag import residual_decoder, residual_encoder
    from twostage.models.vae import VAE

    keras.utils.set_random_seed(seed)
    decoder = residual_decoder(
        DIMENSIONS, width=50, blocks=1, heads=("linear", "linear")
    )
    vae = VAE(
        residual_encoder(DIMENSIONS, width=50, blocks=1),
        decoder,
        DiagonalGaussianLikelihood(row.settings["xi"] ** 0.5),
        data_dtype="float32",
        seed=seed,
    )
    vae.compile(
        keras.optimizers.Adam(
            keras.optimizers.schedules.CosineDecay(1e-2, 100 * setting.epochs)
        ),
        jit_compile=jit_compile(),
    )
    point = np.tile(
        np.random.default_rng(0).random((1, DIMENSIONS), dtype="float32"), (1_000, 1)
    )  # of 10 copies a batch
    history = vae.fit(point, batch_size=10, epochs=setting.epochs, verbose=0).history
    curve = [-value for value in history["reconstruction"]]
    return {
        "log_likelihood": curve[-1],
        "kl": history["kl"][-1],
        "half_way": curve[len(curve) // 2],
        "curve": curve,
    }


def figures(results, setting):
    """The log likelihood over the epochs, seed 0."""
    epochs = range(1, setting.epochs + 1)
    drawn = chart(
        "log likelihood of the point, nats",
        [(name, epochs, first["curve"]) for name, (first, *_) in results.items()],
        "epoch",
        y_range=(-20, 100),
    )
    yield (
        drawn,
        (
            "Without a bound the log likelihood grows as long as one trains; with"
            " sigma^2 at least xi it stops at -(D / 2) log(2 pi xi)."
        ),
    )
