"""The two trainings, from arrays: data -> model -> callbacks -> fit -> save."""

import dataclasses
import logging
import math
import sys
from pathlib import Path
from typing import Any

import keras
import numpy as np

from twostage.config import Stage1Config, Stage2Config
from twostage.data.batches import Batches, check_count, flip
from twostage.models import build
from twostage.models.compilation import jit_compile
from twostage.models.divergences import MaximumMeanDiscrepancy
from twostage.models.latent_normalizer import LatentNormalizer
from twostage.models.posterior import draw_latents, encode_dataset
from twostage.models.vae import VAE
from twostage.own_callbacks import callbacks
from twostage.reporting import latent_plots, png
from twostage.runs import summary
from twostage.runs.run import StageRun
from twostage.sampling import generate
from twostage.system.provenance import fingerprint
from twostage.system.random_streams import Stream
from twostage.training import distribution
from twostage.training.adam import Adam
from twostage.training.checkpoint import Checkpoint
from twostage.training.default_callbacks import (
    MAX_WATCHED,
    Diagnostics,
    default_callbacks,
)
from twostage.training.history import EpochRows, keras_history
from twostage.training.settings import training_settings

logger = logging.getLogger(__name__)

NORMALIZER_SAMPLES = 50_000  # latents that the normalizer's statistics come from
Rows = list[dict[str, float]]


@dataclasses.dataclass(frozen=True)
class TrainedStage:
    """A trained stage.

    Args:
        model: Its VAE.
        history: What each epoch logged, from the first, resumed or not.
        normalizer: Of stage 2: rescales its latents (N, k) before stage 1 decodes them.
    """

    model: VAE
    history: keras.callbacks.History
    normalizer: keras.Model | None = None


def train_stage1(
    images: np.ndarray,
    config: Stage1Config,
    run: str | Path | StageRun | None = None,
    *,
    resume: bool = True,
    bar: bool | None = None,
    dry_run: bool = False,
) -> TrainedStage | None:
    """Trains stage 1 on images.

    Args:
        images: uint8 (N, height, width, 1 or 3); may be memory-mapped.
        config: Its settings; those of its data are not used here.
        run: A run folder, which gets checkpoints, history and model; None: everything
            stays in memory.
        resume: Whether a run that has this stage is resumed; else it is refused.
        bar: Whether Keras shows a progress bar; None: on a terminal. Without it a line
            per epoch is logged.
        dry_run: Whether to stop once the networks are built; None is returned then.

    Raises:
        InputError: images, settings and run do not fit one another.
        DivergedError: the loss is not finite any more.

    Example:
        >>> config = presets.resolve(1, "mnist", epochs=20)
        >>> vae = train_stage1(images, config).model
    """
    stage = _stage_run(run, 1, resume)
    with training_settings(config), distribution.spread(config):
        vae = build.build_stage1(config, images.shape[1:])
        batches = Batches(
            images,
            config.batch_size,
            config.seed,
            transform=flip if config.flip else None,
        )
        _introduce(config, stage, vae, f"{len(images):,} images", len(images))
        if dry_run:
            return None
        if stage is not None:
            stage.begin(config, fingerprint(images))
        examples = callbacks.examples.random_subset(images, MAX_WATCHED, config.seed)
        rows = _fit(config, stage, vae, batches, Diagnostics(examples), bar)
        if stage is not None:
            _save_stage1(config, stage, vae, rows, examples)
        return TrainedStage(vae, keras_history(rows))


