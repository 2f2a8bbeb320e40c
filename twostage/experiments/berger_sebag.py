"""`python -m twostage.experiments.berger_sebag`: Table 1 of "Not all failures are equal" (Berger & Sebag), and its Figures 4 and 8 to 10."""

from twostage.experiments.rows import Row

LENGTH = 200  # epochs of 100 batches of 100 fresh points
ROWS = [
    *[Row(f"F-VAE {sigma}", {"sigma": sigma}, {"elbo": paper}) for sigma, paper in ((1.0, "-1.14 +- .02"), (0.3, "-.063 +- .03"), (0.1, ".773 +- .09"))],
    Row("LS-VAE", {"sigma": "learned"}, {"elbo": "1.26 +- .09", "sigma": ".043"}),
    Row("F*-VAE", {"sigma": "final of LS-VAE"}, {"elbo": ".335 +- .08", "sigma": ".043"}),
    *[Row(f"F-VAE {sigma}", {"sigma": sigma}, {"elbo": paper}) for sigma, paper in ((0.03, ".141 +- .10"), (0.01, "-.961 +- .12"))],
    Row("LV-VAE", {"sigma": "vector"}, {"elbo": "1.62 +- .08"}),
    Row("scheduled F-VAE", {"sigma": "curve of LS-VAE"}, {}),
]


def measured(row, seed, found, epochs=LENGTH):
    """One row with one seed; two rows take their sigma from the LS-VAE of the same seed."""
    from twostage.experiments import planar

    sigma = row.settings["sigma"]
    if sigma == "final of LS-VAE":
        sigma = found["LS-VAE"]["sigma"]
    elif sigma == "curve of LS-VAE":
        sigma = found["LS-VAE"]["curves"]["gamma"]
    return planar.measure(*planar.train({"sigma": sigma}, seed, epochs), seed)


if __name__ == "__main__":
    from twostage import cli

    cli.experiment("berger_sebag")
