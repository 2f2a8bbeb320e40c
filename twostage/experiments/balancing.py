"""Asperti & Trentin on CIFAR-10: a computed gamma, measured along one training."""

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

# Of stage 1 with a computed gamma; other lengths are in proportion.
FULL_EPOCHS = 700
LEARNED = {"gamma": "learned", "gamma_multiplier": 1.0}
COLUMNS_1 = ("REC", "GEN-1", "GEN-2", "mse", "variance law")
# By epochs; +- standard deviation over ten runs.
TABLE_1 = {
    50: ("120.9 +- 5.8", "134.9 +- 5.9", "143.8 +- 9.7", ".0089", "1.012"),
    100: ("86.6 +- 2.5", "101.8 +- 3.1", "103.5 +- 3.2", ".0071", ".969"),
    150: ("76.5 +- 2.3", "95.9 +- 2.8", "93.3 +- 2.8", ".0062", ".939"),
    200: ("69.3 +- 2.1", "91.4 +- 2.5", "84.0 +- 2.5", ".0056", ".918"),
    250: ("64.6 +- 2.0", "88.9 +- 2.3", "80.1 +- 2.2", ".0052", ".922"),
    300: ("61.9 +- 1.8", "87.0 +- 2.1", "77.1 +- 2.0", ".0049", ".925"),
    350: ("60.1 +- 1.7", "85.5 +- 1.9", "75.0 +- 1.8", ".0047", ".928"),
    400: ("58.8 +- 1.5", "84.4 +- 1.8", "73.8 +- 1.7", ".0046", ".930"),
    450: ("57.2 +- 1.3", "83.3 +- 1.7", "72.7 +- 1.6", ".0045", ".937"),
    500: ("56.1 +- 1.2", "82.3 +- 1.6", "71.8 +- 1.5", ".0044", ".942"),
    550: ("55.3 +- 1.1", "81.7 +- 1.5", "71.2 +- 1.4", ".0043", ".946"),
    600: ("54.8 +- 1.1", "81.2 +- 1.4", "70.6 +- 1.3", ".0043", ".950"),
    650: ("54.2 +- 1.0", "80.7 +- 1.4", "70.2 +- 1.2", ".0042", ".954"),
    700: ("53.8 +- .9", "80.2 +- 1.3", "69.8 +- 1.1", ".0041", ".957"),
}
COLUMNS_5 = ("inactive", "REC", "GEN-1", "GEN-2", "mse")
# By learning rate.
TABLE_5 = {
    2e-4: ("13", "53.0", "80.6", "74.5", ".0039"),
    1.5e-4: ("15", "53.3", "79.9", "71.8", ".0040"),
    5e-5: ("19", "58.2", "83.2", "75.8", ".0047"),
}
LEARNED_PAPER = {
    "REC": "54.1 +- .9",
    "GEN-1": "76.8 +- 1.2",
    "GEN-2": "73.1 +- 1.2",
}


def _row(
    name: str,
    paper: dict[str, str],
    *,
    stage1: dict[str, Any],
    stage2: dict[str, Any] | None = None,
    epochs: int = FULL_EPOCHS,
    continues: str | None = None,
) -> Row:
    """Stage 2 is twice as long as stage 1; its learning rate halves in proportion."""
    lengths = {"epochs": 2 * epochs, "halve_every": 400 * epochs // FULL_EPOCHS}
    settings = {
        "stage1": {"epochs": epochs, **stage1},
        "stage2": {**lengths, **(stage2 or {})},
    }
    return Row(name, settings, paper, continues)


def _computed_name(epochs: int) -> str:
    return f"computed, {epochs} epochs"


def _table_1_rows() -> Iterator[Row]:
    """Table 1: one training, measured along the way, each time with a second stage of
    twice the length. The learning rate is halved every 250 epochs at any length.
    """
    previous = None
    for epochs, numbers in TABLE_1.items():
        row = _row(
            _computed_name(epochs),
            dict(zip(COLUMNS_1, numbers, strict=True)),
            stage1={"halve_every": 250},
            epochs=epochs,
            continues=previous,
        )
        previous = row.name
        yield row


def _table_5_rows() -> Iterator[Row]:
    """Table 5: other learning rates."""
    for rate, numbers in TABLE_5.items():
        yield _row(
            f"computed, rate {rate:g}",
            dict(zip(COLUMNS_5, numbers, strict=True)),
            stage1={"learning_rate": rate, "halve_every": 250},
        )


LEARNED_ROW = _row(
    "learned, 1000 epochs",
    LEARNED_PAPER,
    stage1={**LEARNED, "halve_every": 300},
    stage2={**LEARNED, "halve_every": 600},
    epochs=1000,
)


def measure(
    row: Row, seed: int, earlier: dict[str, Result], setting: Setting
) -> Result:
    """A row of both stages. The paper does not say whether its GEN-2 is of normalized
    latents; ours has each sampler.
    """
    from twostage.experiments import two_stage_runs

    return two_stage_runs.measure_row(
        row, seed, setting=setting, full_epochs=FULL_EPOCHS, preset="cifar10"
    )


# Charts over the epochs: their titles, and the numbers in each.
CHARTS = {
    "distance of images (FD)": ("REC", "GEN-1", "GEN-2 mean", "GEN-2 normalized"),
    "mse": ("mse",),
    "variance law": ("variance law", "variance law, E[sigma]"),
    "inactive latents": ("inactive", "inactive, E[sigma]"),
}


def figures(results: Results, setting: Setting) -> Iterator[Figure]:
    """Table 1 as curves, mean over the seeds."""
    from twostage.experiments.two_stage_runs import shortened
    from twostage.reporting.charts import chart

    share = setting.epochs / FULL_EPOCHS
    epochs = [shortened(length, share) for length in TABLE_1]
    for title, quantities in CHARTS.items():
        series = [
            (quantity, epochs, _means(results, quantity), "marked")
            for quantity in quantities
        ]
        drawn = chart(title, series, "epoch of stage 1")
        yield Figure(drawn, "Table 1 along one training.")


def _means(results: Results, quantity: str) -> list[float]:
    """Mean over the seeds at each length of Table 1."""
    means = []
    for epochs in TABLE_1:
        row_results = results[_computed_name(epochs)]
        values = [result[quantity] for result in row_results]
        means.append(sum(values) / len(values))
    return means


EXPERIMENT = Experiment(
    name="balancing",
    title=(
        'Tables 1, 2 and 5 of "Balancing reconstruction error and Kullback-Leibler'
        ' divergence" (Asperti & Trentin): CIFAR-10.'
    ),
    rows=[*_table_1_rows(), LEARNED_ROW, *_table_5_rows()],
    measure=measure,
    figures=figures,
    full_epochs=FULL_EPOCHS,
    quick_epochs=7,
    seeds=10,
    data="cifar10",
    measures_distances=True,
    takes_precision=True,
)
