"""`python -m twostage.experiments.berger_sebag`: Table 1 of "Not all failures are
equal" (Berger & Sebag), and its Figures 4 and 8 to 10.
"""

from twostage.experiments.table import Row
from twostage.reporting.charts import chart

LENGTH, QUICK, SEEDS = 200, 40, 10  # epochs of 100 batches of 100 fresh points
ROWS = [
    *[
        Row(f"F-VAE {sigma}", {"sigma": sigma}, {"elbo": paper})
        for sigma, paper in (
            (1.0, "-1.14 +- .02"),
            (0.3, "-.063 +- .03"),
            (0.1, ".773 +- .09"),
        )
    ],
    Row("LS-VAE", {"sigma": "learned"}, {"elbo": "1.26 +- .09", "sigma": ".043"}),
    Row(
        "F*-VAE", {"sigma": "final of LS-VAE"}, {"elbo": ".335 +- .08", "sigma": ".043"}
    ),
    *[
        Row(f"F-VAE {sigma}", {"sigma": sigma}, {"elbo": paper})
        for sigma, paper in ((0.03, ".141 +- .10"), (0.01, "-.961 +- .12"))
    ],
    Row("LV-VAE", {"sigma": "vector"}, {"elbo": "1.62 +- .08"}),
    Row("scheduled F-VAE", {"sigma": "curve of LS-VAE"}, {}),
]


def measured(row, seed, found, setting):
    """One row with one seed; two rows take their sigma from the LS-VAE of the same
    seed.
    """
    from twostage.experiments import planar_task

    sigma = row.settings["sigma"]
    if sigma == "final of LS-VAE":
        sigma = found["LS-VAE"]["sigma"]
    elif sigma == "curve of LS-VAE":
        sigma = found["LS-VAE"]["curves"]["gamma"]
    return planar_task.measure(*planar_task.train(sigma, seed, setting.epochs), seed)


def figures(results, setting):
    """Of seed 0. Figures 4, 6 and 7: reconstructions and samples of each row; 8 and 9:
    its losses, 10: sigma, where it is learned, beside the fixed one.
    """
    for name, (first, *_) in results.items():
        points = {
            kind: list(zip(*some, strict=True))
            for kind, some in first["points"].items()
        }
        ranges = {"x_range": (-3.2, 3.2), "y_range": (-1.8, 1.8)}
        for title, behind, before in (
            ("reconstructions", "data", "reconstructions"),
            ("samples", "sampled", "generated"),
        ):
            drawn = chart(
                f"{name}: {title}",
                [(kind, *points[kind], "dots") for kind in (behind, before)],
                f"sigma {first['sigma']:.3f}",
                **ranges,
            )
            yield (
                drawn,
                (
                    f"{name}, {title} (Figures 4, 6, 7)."
                    f" {'The mean of p(x | z) at the mean of z.' if before == 'reconstructions' else 'z ~ N(0, I): sampled from p(x | z), and its mean.'}"
                ),
            )
    curves = {
        name: results[name][0]["curves"]
        for name in ("F*-VAE", "LS-VAE", "scheduled F-VAE")
        if name in results
    }
    for name, of in curves.items():
        epochs = range(1, setting.epochs + 1)
        drawn = chart(
            f"{name}: losses, nats",
            [
                ("reconstruction", epochs, of["reconstruction"]),
                ("latent (KL)", epochs, of["kl"]),
            ],
            "epoch",
            y_range=(-6, 8),
        )
        yield (
            drawn,
            (
                f"{name}, seed 0: both losses over the epochs (Figures 8 and 9; cut at"
                " 8 nats)."
            ),
        )
    drawn = chart(
        "sigma",
        [
            (name, range(1, setting.epochs + 1), of["gamma"])
            for name, of in curves.items()
        ],
        "epoch",
        log=True,
    )
    yield (
        drawn,
        "sigma over the epochs (Figure 10); the scheduled F-VAE replays LS-VAE's.",
    )
