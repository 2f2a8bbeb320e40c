"""Berger & Sebag on the planar task: a fixed, learned or scheduled sigma."""

from collections.abc import Iterator

from twostage.experiments.experiment import (
    Experiment,
    Figure,
    Result,
    Results,
    Row,
    Setting,
)

# sigma: what the paper reports of F-VAE. Two rows in between are of other kinds.
LARGE_SIGMAS = {1.0: "-1.14 +- .02", 0.3: "-.063 +- .03", 0.1: ".773 +- .09"}
SMALL_SIGMAS = {0.03: ".141 +- .10", 0.01: "-.961 +- .12"}
# Settings of the rows that take their sigma from the LS-VAE of the same seed.
FINAL_SIGMA, SIGMA_CURVE = "final of LS-VAE", "curve of LS-VAE"
# Charts of points: of each kind, behind and in front.
POINT_CHARTS = {
    "reconstructions": ("data", "reconstructions"),
    "samples": ("sampled", "generated"),
}
POINT_CAPTIONS = {
    "reconstructions": "The mean of p(x | z) at the mean of z.",
    "samples": "z ~ N(0, I): sampled from p(x | z), and its mean.",
}
ROWS_WITH_CURVES = ("F*-VAE", "LS-VAE", "scheduled F-VAE")


def _fixed_rows(papers: dict[float, str]) -> list[Row]:
    return [
        Row(f"F-VAE {sigma}", {"sigma": sigma}, {"elbo": elbo})
        for sigma, elbo in papers.items()
    ]


LEARNED_ROW = Row(
    "LS-VAE", {"sigma": "learned"}, {"elbo": "1.26 +- .09", "sigma": ".043"}
)
ROWS = [
    *_fixed_rows(LARGE_SIGMAS),
    LEARNED_ROW,
    Row(
        "F*-VAE",
        {"sigma": FINAL_SIGMA},
        {"elbo": ".335 +- .08", "sigma": ".043"},
        needs=LEARNED_ROW.name,
    ),
    *_fixed_rows(SMALL_SIGMAS),
    Row("LV-VAE", {"sigma": "vector"}, {"elbo": "1.62 +- .08"}),
    Row("scheduled F-VAE", {"sigma": SIGMA_CURVE}, needs=LEARNED_ROW.name),
]


def measure(
    row: Row, seed: int, earlier: dict[str, Result], setting: Setting
) -> Result:
    """One row with one seed."""
    from twostage.experiments import planar_task

    sigma = row.settings["sigma"]
    if sigma == FINAL_SIGMA:
        sigma = earlier[LEARNED_ROW.name]["sigma"]
    elif sigma == SIGMA_CURVE:
        sigma = earlier[LEARNED_ROW.name]["curves"]["gamma"]
    vae, history = planar_task.train(sigma, seed, epochs=setting.epochs)
    return planar_task.measure(vae, history, seed=seed)


def figures(results: Results, setting: Setting) -> Iterator[Figure]:
    """Of seed 0. Figures 4, 6 and 7: reconstructions and samples of each row; 8 and 9:
    its losses; 10: sigma, where it is learned, beside the fixed one.
    """
    first = {name: row_results[0] for name, row_results in results.items()}
    for name, result in first.items():
        yield from _point_figures(name, result)
    curves = {name: first[name]["curves"] for name in ROWS_WITH_CURVES if name in first}
    epochs = range(1, setting.epochs + 1)
    for name, of_row in curves.items():
        yield _loss_figure(name, epochs, of_row)
    yield _sigma_figure(epochs, curves)


def _point_figures(name: str, result: Result) -> Iterator[Figure]:
    from twostage.reporting.charts import chart

    for title, kinds in POINT_CHARTS.items():
        series = []
        for kind in kinds:
            xs, ys = zip(*result["points"][kind], strict=True)
            series.append((kind, xs, ys, "dots"))
        drawn = chart(
            f"{name}: {title}",
            series,
            f"sigma {result['sigma']:.3f}",
            x_range=(-3.2, 3.2),
            y_range=(-1.8, 1.8),
        )
        caption = f"{name}, {title} (Figures 4, 6, 7). {POINT_CAPTIONS[title]}"
        yield Figure(drawn, caption)


def _loss_figure(name: str, epochs: range, curves: dict[str, list[float]]) -> Figure:
    from twostage.reporting.charts import chart

    series = [
        ("reconstruction", epochs, curves["reconstruction"]),
        ("latent (KL)", epochs, curves["kl"]),
    ]
    drawn = chart(f"{name}: losses, nats", series, "epoch", y_range=(-6, 8))
    return Figure(
        drawn,
        f"{name}, seed 0: both losses over the epochs (Figures 8 and 9; cut at 8"
        " nats).",
    )


def _sigma_figure(epochs: range, curves: dict[str, dict[str, list[float]]]) -> Figure:
    from twostage.reporting.charts import chart

    series = [(name, epochs, of_row["gamma"]) for name, of_row in curves.items()]
    return Figure(
        chart("sigma", series, "epoch", log=True),
        "sigma over the epochs (Figure 10); the scheduled F-VAE replays LS-VAE's.",
    )


EXPERIMENT = Experiment(
    name="berger_sebag",
    title=(
        'Table 1 of "Not all failures are equal" (Berger & Sebag), and its Figures 4'
        " and 8 to 10."
    ),
    rows=ROWS,
    measure=measure,
    figures=figures,
    full_epochs=200,  # of 100 batches of 100 fresh points
    quick_epochs=40,
    seeds=10,
)
