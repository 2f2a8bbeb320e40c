"""Berger & Sebag's section 4.2: why a fixed small sigma fails on the planar task."""

from collections.abc import Iterator

from twostage.experiments.experiment import (
    Experiment,
    Figure,
    Result,
    Results,
    Row,
    Setting,
)

SIGMAS = (0.1, 0.06, 0.03, 0.01)
FAMILIES = {f"F-VAE {sigma}": sigma for sigma in SIGMAS} | {"LV-VAE": "vector"}
RANDOM, FROM_LEARNED = BEGINNINGS = ("random weights", "LS-VAE")
LEARNED_ROW = Row("LS-VAE", {"sigma": "learned", "begin": RANDOM})


def _name(family: str, begin: str) -> str:
    return f"{family}, from {begin}"


def _row(family: str, sigma: float | str, begin: str) -> Row:
    needs = LEARNED_ROW.name if begin == FROM_LEARNED else None
    settings = {"sigma": sigma, "begin": begin}
    return Row(_name(family, begin), settings, needs=needs)


ROWS = [
    LEARNED_ROW,
    *[
        _row(family, sigma, begin)
        for family, sigma in FAMILIES.items()
        for begin in BEGINNINGS
    ],
]


def measure(
    row: Row, seed: int, earlier: dict[str, Result], setting: Setting
) -> Result:
    """The bound of `planar_task.measure`, and the divergence of the latent that carries
    more, and of the other.
    """
    from twostage.experiments import planar_task

    vae = planar_task.build_vae(row.settings["sigma"], seed)
    weights = setting.path(LEARNED_ROW.name, seed, ".weights.h5")
    if row.settings["begin"] == FROM_LEARNED:
        learned = planar_task.build_vae("learned", seed)
        learned.load_weights(weights)
        sigma = earlier[LEARNED_ROW.name]["sigma"]
        planar_task.copy_weights(vae, learned, sigma=sigma)
    history = planar_task.fit(
        vae, planar_task.points, dimensions=2, seed=seed, epochs=setting.epochs
    )
    if row.name == LEARNED_ROW.name:
        vae.save_weights(weights, overwrite=True)
    measured = planar_task.measure(vae, history, seed=seed)
    larger, smaller = planar_task.kl_per_latent(vae, seed)
    return {
        "elbo": measured["elbo"],
        "sigma": measured["sigma"],
        "mse": measured["mse"],
        "KL, first latent": larger,
        "KL, second": smaller,
        "curve": measured["curves"]["loss"],
    }


def figures(results: Results, setting: Setting) -> Iterator[Figure]:
    """Losses, seed 0."""
    from twostage.reporting.charts import chart

    epochs = range(1, setting.epochs + 1)
    for family in FAMILIES:
        series = [
            (begin, epochs, results[_name(family, begin)][0]["curve"])
            for begin in BEGINNINGS
        ]
        yield Figure(
            chart(f"{family}: loss, nats", series, "epoch", y_range=(-1, 6)),
            "Seed 0, cut at 6 nats.",
        )


EXPERIMENT = Experiment(
    name="local_optima",
    title=(
        "Why a fixed small sigma fails on the planar task of Berger & Sebag (their"
        " section 4.2): the same sigma, from random weights and from LS-VAE's."
    ),
    description=(
        "The data lie near a curve, so that one latent is enough. With sigma 1 only x"
        " varies by more than sigma: one latent learns x, and y becomes a function of"
        " it. Where sigma is small from the start both latents are used at once, one"
        " for each coordinate, and the curve lies folded in their plane. A sigma for"
        " each dimension has a trap of its own: whatever is fitted badly gets a large"
        " sigma, and with it a small gradient."
    ),
    rows=ROWS,
    measure=measure,
    figures=figures,
    full_epochs=50,  # of 100 batches of 100 fresh points
    quick_epochs=10,
    seeds=3,
)
