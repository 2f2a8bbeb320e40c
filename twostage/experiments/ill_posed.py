"""The likelihood without a bound: sigma can run to 0 where the decoder hits a point."""

import math
from collections.abc import Iterator
from typing import Any

from twostage.experiments.experiment import (
    Experiment,
    Figure,
    Result,
    Results,
    Row,
    Setting,
)

DIMENSIONS = 10
BOUNDS = (1e-2, 1e-4, 1e-6)  # xi, of sigma^2
COPIES = 1_000  # of the one data point, in an epoch
BATCH_SIZE = 10
STEPS_PER_EPOCH = COPIES // BATCH_SIZE


def cap(xi: float) -> float:
    """The largest log likelihood of a point, nats, where sigma^2 >= xi."""
    return -DIMENSIONS / 2 * math.log(2 * math.pi * xi)


def _bounded_row(xi: float) -> Row:
    paper = {"log_likelihood": f"at most {cap(xi):.2f}"}
    return Row(f"sigma^2 >= {xi:g}", {"xi": xi}, paper)


ROWS = [
    Row("no bound", {"xi": 0.0}, {"log_likelihood": "unbounded"}),
    *[_bounded_row(xi) for xi in BOUNDS],
]


def measure(
    row: Row, seed: int, earlier: dict[str, Result], setting: Setting
) -> Result:
    """One row: the log likelihood at the end and half way, in nats, the rate, and the
    log likelihood of each epoch.
    """
    import numpy as np

    from twostage.experiments.progress import epoch_bar

    vae = _build_vae(row.settings["xi"], seed, setting.epochs)
    point = np.random.default_rng(0).random((1, DIMENSIONS), dtype="float32")
    data = np.tile(point, (COPIES, 1))
    with epoch_bar(setting.epochs, f"{row.name}, seed {seed}") as bar:
        history = vae.fit(
            data,
            batch_size=BATCH_SIZE,
            epochs=setting.epochs,
            verbose=0,
            callbacks=[bar],
        ).history
    curve = [-value for value in history["reconstruction"]]
    return {
        "log_likelihood": curve[-1],
        "kl": history["kl"][-1],
        "half_way": curve[len(curve) // 2],
        "curve": curve,
    }


def _build_vae(xi: float, seed: int, epochs: int) -> Any:
    """A compiled VAE whose decoder has a sigma^2 >= xi for each dimension."""
    import keras

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
    encoder = residual_encoder(DIMENSIONS, width=50, blocks=1)
    likelihood = DiagonalGaussianLikelihood(xi**0.5)
    vae = VAE(encoder, decoder, likelihood, data_dtype="float32", seed=seed)
    decay: Any = keras.optimizers.schedules.CosineDecay(1e-2, STEPS_PER_EPOCH * epochs)
    vae.compile(keras.optimizers.Adam(decay), jit_compile=jit_compile())
    return vae


def figures(results: Results, setting: Setting) -> Iterator[Figure]:
    """The log likelihood over the epochs, seed 0."""
    from twostage.reporting.charts import chart

    epochs = range(1, setting.epochs + 1)
    series = [
        (name, epochs, row_results[0]["curve"]) for name, row_results in results.items()
    ]
    title = "log likelihood of the point, nats"
    yield Figure(
        chart(title, series, "epoch", y_range=(-20, 100)),
        "Without a bound the log likelihood grows as long as one trains; with sigma^2"
        " at least xi it stops at -(D / 2) log(2 pi xi).",
    )


EXPERIMENT = Experiment(
    name="ill_posed",
    title=(
        "The likelihood without a bound: one data point; the decoder hits it and lets"
        " its sigma run to 0."
    ),
    description=(
        "With sigma^2 >= xi the log likelihood stops at -(D / 2) log(2 pi xi); without,"
        " it grows as long as one trains."
    ),
    rows=ROWS,
    measure=measure,
    figures=figures,
    full_epochs=40,  # of 100 steps
    quick_epochs=10,
    seeds=3,
)