def train_stage2(
    stage1: VAE | StageRun,
    images: np.ndarray,
    config: Stage2Config,
    run: str | Path | StageRun | None = None,
    *,
    resume: bool = True,
    bar: bool | None = None,
    dry_run: bool = False,
) -> TrainedStage | None:
    """Trains stage 2 on the latents of a trained stage 1, and measures the normalizer.

    Args:
        stage1: The trained stage 1, or the folder that has it.
        images: Those that it was trained on.
        config: Stage 2's settings.

    The other arguments, and errors, are those of `train_stage1`.
    """
    check_count(len(images), config.batch_size)
    stage = _stage_run(run, 2, resume)
    with training_settings(config), distribution.spread(config):
        first: VAE = stage1.load_model() if isinstance(stage1, StageRun) else stage1
        width = first.decoder.input_shape[-1]
        vae = build.build_stage2(config, width)
        data = f"{width} latents of {len(images):,} images, drawn afresh every epoch"
        _introduce(config, stage, vae, data, len(images))
        if dry_run:
            return None
        if stage is not None:
            stage.begin(config, fingerprint(images))
        moments = _encode(first, images)
        batches = Batches(
            moments, config.batch_size, config.seed, transform=draw_latents
        )
        # an autoencoder's log variance is minus infinity
        watched = callbacks.examples.random_subset(
            moments, MAX_WATCHED, config.seed, finite=False
        )
        examples = draw_latents(
            watched,
            np.random.default_rng((config.seed, Stream.WATCHED_LATENTS)),
        )
        diagnostics = Diagnostics(
            examples, width, lambda model, u: first.decode(model.decode(u))
        )
        rows = _fit(config, stage, vae, batches, diagnostics, bar)
        target = _normalizer_target(config, first, moments)
        normalizer = _measured_normalizer(config, vae, target)
        if stage is not None:
            _save_stage2(config, stage, vae, rows, examples, normalizer)
        return TrainedStage(vae, keras_history(rows), normalizer)


def _stage_run(
    run: str | Path | StageRun | None, number: int, resume: bool
) -> StageRun | None:
    if run is None or isinstance(run, StageRun):
        return run
    if resume and StageRun(run, number).exists:
        return StageRun.open(run, number)
    return StageRun.create(run, number)


def _fit(
    config: Any,
    stage: StageRun | None,
    vae: VAE,
    batches: Batches,
    diagnostics: Diagnostics,
    bar: bool | None,
) -> Rows:
    """Compiles, restores, fits. Returns the history, a dict per epoch."""
    shown = sys.stdout.isatty() if bar is None else bar
    compile_vae(config, vae)
    watching = default_callbacks(config, batches, diagnostics, stage=stage, bar=shown)
    options = {"shuffle": False, "verbose": 1 if shown else 0}
    if stage is None:
        kept = EpochRows()
        vae.fit(batches, epochs=config.epochs, callbacks=[*watching, kept], **options)
        return kept.rows
    checkpoint = Checkpoint(
        stage,
        watching,
        every=config.checkpoint_every,
        obeys=distribution.is_first(),
    )
    checkpoint.restore(vae)

    def fit(epochs: int) -> None:
        vae.fit(
            batches,
            epochs=epochs,
            initial_epoch=min(checkpoint.epoch, epochs),
            callbacks=[*watching, checkpoint],
            **options,
        )

    with checkpoint.signals():
        if checkpoint.step:  # stopped within an epoch: its rest is a fit of its own
            batches.first = checkpoint.step
            fit(checkpoint.epoch + 1)
            batches.first = 0
        fit(config.epochs)
    return checkpoint.rows


def _encode(stage1: VAE, images: np.ndarray) -> np.ndarray:
    """The posterior's (mean, log_var) of each image, stacked: (N, 2, k)."""
    logger.info("encoding %d images", len(images))
    mean, log_var = encode_dataset(stage1, images)
    logger.info("encoded: training begins")
    return np.stack([mean, log_var], axis=1)


def compile_vae(config: Any, vae: VAE) -> None:
    """Compiles with Adam, and with XLA where it is the faster way: on a CPU it takes
    several times as long as TensorFlow's own graph.
    """
    vae.compile(
        Adam(config.learning_rate, epsilon=1e-8),
        jit_compile=jit_compile(),
        steps_per_execution=config.steps_per_execution,
    )


def _normalizer_target(config: Stage2Config, stage1: VAE, moments: np.ndarray) -> float:
    """The standard deviation of normalized latents: 1, or that of stage 1's latents by
    the variance law, as where no prior of variance 1 shaped them.
    """
    law = float(callbacks.statistics.variance_law(*moments.swapaxes(0, 1)).mean())
    has_prior = stage1.posterior_std != 0 or isinstance(
        stage1.divergence, MaximumMeanDiscrepancy
    )
    return 1.0 if config.normal_target == "one" and has_prior else law**0.5


