"""`python -m twostage.experiments.gamma_rules`: every way of finding stage 1's gamma,
with the same networks, data and second stage, on several seeds.

No paper has this table: Asperti & Trentin compare their running minimum with a learned
gamma (Tables 2 and 3), and their text with their code only here.
"""

from twostage import presets
from twostage.experiments.table import Row, named
from twostage.reporting.charts import chart
from twostage.system import files

LENGTH, QUICK, SEEDS, DATA = (
    700,
    7,
    5,
    "cifar10",
)  # epochs of stage 1; all else in the proportion of the data's preset
ROWS = [
    *[
        Row(rule, {"gamma_rule": rule})
        for rule in ("minimum", "ratchet", "ema", "batch")
    ],
    *[
        Row(
            f"learned, rate times {times}",
            {"gamma": "learned", "gamma_multiplier": float(times)},
        )
        for times in (1, 10)
    ],
]


def measured(row, seed, found, setting):
    """Both stages and their distances; how far gamma lies from the error, and the
    latents from the prior.
    """
    from twostage.experiments import two_stage_runs

    preset = named(setting.data, presets.PRESETS, "preset")
    first, second = (presets.resolve(number, preset) for number in (1, 2))

    def length(stage):
        return {
            "epochs": stage.epochs,
            "halve_every": stage.halve_every,
        }

    whole_row = Row(
        row.name,
        {"stage1": {**length(first), **row.settings}, "stage2": length(second)},
    )
    result = two_stage_runs.evaluated(
        whole_row, seed, setting, first.epochs, preset, mixtures=(10,)
    )
    end, likelihood = (
        files.read_json(setting.path(row, seed) / "results.json")["stage1"],
        result["likelihood"],
    )
    return {
        **two_stage_runs.told(result),
        "training mse": end["mse"],
        "gamma^2 over training mse": end["gamma"] ** 2 / end["mse"],
        "KL": likelihood["rate"],
        "evidence": likelihood["evidence"],
        "energy distance of z": result["latents"]["normality"]["z of stage 1"][
            "energy_distance"
        ],
    }


def figures(results, setting):
    """Samples and reconstructions over the KL divergence that a rule leads to: a dot a
    seed.
    """
    for name in ("REC", "GEN-1", "GEN-2 normalised", "energy distance of z"):
        series = [
            (row, [one["KL"] for one in ones], [one[name] for one in ones], "point")
            for row, ones in results.items()
        ]
        yield chart(f"{name} over KL", series, "KL, nats"), "A dot a seed."
