"""RUN/report.html: the page of an evaluated run."""

from __future__ import annotations

import csv
import dataclasses
import json
import math
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from twostage.evaluation.evaluation_result import EvaluationResult
from twostage.evaluation.figures import sample_figure
from twostage.evaluation.rounding import rounded
from twostage.evaluation.tables import Table, sentences, tables
from twostage.evaluation.terms import terms
from twostage.evaluation.verdict import Finding, TrainingLosses
from twostage.reporting import html_page
from twostage.reporting.charts import chart
from twostage.system import files

TEMPLATES = Path(__file__).parent / "templates"
CAPTIONS = {
    "reconstructions": (
        "Reconstructions of test images: each double row has the images above, their"
        " reconstructions by stage 1 below."
    ),
    "interpolations": (
        "From one test image (left) to another (right), on the straight line between"
        " their latents."
    ),
    "traversals": (
        "The most active latents, one per row, from -3 to 3, the others at the latents"
        " of one test image. From the top: {traversed}."
    ),
    "neighbors": (
        "Memorization test: a sample ({kind}) on the left, right of it the training"
        " images that are nearest to it by the extractor's features."
    ),
}


@dataclasses.dataclass(frozen=True)
class Curve:
    """A curve of the training, over the epochs.

    Args:
        key: In the history.
        title: Of the chart.
        log: Whether its axis is logarithmic.
    """

    key: str
    title: str
    log: bool = False


HELD_OUT = "val_"  # before the keys of held-out images
CURVES = [
    Curve("loss", "loss, nats"),
    Curve("reconstruction", "distortion, nats"),
    Curve("kl", "rate (KL), nats"),
    Curve("mse", "squared error per dimension", log=True),
    Curve("gamma", "gamma", log=True),
    Curve("variance_law", "variance law"),
    Curve("active_latents", "active latents, E[sigma^2] < 0.8"),
]


@dataclasses.dataclass(frozen=True)
class _Section:
    """A result as the page shows it."""

    name: str
    earlier: bool
    tables: list[Table]
    sentences: list[str]
    manifest: str


@dataclasses.dataclass(frozen=True)
class _Figure:
    """A PNG with its caption."""

    path: Path
    caption: str


def write(run: str | Path, name: str, findings: Sequence[Finding] = ()) -> None:
    """Writes RUN/report.html.

    Args:
        run: The run folder, with RUN/evaluation and its figures.
        name: Of the result whose figures and latents are shown; the tables of all
            results are.
        findings: Of the verdict on it.
    """
    run = Path(run)
    results = read_results(run / "evaluation", name)
    result = results[name]
    folder = run / "evaluation" / name
    page = html_page.render(
        "report.html.jinja",
        TEMPLATES,
        title=run.resolve().name,
        about=_about(run, result),
        findings=findings,
        terms=terms(result),
        results=[_section(key, other, result) for key, other in results.items()],
        samples=_sample_figures(folder, result),
        figures=_other_figures(folder, result),
        latents=[*_posterior_charts(result), *_histogram_charts(result)],
        training=_training_charts(run, result),
    )
    files.write(run / "report.html", page)


def result_html(result: EvaluationResult) -> str:
    """The tables and sentences of a result, for a notebook."""
    return html_page.render(
        "result.html.jinja",
        TEMPLATES,
        tables=tables(result),
        sentences=sentences(result),
        terms=terms(result),
    )


def read_results(folder: Path, name: str) -> dict[str, EvaluationResult]:
    """The results of a run, `name` first; without those of an older format."""
    paths = [folder / f"{name}.json"]
    paths += [path for path in sorted(folder.glob("*.json")) if path.stem != name]
    contents = {path.stem: files.read_json(path) for path in paths}
    return {
        key: EvaluationResult.from_json(content)
        for key, content in contents.items()
        if key == name or "copying" in content
    }


def _section(name: str, result: EvaluationResult, main: EvaluationResult) -> _Section:
    return _Section(
        name,
        result.manifest.get("models") != main.manifest["models"],
        tables(result),
        sentences(result),
        json.dumps(result.manifest, indent=2),
    )


