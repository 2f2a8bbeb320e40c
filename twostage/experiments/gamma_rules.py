"""Every rule for stage 1's gamma, with one second stage."""

from collections.abc import Iterator
from typing import Any

from twostage import presets
from twostage.config import Stage1Config, Stage2Config
from twostage.experiments.experiment import (
    Experiment,
    Figure,
    Result,
    Results,
    Row,
    Setting,
)

RULES = ("minimum", "ratchet", "ema", "batch")
MULTIPLIERS = (1, 10)  # of the learning rate of a learned gamma
MIXTURES = (10,)
QUANTITIES_IN_FIGURES = ("REC", "GEN-1", "GEN-2 normalized", "energy distance of z")


def _learned_row(multiplier: int) -> Row:
    settings = {"gamma": "learned", "gamma_multiplier": float(multiplier)}
    return Row(f"learned, rate times {multiplier}", settings)


ROWS = [
    *[Row(rule, {"gamma_rule": rule}) for rule in RULES],
    *[_learned_row(multiplier) for multiplier in MULTIPLIERS],
]


def measure(
    row: Row, seed: int, earlier: dict[str, Result], setting: Setting
) -> Result:
    """Both stages and their distances; how far gamma lies from the error, and the
    latents from the prior.
    """
    from twostage.experiments import two_stage_runs
    from twostage.system import files

    preset = two_stage_runs.known_data(setting.data, presets.PRESETS, what="preset")
    stage1, stage2 = presets.resolve(1, preset), presets.resolve(2, preset)
    settings = {
        "stage1": {**_lengths(stage1), **row.settings},
        "stage2": _lengths(stage2),
    }
    evaluation = two_stage_runs.evaluate_row(
        Row(row.name, settings),
        seed,
        setting=setting,
        full_epochs=stage1.epochs,
        preset=preset,
        mixtures=MIXTURES,
    )
    summary = files.read_json(setting.path(row.name, seed) / "results.json")
    return {
        **two_stage_runs.table_numbers(evaluation),
        **_gamma_numbers(summary["stage1"]),
        **_latent_numbers(evaluation),
    }


def figures(results: Results, setting: Setting) -> Iterator[Figure]:
    """Samples and reconstructions over the KL divergence that a rule leads to: a point
    per seed.
    """
    from twostage.reporting.charts import chart

    for quantity in QUANTITIES_IN_FIGURES:
        series = []
        for name, row_results in results.items():
            kl = [result["KL"] for result in row_results]
            values = [result[quantity] for result in row_results]
            series.append((name, kl, values, "point"))
        yield Figure(
            chart(f"{quantity} over KL", series, "KL, nats"), "A point per seed."
        )


def _lengths(config: Stage1Config | Stage2Config) -> dict[str, int]:
    return {"epochs": config.epochs, "halve_every": config.halve_every}


def _gamma_numbers(training: dict[str, Any]) -> Result:
    """Of the last epoch of stage 1."""
    mse = training["mse"]
    return {
        "training mse": mse,
        "gamma^2 over training mse": training["gamma"] ** 2 / mse,
    }


def _latent_numbers(evaluation: dict[str, Any]) -> Result:
    likelihood = evaluation["likelihood"]
    normality = evaluation["latents"]["normality"]["z of stage 1"]
    return {
        "KL": likelihood["rate"],
        "evidence": likelihood["evidence"],
        "energy distance of z": normality["energy_distance"],
    }


EXPERIMENT = Experiment(
    name="gamma_rules",
    title=(
        "Every rule for stage 1's gamma, with the same networks, data and second"
        " stage, on several seeds."
    ),
    description=(
        "No paper has this table: Asperti & Trentin compare their running minimum with"
        " a learned gamma (Tables 2 and 3); only here is their text compared with their"
        " code."
    ),
    rows=ROWS,
    measure=measure,
    figures=figures,
    full_epochs=700,  # of stage 1; all else in the proportion of the data's preset
    quick_epochs=7,
    seeds=5,
    data="cifar10",
    measures_distances=True,
    takes_precision=True,
)
