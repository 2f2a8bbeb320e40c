"""RUN/report.html: the page of an evaluated run."""

import csv
import html
import json
from pathlib import Path

import numpy as np

from twostage.evaluation.tables import sentences, tables
from twostage.reporting.html_page import document, figure, table
from twostage.reporting.svg_charts import chart
from twostage.system import files

CAPTIONS = {
    "reconstructions": (
        "Reconstructions of test images: each double row has the images above, what"
        " stage 1 makes of them below."
    ),
    "interpolations": (
        "From one test image (left) to another (right), on the straight line between"
        " their latents."
    ),
    "traversals": (
        "The most active latents, one a row, from -3 to 3, the others at the latents of"
        " one test image. From the top: {traversed}."
    ),
    "neighbours": (
        "Is it copying? Left a sample ({kind}), right of it the training images that"
        " are nearest to it by the extractor's features."
    ),
}


CURVES = {  # key of the history: title, whether the axis is logarithmic
    "loss": ("loss, nats", False),
    "reconstruction": ("distortion, nats", False),
    "kl": ("rate (KL), nats", False),
    "mse": ("squared error a dimension", True),
    "gamma": ("gamma", True),
    "variance_law": ("variance law", False),
    "active_latents": ("active latents, E[sigma^2] < 0.8", False),
}


def write(run, name):
    """Writes RUN/report.html.

    Args:
        run: The run folder, with RUN/evaluation of `python -m twostage.evaluate`.
        name: Of the result whose pictures and latents are shown; the tables of all
            results are.
    """
    run = Path(run)
    results = {
        path.stem: files.read_json(path)
        for path in sorted((run / "evaluation").glob("*.json"))
    }
    results = {
        name: results.pop(name),
        **{key: other for key, other in results.items() if "copying" in other},
    }
    body = [
        f"<h1>{html.escape(run.resolve().name)}</h1>",
        _about(run, results[name]),
        "<h2>Figures</h2>",
    ]
    for key, result in results.items():
        earlier = ", of an earlier model" * (
            result["manifest"].get("models") != results[name]["manifest"]["models"]
        )
        body += [
            f"<h3>{html.escape(key)}{earlier}</h3>",
            *[table(*one) for one in tables(result)],
            *[f'<p class="note">{html.escape(text)}</p>' for text in sentences(result)],
        ]
    body += [
        _gallery(run / "evaluation" / name, results[name]),
        _latents(results[name]),
        _training(run, results[name]),
    ]
    body += [
        "<h2>How it was got</h2>",
        *[
            f"<details><summary>{html.escape(key)}</summary><pre>{html.escape(json.dumps(result['manifest'], indent=2))}</pre></details>"
            for key, result in results.items()
        ],
    ]
    files.write(run / "report.html", document(run.resolve().name, body))


def _about(run, result):
    stages = [
        f"stage {number}: {saved['config']['epochs']} epochs, gamma"
        f" {saved['config']['gamma']}"
        for number in (1, 2)
        if (saved := files.read_json(run / f"stage{number}" / "config.json"))
    ]
    told = result["manifest"]
    return (
        f"<p>Data {html.escape(told['data']['source'])}; {'; '.join(stages)}. Measured"
        f" {told['started'][:16]} by {html.escape(told['extractor']['frechet'])} on"
        f" {told['backend']}.</p>"
    )


def _gallery(folder, result):
    samples = {
        kind: folder / f"samples-{kind.replace(' ', '_')}.png"
        for kind in result["distances"]
        if kind != "REC"
    }
    values = {
        "traversed": ", ".join(map(str, result["latents"]["traversed"])),
        "kind": result["copying"]["kind"],
    }
    first = [
        figure(path, f"{kind}: distance {result['distances'][kind]['frechet']:.3f}")
        for kind, path in samples.items()
    ]
    others = [
        figure(folder / f"{name}.png", caption.format(**values))
        for name, caption in CAPTIONS.items()
    ]
    return (
        f'<h2>Samples</h2><div class="grid">{"".join(first)}</div><h2>Images and'
        f' latents</h2><div class="grid wide">{"".join(others)}</div>'
    )


