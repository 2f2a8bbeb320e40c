"""`python -m twostage.experiments.likelihoods`: every observation model on MNIST, in
float32 and in mixed bfloat16, and the diagonal one without its bound, which diverges.
"""

from twostage.experiments.table import Row
from twostage.reporting.charts import chart

LENGTH, QUICK, SEEDS, DATA = 10, 2, 1, "mnist"
DISTANCES = False
GAMMAS = {
    f"gaussian, {gamma}": {"gamma": gamma} for gamma in ("computed", "learned")
} | {"gaussian, fixed 1/sqrt 2": {"gamma": "fixed", "gamma_start": 0.5**0.5}}
OTHERS = {
    name: {"likelihood": name}
    for name in ("diagonal", "optimal_image", "optimal_batch", "bernoulli", "logistic")
}
MODELS = {
    **GAMMAS,
    **OTHERS,
    "diagonal, no bound": {"likelihood": "diagonal", "floor": 0.0},
}
ROWS = [
    Row(f"{name}, {precision}", {**settings, "precision": precision})
    for name, settings in MODELS.items()
    for precision in ("float32", "mixed_bfloat16")
]


def measured(row, seed, found, setting):
    """The dense ResNet of Berger & Sebag on images as vectors. Of the last epoch: nats
    an image, rate, squared error a pixel; epochs that ended without NaN; the least
    sigma or scale on test images, where the decoder has one for each pixel.
    """
    import keras
    import numpy as np

    from twostage import presets
    from twostage.data import loading
    from twostage.data.batches import Batches
    from twostage.likelihoods.diagonal_gaussian_likelihood import (
        DiagonalGaussianLikelihood,
    )
    from twostage.models import build
    from twostage.models.networks.berger_sebag import residual_decoder, residual_encoder
    from twostage.models.vae import VAE
    from twostage.training.default_callbacks import gamma_rule
    from twostage.training.train import compile_vae

    settings = dict(row.settings)
    floor = settings.pop("floor", None)
    made = presets.resolve(
        1,
        "mnist",
        data=setting.data,
        pad=0,
        latent_dim=32,
        epochs=setting.epochs,
        seed=seed,
        learning_rate=5e-4,
        **settings,
    )
    train, test = (loading.load_for(made, split)[0] for split in ("train", "test"))
    keras.backend.clear_session()
    keras.utils.set_random_seed(seed)
    keras.config.set_dtype_policy(made.precision)
    likelihood = (
        build.build_likelihood(made)
        if floor is None
        else DiagonalGaussianLikelihood(floor)
    )
    width = train[0].size
    vae = VAE(
        residual_encoder(width, 32),
        residual_decoder(width, 32, heads=likelihood.heads),
        likelihood,
        data_dtype="uint8",
        seed=seed,
    )
    compile_vae(made, vae)
    batches = Batches(train.reshape(-1, width), made.batch_size, seed)
    rule = gamma_rule(made, None)
    history = vae.fit(
        batches,
        epochs=setting.epochs,
        shuffle=False,
        verbose=0,
        callbacks=[*rule, batches.follow_epochs()],
    ).history
    keras.config.set_dtype_policy("float32")
    told = {
        name: float(history[name][-1]) for name in ("reconstruction", "kl", "mse")
    } | {"finite epochs": int(np.isfinite(history["loss"]).sum())}
    parameters = vae.decoder(
        vae.posterior(test[:500].reshape(-1, width))[0], training=False
    )
    least = {"diagonal": "deviation", "logistic": "scale"}.get(made.likelihood)
    if least:
        told["least sigma"] = float(
            keras.ops.min(getattr(likelihood, least)(parameters))
        )
    return {**told, "curve": [float(value) for value in history["reconstruction"]]}


def figures(results, setting):
    """Nats over the epochs."""
    epochs = range(1, setting.epochs + 1)
    for precision in ("float32", "mixed_bfloat16"):
        series = [
            (name, epochs, results[f"{name}, {precision}"][0]["curve"])
            for name in ("diagonal", "diagonal, no bound", "gaussian, computed")
        ]
        yield (
            chart(f"nats an image, {precision}", series, "epoch"),
            (
                "Without its bound the diagonal model's nats fall as long as one"
                " trains, until a number overflows."
            ),
        )
