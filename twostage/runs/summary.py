"""results.json and report.md of a run: what the training itself measured."""

from pathlib import Path

import keras
import numpy as np

from twostage.sampling import generate
from twostage.system import files


def write(run, **figures):
    """Merges `figures` into RUN/results.json, where None takes one away, and writes
    RUN/report.md from the whole.
    """
    path = Path(run) / "results.json"
    results = {**files.read_json(path), **figures}
    results = {name: value for name, value in results.items() if value is not None}
    files.write_json(path, results)
    files.write(Path(run) / "report.md", _text(Path(run).name, results))


def stage_figures(config, rows, log_var):
    """The last epoch's logs, the epoch in which gamma's floor first bound, and
    E[sigma^2] of each latent, sorted.
    """
    at_floor = [
        row["epoch"]
        for row in rows
        if row.get("gamma", 1.0) <= config.gamma_floor * 1.000001
    ]
    return {
        **{name: value for name, value in rows[-1].items() if value == value},
        "gamma_at_floor_since_epoch": at_floor[0] if at_floor else None,
        "posterior_variance_per_latent": [
            round(float(variance), 4) for variance in np.sort(np.exp(log_var).mean(0))
        ],
    }


def latent_figures(stage2, normalizer, seed):
    """Standard deviations of 10,000 latents before and after normalisation; `seed` is
    not that of the normaliser's statistics.
    """
    before = generate.many_latents(stage2, 10_000, seed)
    after = keras.ops.convert_to_numpy(normalizer(before))
    deviations = {"deviation_before": before.std(0), "deviation_after": after.std(0)}
    summaries = {
        name: {"mean": d.mean(), "smallest": d.min(), "largest": d.max()}
        for name, d in deviations.items()
    }
    return {
        "target": normalizer.target,
        **{
            name: {key: float(v) for key, v in d.items()}
            for name, d in summaries.items()
        },
    }


def _text(name, results):
    lines = [
        f"# Run {name}",
        "",
        (
            "Figures of the training set at the last epoch, in the training mode."
            " Losses in nats an example, mse a dimension."
        ),
    ]
    for stage in ("stage1", "stage2"):
        if stage in results:
            lines += ["", f"## {stage}", "", "| figure | value |", "| --- | --- |"]
            lines += [
                f"| {key} | {_show(value)} |"
                for key, value in results[stage].items()
                if not isinstance(value, list)
            ]
            lines += ["", f"![latents]({stage}/images/latents.png)"]
    if "latents" in results:
        before, after = (
            results["latents"]["deviation_before"],
            results["latents"]["deviation_after"],
        )
        lines += [
            "",
            "## Latents of stage 2",
            "",
            "Standard deviation over 10,000 draws; mean, smallest and largest latent.",
        ]
        lines += [
            f"- {when} normalisation: {d['mean']:.3f}, {d['smallest']:.3f},"
            f" {d['largest']:.3f}"
            for when, d in (("before", before), ("after", after))
        ]
    if "batch_normalisation" in results:
        choice = results["batch_normalisation"]
        lines += [
            "",
            (
                f"The SavedModel has the batch normalisation {choice['chosen']};"
                f" recalibration changes the evidence bound by {choice['gain']:+.2f} +-"
                f" {choice['gain_error']:.2f} nats on {choice['decided_by']}."
            ),
        ]
    return "\n".join(lines) + "\n"


def _show(value):
    return f"{value:.5g}" if isinstance(value, float) else str(value)
