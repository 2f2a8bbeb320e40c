"""results.json and report.md of a run: what the training itself measured."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from twostage.models.tensors import to_numpy
from twostage.models.vae import VAE
from twostage.sampling import generate
from twostage.system import files

BATCH_NORMALIZATION = {
    "batch_normalization": "Stage 1",
    "exported_batch_normalization": "The SavedModel",
}  # key of the results -> the model
# where stage 2 was removed
WITHOUT_STAGE2: dict[str, Any] = {"stage2": None, "latents": None, "sampling": None}
TABLE_HEAD = ["| metric | value |", "| --- | --- |"]


def write(run: str | Path, **results: Any) -> None:
    """Merges `results` into RUN/results.json, where None removes one, and writes
    RUN/report.md from the whole.
    """
    path = Path(run) / "results.json"
    merged = {**files.read_json(path), **results}
    merged = {name: value for name, value in merged.items() if value is not None}
    files.write_json(path, merged)
    files.write(Path(run) / "report.md", _report(Path(run).resolve().name, merged))


def stage_numbers(
    config: Any,
    rows: Sequence[dict[str, float]],
    kept: dict[str, float],
    log_var: np.ndarray,
) -> dict[str, Any]:
    """What the kept epoch logged, the epoch in which gamma's floor first bound, and
    E[sigma^2] of each latent, sorted.

    Args:
        config: The stage's settings.
        rows: The history, a dict per epoch.
        kept: Of them that of the epoch whose weights are kept.
        log_var: Of the posterior, (N, k).
    """
    floor = config.gamma_floor * 1.000001
    at_floor = [row["epoch"] for row in rows if row.get("gamma", 1.0) <= floor]
    variances = np.sort(np.exp(log_var).mean(0))
    numbers = {name: value for name, value in kept.items() if value == value}
    return {
        **numbers,
        "gamma_at_floor_since_epoch": at_floor[0] if at_floor else None,
        "posterior_variance_per_latent": [round(float(v), 4) for v in variances],
    }


def latent_numbers(stage2: VAE, normalizer: Any, seed: Any) -> dict[str, Any]:
    """Standard deviations of 10,000 latents before and after normalization.

    Args:
        stage2: The second stage.
        normalizer: Its `LatentNormalizer`.
        seed: Not that of the normalizer's statistics.
    """
    before = generate.many_latents(stage2, 10_000, seed)
    after = to_numpy(normalizer(before))
    return {
        "target": normalizer.target,
        "deviation_before": _range(before.std(0)),
        "deviation_after": _range(after.std(0)),
    }


def _range(values: np.ndarray) -> dict[str, float]:
    return {
        "mean": float(values.mean()),
        "smallest": float(values.min()),
        "largest": float(values.max()),
    }


def _report(name: str, results: dict[str, Any]) -> str:
    lines = [
        f"# Run {name}",
        "",
        "Metrics of the training split in the kept epoch, in training mode; val_ of"
        " held-out images; gamma is the model's. Losses in nats per example, mse per"
        " dimension.",
    ]
    for stage in ("stage1", "stage2"):
        if stage in results:
            lines.extend(_stage_lines(stage, results[stage]))
    if "latents" in results:
        lines.extend(_latent_lines(results["latents"]))
    if "sampling" in results:
        lines.extend(_sampling_lines(results["sampling"]))
    for key, model in BATCH_NORMALIZATION.items():
        if key in results:
            lines.extend(_batch_norm_lines(model, results[key]))
    return "\n".join(lines) + "\n"


def _stage_lines(stage: str, numbers: dict[str, Any]) -> list[str]:
    rows = [
        f"| {key} | {_formatted(value)} |"
        for key, value in numbers.items()
        if not isinstance(value, list)
    ]
    image = f"![latents]({stage}/images/latents.png)"
    return ["", f"## {stage}", "", *TABLE_HEAD, *rows, "", image]


def _latent_lines(latents: dict[str, Any]) -> list[str]:
    lines = [
        "",
        "## Latents of stage 2",
        "",
        "Standard deviation over 10,000 draws; mean, smallest and largest latent.",
    ]
    for when in ("before", "after"):
        spread = latents[f"deviation_{when}"]
        numbers = ", ".join(f"{value:.3f}" for value in spread.values())
        lines.append(f"- {when} normalization: {numbers}")
    return lines


def _sampling_lines(choice: dict[str, Any]) -> list[str]:
    extractor = choice.get("extractor", "random network")  # of earlier versions
    lines = [
        "",
        f"Sampled by {choice['method']}: distances of each method to"
        f" {choice['images']:,} held-out images (Frechet, {extractor}) and nats of"
        " their latents:",
    ]
    for method, nats in choice["nats"].items():
        # too few images have no distances
        value, error = choice["distances"].get(method, (None, None))
        distance = "" if value is None else f"{value:.4g} +- {error:.2g}; "
        lines.append(f"- {method}: {distance}{nats:.2f} nats")
    return lines


def _batch_norm_lines(model: str, choice: dict[str, Any]) -> list[str]:
    return [
        "",
        f"{model} has the batch normalization {choice['chosen']};"
        f" re-estimating changes the bound (ELBO) by {choice['gain']:+.2f} +-"
        f" {choice['gain_error']:.2f} nats on {choice['decided_by']}.",
    ]


def _formatted(value: Any) -> str:
    return f"{value:.5g}" if isinstance(value, float) else str(value)