def _measured_normalizer(
    config: Stage2Config, stage2: VAE, target: float
) -> keras.Model:
    layer = LatentNormalizer(target, config.per_latent)
    # not the stream of an evaluation's samples
    layer.adapt(
        generate.many_latents(
            stage2, NORMALIZER_SAMPLES, (config.seed, Stream.NORMALIZER_PRIOR)
        )
    )
    width = stage2.decoder.input_shape[-1]
    return keras.Sequential([keras.Input((width,)), layer])


def _save_stage1(
    config: Stage1Config, stage: StageRun, vae: VAE, rows: Rows, examples: np.ndarray
) -> None:
    # Removes what describes an earlier training of this stage.
    (stage.path / "recalibrated.keras").unlink(missing_ok=True)
    outdated = {"batch_normalisation": None}
    if not (stage.run / "stage2").exists():
        outdated |= {"stage2": None, "latents": None}
    _save(config, stage, vae, rows, examples, outdated)


def _save_stage2(
    config: Stage2Config,
    stage: StageRun,
    vae: VAE,
    rows: Rows,
    examples: np.ndarray,
    normalizer: keras.Model,
) -> None:
    stage.save_model("normalizer.keras", normalizer)
    layer = normalizer.layers[-1]
    latents = summary.latent_figures(vae, layer, (config.seed, Stream.SUMMARY_PRIOR))
    _save(config, stage, vae, rows, examples, {"latents": latents})


def _save(
    config: Any,
    stage: StageRun,
    vae: VAE,
    rows: Rows,
    examples: np.ndarray,
    results: dict[str, Any],
) -> None:
    """The model last: where it is, the stage is finished."""
    mean, log_var = encode_dataset(vae, examples)
    plot = latent_plots.latent_variances(mean, log_var)
    png.save_png(stage.path / "images" / "latents.png", plot)
    results[f"stage{stage.number}"] = summary.stage_figures(config, rows, log_var)
    summary.write(stage.run, **results)
    stage.save_model("model.keras", vae)


def _introduce(
    config: Any, stage: StageRun | None, vae: VAE, data: str, count: int
) -> None:
    """Logs what is trained, on what, and for how long."""
    steps, rest = divmod(count, config.batch_size)
    preset = f", preset {stage.preset}" if stage is not None and stage.preset else ""
    backend = keras.backend.backend()
    logger.info("%s%s, %s backend, on %s", vae.name, preset, backend, data)
    logger.info(
        "%s trainable parameters, %s in the encoder and %s in the decoder",
        *(f"{_parameters(model):,}" for model in (vae, vae.encoder, vae.decoder)),
    )
    left = f"; each epoch leaves out {rest} images, others each time" if rest else ""
    logger.info(
        "%s steps per epoch, %s in all%s",
        *(f"{number:,}" for number in (steps, steps * config.epochs)),
        left,
    )
    gaussian = getattr(config, "likelihood", "gaussian") == "gaussian"
    if config.gamma == "learned" and gaussian:
        logger.info(
            "gamma is learned, by about its learning rate per step: from %g down to"
            " %.2g at most; a larger `gamma_multiplier` speeds it up",
            config.gamma_start,
            _least_gamma(config, steps),
        )
    settings = dataclasses.asdict(config).items()
    logger.info(", ".join(f"{name} {value}" for name, value in settings))


def _parameters(model: keras.Model) -> int:
    return sum(math.prod(weight.shape) for weight in model.trainable_weights)


def _least_gamma(config: Any, steps: int) -> float:
    """Where a learned gamma ends if each of Adam's steps lowers its logarithm by the
    learning rate times its multiplier.
    """
    rates = 0.0
    for epoch in range(config.epochs):
        rates += config.learning_rate * 0.5 ** (epoch // config.halve_every)
    shrinkage = math.exp(-config.gamma_multiplier * steps * rates)
    return max(config.gamma_start * shrinkage, config.gamma_floor)
