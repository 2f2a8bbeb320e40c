"""`python -m twostage.experiments.local_optima`: why a fixed small sigma fails on the
planar task of Berger & Sebag (their section 4.2): the same sigma, from random weights
and from LS-VAE's.

The data lie near a curve, so that one latent is enough. With sigma 1 only x varies by
more than sigma: one latent learns x, and y becomes a function of it. Where sigma is
small from the start both latents are used at once, one for each coordinate, and the
curve lies folded in their plane. A sigma for each dimension has a trap of its own:
whatever is fitted badly gets a large sigma, and with it a small gradient.
"""

from twostage.experiments.table import Row
from twostage.reporting.charts import chart

LENGTH, QUICK, SEEDS = 50, 10, 3  # epochs of 100 batches of 100 fresh points
SIGMAS = (0.1, 0.06, 0.03, 0.01)
LEARNED = Row("LS-VAE", {"sigma": "learned", "begin": ""})
BEGINNINGS = ("random weights", "LS-VAE")
ROWS = [
    LEARNED,
    *[
        Row(f"F-VAE {sigma}, from {begin}", {"sigma": sigma, "begin": begin})
        for sigma in SIGMAS
        for begin in BEGINNINGS
    ],
    *[
        Row(f"LV-VAE, from {begin}", {"sigma": "vector", "begin": begin})
        for begin in BEGINNINGS
    ],
]


def measured(row, seed, found, setting):
    """The bound of `planar.measure`, and the divergence that the latent which carries
    more has, and the other.
    """
    from twostage.experiments import planar_task

    vae = planar_task.vae_of(row.settings["sigma"], seed)
    kept = setting.path(LEARNED, seed, ".weights.h5")
    if row.settings["begin"] == "LS-VAE":
        learned = planar_task.vae_of("learned", seed)
        learned.load_weights(kept)
        planar_task.begin_from(vae, learned, found[LEARNED.name]["sigma"])
    history = planar_task.fit(vae, planar_task.points, 2, seed, setting.epochs)
    if row is LEARNED:
        vae.save_weights(kept, overwrite=True)
    told = planar_task.measure(vae, history, seed)
    larger, smaller = planar_task.rates(vae, seed)
    return {
        **{name: told[name] for name in ("elbo", "sigma", "mse")},
        "KL, first latent": larger,
        "KL, second": smaller,
        "curve": told["curves"]["loss"],
    }


def figures(results, setting):
    """Losses, seed 0."""
    for name in (*(f"F-VAE {sigma}" for sigma in SIGMAS), "LV-VAE"):
        series = [
            (
                begin,
                range(1, setting.epochs + 1),
                results[f"{name}, from {begin}"][0]["curve"],
            )
            for begin in BEGINNINGS
        ]
        yield (
            chart(f"{name}: loss, nats", series, "epoch", y_range=(-1, 6)),
            "Seed 0, cut at 6 nats.",
        )