def _latents(result):
    """Histograms: E[sigma^2] of the latents of each stage; draws of the most active
    ones, with what the samplers draw and N(0, 1).
    """
    found, charts = result["latents"], []
    for stage in (key for key in found if key.startswith("posterior")):
        counts, edges = np.histogram(
            np.clip(found[stage]["posterior_variance"], 0, 1.2), 24, (0, 1.2)
        )
        charts.append(
            chart(
                f"{stage}: E[sigma^2]",
                [("latents", _middles(edges), counts, "bars")],
                "0 much used, 1 unused",
                y_range=(0, max(counts.max(), 1)),
            )
        )
        kl = [value for value in found[stage]["kl_per_latent"] if value is not None]
        if kl:
            charts.append(
                chart(
                    f"{stage}: KL, nats",
                    [("KL", np.arange(1, len(kl) + 1), kl, "bars")],
                    "latents, sorted",
                    y_range=(0, max(*kl, 0.1) * 1.05),
                )
            )
    histograms = found["histograms"]
    edges, middles = np.array(histograms["edges"]), _middles(histograms["edges"])
    normal = np.exp(-(middles**2) / 2) / np.sqrt(2 * np.pi)
    for i, latent in enumerate(histograms["latents"]):
        densities = {
            name: np.array(counts[i]) / (np.sum(counts[i]) * np.diff(edges))
            for name, counts in histograms["counts"].items()
            if name != "GEN-1"
        }
        top = max(0.45, *(density.max() for density in densities.values()))
        series = [
            (name, middles, density, *(["bars"] if name == "z of stage 1" else []))
            for name, density in densities.items()
        ]
        charts.append(
            chart(
                f"latent {latent}",
                [*series, ("N(0, 1)", middles, normal)],
                "z",
                y_range=(0, top * 1.05),
            )
        )
    return (
        '<h2>Latents</h2><p class="note">Draws of the most active latents over'
        " training images, what stage 2 makes of them, and the prior.</p><div"
        f' class="grid charts">{"".join(charts)}</div>'
    )


def _training(run, result):
    """Curves over the epochs of both stages, and their path through the plane of rate
    and distortion.
    """
    parts = []
    for stage in ("stage1", "stage2"):
        path = run / stage / "history.csv"
        if not path.exists():
            continue
        with open(path, newline="") as file:
            rows = [
                {key: float(value or "nan") for key, value in row.items()}
                for row in csv.DictReader(file)
            ]
        column = {
            key: np.array([row.get(key, np.nan) for row in rows])
            for key in ("epoch", *CURVES)
        }
        charts = [
            _curve(title, column["epoch"], column[key], log)
            for key, (title, log) in CURVES.items()
        ]
        ranges = {
            "x_range": _most_of(column["kl"]),
            "y_range": _most_of(column["reconstruction"]),
        }
        points = [
            (
                "training, by epoch",
                np.clip(column["kl"], *ranges["x_range"]),
                column["reconstruction"],
            ),
            ("last epoch", column["kl"][-1:], column["reconstruction"][-1:], "point"),
        ]
        if stage == "stage1" and "rate" in result["likelihood"]:
            test = result["likelihood"]
            points.append(
                ("test images", [test["rate"]], [test["distortion"]], "point")
            )
            ranges = {
                name: (min(span[0], test[key]), max(span[1], test[key]))
                for (name, span), key in zip(
                    ranges.items(), ("rate", "distortion"), strict=True
                )
            }
            ranges = {
                name: (low - 0.05 * (high - low), high + 0.05 * (high - low))
                for name, (low, high) in ranges.items()
            }
        charts.append(chart("distortion over rate, nats", points, "rate", **ranges))
        parts.append(
            f'<h3>{stage}</h3><div class="grid charts">{"".join(charts)}</div>'
        )
    return f"<h2>Training</h2>{''.join(parts)}"


def _curve(title, epochs, values, log):
    if log:
        return chart(title, [("training", epochs, values)], "epoch", log=True)
    span = _most_of(values)
    cut = (
        np.nanmax(values, initial=-np.inf) > span[1]
        or np.nanmin(values, initial=np.inf) < span[0]
    )
    return chart(
        title + (" (cut)" if cut else ""),
        [("training", epochs, values)],
        "epoch",
        y_range=span,
    )


def _most_of(values):
    """A range that a few values far out, as of the first epoch, do not spoil."""
    values = values[np.isfinite(values)]
    if not len(values):
        return 0.0, 1.0
    low, high = np.quantile(values, (0.1, 0.9))
    room = 2 * (high - low) or abs(high) * 0.1 or 1.0
    return (
        max(float(values.min()), low - room) - room * 0.05,
        min(float(values.max()), high + room) + room * 0.05,
    )


def _middles(edges):
    return (np.asarray(edges)[:-1] + np.asarray(edges)[1:]) / 2
