"""Every observation model on MNIST, in float32 and in mixed bfloat16."""

import contextlib
import math
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from twostage.config import Stage1Config
from twostage.experiments.experiment import (
    Experiment,
    Figure,
    Result,
    Results,
    Row,
    Setting,
)

if TYPE_CHECKING:
    import numpy as np

PRECISIONS = ("float32", "mixed_bfloat16")
LATENTS = 32
UNBOUNDED = "diagonal, no bound"
MODELS = {
    "gaussian, computed": {"gamma": "computed"},
    "gaussian, learned": {"gamma": "learned"},
    "gaussian, fixed 1/sqrt 2": {"gamma": "fixed", "gamma_start": 0.5**0.5},
    "diagonal": {"likelihood": "diagonal"},
    "optimal_image": {"likelihood": "optimal_image"},
    "optimal_batch": {"likelihood": "optimal_batch"},
    "bernoulli": {"likelihood": "bernoulli"},
    "logistic": {"likelihood": "logistic"},
    UNBOUNDED: {"likelihood": "diagonal", "floor": 0.0},
}
MODELS_IN_FIGURES = ("diagonal", UNBOUNDED, "gaussian, computed")
TEST_IMAGES = 500  # on which the least sigma is looked for


def _name(model: str, precision: str) -> str:
    return f"{model}, {precision}"


ROWS = [
    Row(_name(model, precision), {**settings, "precision": precision})
    for model, settings in MODELS.items()
    for precision in PRECISIONS
]


def measure(
    row: Row, seed: int, earlier: dict[str, Result], setting: Setting
) -> Result:
    """The dense ResNet of Berger & Sebag on images as vectors.

    Of the last epoch: nats per image, rate, squared error per pixel; epochs that ended
    without NaN; the least sigma or scale on test images, where the decoder has one for
    each pixel.
    """
    from twostage.data import loading

    settings = dict(row.settings)
    floor = settings.pop("floor", None)
    config = _config(settings, seed, setting)
    train = _vectors(loading.load_for(config, "train")[0])
    test = _vectors(loading.load_for(config, "test")[0])
    vae = _build_vae(config, floor, train.shape[1])
    with _dtype_policy(config.precision):
        history = _fit(vae, config, train, row.name)
    result = {
        name: float(history[name][-1]) for name in ("reconstruction", "kl", "mse")
    }
    result["finite epochs"] = sum(math.isfinite(loss) for loss in history["loss"])
    least_sigma = _least_sigma(vae, config, test[:TEST_IMAGES])
    if least_sigma is not None:
        result["least sigma"] = least_sigma
    curve = [float(value) for value in history["reconstruction"]]
    return {**result, "curve": curve}


def _config(settings: dict[str, Any], seed: int, setting: Setting) -> Stage1Config:
    from twostage import presets

    return presets.resolve(
        1,
        "mnist",
        data=setting.data,
        held_out=0.0,
        pad=0,
        latent_dim=LATENTS,
        epochs=setting.epochs,
        seed=seed,
        learning_rate=5e-4,
        **settings,
    )


def _vectors(images: "np.ndarray") -> "np.ndarray":
    return images.reshape(len(images), -1)


@contextlib.contextmanager
def _dtype_policy(precision: str) -> Iterator[None]:
    """Within: the policy of new layers. What measures the row is float32."""
    import keras

    keras.config.set_dtype_policy(precision)
    try:
        yield
    finally:
        keras.config.set_dtype_policy("float32")


def _build_vae(config: Stage1Config, floor: float | None, width: int) -> Any:
    """A compiled VAE. `floor`: of the diagonal model's sigma; None: as the config."""
    import keras

    from twostage.likelihoods.diagonal_gaussian_likelihood import (
        DiagonalGaussianLikelihood,
    )
    from twostage.models import build
    from twostage.models.networks.berger_sebag import residual_decoder, residual_encoder
    from twostage.models.vae import VAE
    from twostage.training.fit import compile_vae

    # after the imports, which draw from Python's generator, and before the policy,
    # which `clear_session` resets
    keras.backend.clear_session()
    keras.utils.set_random_seed(config.seed)
    with _dtype_policy(config.precision):
        if floor is None:
            likelihood = build.build_likelihood(config)
        else:
            likelihood = DiagonalGaussianLikelihood(floor)
        encoder = residual_encoder(width, LATENTS)
        decoder = residual_decoder(width, LATENTS, heads=likelihood.heads)
        vae = VAE(encoder, decoder, likelihood, data_dtype="uint8", seed=config.seed)
        compile_vae(config, vae)
    return vae


def _fit(
    vae: Any, config: Stage1Config, images: "np.ndarray", label: str
) -> dict[str, list[float]]:
    from twostage.data.batches import Batches
    from twostage.experiments.progress import epoch_bar
    from twostage.training.default_callbacks import gamma_rule

    batches = Batches(images, config.batch_size, config.seed)
    rule = gamma_rule(config, None)
    with epoch_bar(config.epochs, f"{label}, seed {config.seed}") as bar:
        return vae.fit(
            batches,
            epochs=config.epochs,
            verbose=0,
            callbacks=[*rule, bar],
        ).history


def _least_sigma(vae: Any, config: Stage1Config, images: "np.ndarray") -> float | None:
    """Of the decoder on reconstructions; None where it has no sigma for each pixel."""
    import keras

    parameters = vae.decoder(vae.posterior(images)[0], training=False)
    if config.likelihood == "diagonal":
        sigma = vae.likelihood.standard_deviation(parameters)
    elif config.likelihood == "logistic":
        sigma = vae.likelihood.scale(parameters)
    else:
        return None
    return float(keras.ops.min(sigma))


def figures(results: Results, setting: Setting) -> Iterator[Figure]:
    """Nats over the epochs."""
    from twostage.reporting.charts import chart

    epochs = range(1, setting.epochs + 1)
    for precision in PRECISIONS:
        series = [
            (model, epochs, results[_name(model, precision)][0]["curve"])
            for model in MODELS_IN_FIGURES
        ]
        yield Figure(
            chart(f"nats per image, {precision}", series, "epoch"),
            "Without its bound the diagonal model's nats fall as long as one trains,"
            " until a number overflows.",
        )


EXPERIMENT = Experiment(
    name="likelihoods",
    title=(
        "Every observation model on MNIST, in float32 and in mixed bfloat16, and the"
        " diagonal one without its bound, which diverges."
    ),
    rows=ROWS,
    measure=measure,
    figures=figures,
    full_epochs=10,
    quick_epochs=2,
    seeds=1,
    data="mnist",
)