def _about(run: Path, result: EvaluationResult) -> str:
    stages = []
    for number in (1, 2):
        saved = files.read_json(run / f"stage{number}" / "config.json")
        if saved:
            config = saved["config"]
            stages.append(
                f"stage {number}: {config['epochs']} epochs, gamma {config['gamma']}"
            )
    manifest = result.manifest
    return (
        f"Data {manifest['data']['source']}; {'; '.join(stages)}. Measured"
        f" {manifest['started'][:16]} by {manifest['extractor']['frechet']} on"
        f" {manifest['backend']}."
    )


def _sample_figures(folder: Path, result: EvaluationResult) -> list[_Figure]:
    return [
        _Figure(
            folder / f"{sample_figure(kind)}.png",
            f"{kind}: distance"
            f" {rounded(distances['frechet'], distances['frechet_error'])}",
        )
        for kind, distances in result.distances.items()
        if kind != "REC"
    ]


def _other_figures(folder: Path, result: EvaluationResult) -> list[_Figure]:
    traversed = ", ".join(map(str, result.latents["traversed"]))
    values = {"traversed": traversed, "kind": result.memorization["kind"]}
    return [
        _Figure(folder / f"{name}.png", caption.format(**values))
        for name, caption in CAPTIONS.items()
    ]


def _posterior_charts(result: EvaluationResult) -> list[str]:
    """Of each stage: a histogram of E[sigma^2] of the latents; their KL divergences."""
    found = []
    for stage, statistics in result.latents.items():
        if not stage.startswith("posterior"):
            continue
        variances = np.clip(statistics["posterior_variance"], 0, 1.2)
        counts, edges = np.histogram(variances, 24, (0, 1.2))
        bars = ("latents", _middles(edges), counts, "bars")
        found.append(
            chart(
                f"{stage}: E[sigma^2]",
                [bars],
                "0 much used, 1 unused",
                y_range=(0, max(counts.max(), 1)),
            )
        )
        kl = [value for value in statistics["kl_per_latent"] if value is not None]
        if kl:
            bars = ("KL", np.arange(1, len(kl) + 1), kl, "bars")
            top = max(*kl, 0.1) * 1.05
            found.append(
                chart(f"{stage}: KL, nats", [bars], "latents, sorted", y_range=(0, top))
            )
    return found


def _histogram_charts(result: EvaluationResult) -> list[str]:
    """Of each of the most active latents: draws over training images, with what the
    samplers draw and N(0, 1).
    """
    histograms = result.latents["histograms"]
    edges = np.array(histograms["edges"])
    middles = _middles(edges)
    normal = np.exp(-(middles**2) / 2) / np.sqrt(2 * np.pi)
    found = []
    for i, latent in enumerate(histograms["latents"]):
        series, top = [], 0.45
        for name, counts in histograms["counts"].items():
            # of stage 1's prior, which is N(0, 1)
            if name == "GEN-1":
                continue
            density = np.array(counts[i]) / (np.sum(counts[i]) * np.diff(edges))
            kind = "bars" if name == "z of stage 1" else "line"
            series.append((name, middles, density, kind))
            top = max(top, density.max())
        series.append(("N(0, 1)", middles, normal))
        found.append(chart(f"latent {latent}", series, "z", y_range=(0, top * 1.05)))
    return found


def _training_charts(run: Path, result: EvaluationResult) -> dict[str, list[str]]:
    """Of each stage with a history, its curves, and their path through the plane of
    rate and distortion.
    """
    found = {}
    for stage in ("stage1", "stage2"):
        path = run / stage / "history.csv"
        if not path.exists():
            continue
        history = read_history(path)
        if stage == "stage1" and not _logs_kl(run):
            found[stage] = curve_charts(history, kl="divergence, before its weight")
            continue
        test = result.likelihood
        test_point = None
        if stage == "stage1" and "rate" in test:
            test_point = (test["rate"], test["distortion"])
        plane = rate_distortion_chart(history, test_point=test_point)
        found[stage] = [*curve_charts(history), plane]
    return found


def _logs_kl(run: Path) -> bool:
    """Whether `kl` in stage 1's history is the KL divergence, a rate in nats, and not
    another divergence, as of an autoencoder.
    """
    saved = files.read_json(run / "stage1" / "config.json")
    return saved.get("config", {}).get("divergence", "kl") == "kl"


def read_history(path: str | Path) -> dict[str, np.ndarray]:
    """The columns of a history.csv that the report shows, and `epoch`: float64 (T,),
    NaN where there is no value.
    """
    with open(path, encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    keys = ["epoch"]
    for curve in CURVES:
        keys += [curve.key, HELD_OUT + curve.key]
    return {
        key: np.array([float(row.get(key) or "nan") for row in rows]) for key in keys
    }


def training_losses(run: Path) -> TrainingLosses:
    """Of the run's stage 1, up to the epoch that was kept."""
    path = run / "stage1" / "history.csv"
    if not path.exists():
        return TrainingLosses()
    history = read_history(path)
    kept = history["epoch"] <= _kept_epoch(run)
    if not kept.any():  # the weights of the start
        return TrainingLosses()
    history = {key: values[kept] for key, values in history.items()}
    held_out = history[f"{HELD_OUT}loss"]
    training = history["reconstruction"][-1] + history["kl"][-1]
    return TrainingLosses(
        _known(training) if _logs_kl(run) else None,
        held_out[np.isfinite(held_out)].tolist(),
        _known(history["mse"][-1]),
        _known(history[f"{HELD_OUT}mse"][-1]),
    )


def _known(number: float) -> float | None:
    return float(number) if np.isfinite(number) else None


def _kept_epoch(run: Path) -> float:
    """The epoch whose weights stage 1 has; infinite while it is not finished."""
    found = files.read_json(run / "results.json")
    return found.get("stage1", {}).get("epoch", math.inf)


def curve_charts(history: Mapping[str, np.ndarray], **titles: str) -> list[str]:
    """A chart per curve over the epochs; `titles` replace those of their keys."""
    curves = [
        dataclasses.replace(curve, title=titles.get(curve.key, curve.title))
        for curve in CURVES
    ]
    return [_curve_chart(curve, history) for curve in curves]


def _curve_chart(curve: Curve, history: Mapping[str, np.ndarray]) -> str:
    epochs, values = history["epoch"], history[curve.key]
    series = [("training", epochs, values)]
    held_out = history.get(HELD_OUT + curve.key, np.full(len(epochs), np.nan))
    measured = np.isfinite(held_out)
    if measured.any():
        series.append(("held out", epochs[measured], held_out[measured]))
        values = np.concatenate([values, held_out])
    if curve.log:
        return chart(curve.title, series, "epoch", log=True)
    least, greatest = typical_range(values)
    too_high = np.nanmax(values, initial=-np.inf) > greatest
    too_low = np.nanmin(values, initial=np.inf) < least
    title = f"{curve.title} (cut)" if too_high or too_low else curve.title
    return chart(title, series, "epoch", y_range=(least, greatest))


def rate_distortion_chart(
    history: Mapping[str, np.ndarray], test_point: tuple[float, float] | None = None
) -> str:
    """The training's path through the plane of rate and distortion.

    Args:
        history: With `kl` and `reconstruction`, nats.
        test_point: (rate, distortion) of test images, or None.
    """
    rate, distortion = history["kl"], history["reconstruction"]
    rates, distortions = typical_range(rate), typical_range(distortion)
    series: list[tuple] = [
        ("training, by epoch", np.clip(rate, *rates), distortion),
        ("last epoch", rate[-1:], distortion[-1:], "point"),
    ]
    if test_point is not None:
        series.append(("test images", [test_point[0]], [test_point[1]], "point"))
        rates = _range_with(rates, test_point[0])
        distortions = _range_with(distortions, test_point[1])
    return chart(
        "distortion over rate, nats",
        series,
        "rate",
        x_range=rates,
        y_range=distortions,
    )


def _range_with(span: tuple[float, float], value: float) -> tuple[float, float]:
    """The range that holds a value too, with some room."""
    least, greatest = min(span[0], value), max(span[1], value)
    room = 0.05 * (greatest - least)
    return least - room, greatest + room


def typical_range(values: np.ndarray) -> tuple[float, float]:
    """A range without the few outliers of, say, the first epoch."""
    values = values[np.isfinite(values)]
    if not len(values):
        return 0.0, 1.0
    low, high = np.quantile(values, (0.1, 0.9))
    room = 2 * (high - low) or abs(high) * 0.1 or 1.0
    least = max(float(values.min()), low - room)
    greatest = min(float(values.max()), high + room)
    return least - room * 0.05, greatest + room * 0.05


def _middles(edges: np.ndarray) -> np.ndarray:
    return (edges[:-1] + edges[1:]) / 2
