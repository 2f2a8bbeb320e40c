"""The two trainings, from arrays: data -> model -> callbacks -> fit -> save."""

import dataclasses
import logging
import math
from pathlib import Path
from typing import Any

import keras
import numpy as np

from twostage.config import SAFE_RATE, Stage1Config, Stage2Config
from twostage.data import levels
from twostage.data.batches import Batches, check_count, flip
from twostage.models import build, recalibration
from twostage.models.gaussian_mixture import Mixture
from twostage.models.gaussian_start import (
    initialize_near_gaussian,
    keep_gaussian_if_better,
)
from twostage.models.held_out_loss import held_out_loss
from twostage.models.mean_start import initialize_at_mean
from twostage.models.posterior import draw_latents, encode_dataset, encode_moments
from twostage.models.tensors import to_numpy
from twostage.models.two_stage_models import MIXTURE, TwoStageModels
from twostage.models.vae import VAE
from twostage.own_callbacks import callbacks
from twostage.reporting import latent_plots, png
from twostage.runs import export_record, summary
from twostage.runs.run import SAMPLING, StageRun
from twostage.system import files
from twostage.system.progress import announced
from twostage.system.provenance import fingerprint
from twostage.system.random_streams import Stream
from twostage.training import distribution
from twostage.training.default_callbacks import MAX_WATCHED, Diagnostics
from twostage.training.fit import Fitted, fit
from twostage.training.held_out import HeldOut
from twostage.training.held_out_settings import check_held_out
from twostage.training.history import keras_history
from twostage.training.normalizer import measured_normalizer, normalizer_target
from twostage.training.sampling_choice import (
    HeldOutData,
    SamplingChoice,
    check_sampling,
    with_sampling,
)
from twostage.training.settings import training_settings
from twostage.training.settings_table import settings_table

logger = logging.getLogger(__name__)


@dataclasses.dataclass(frozen=True)
class TrainedStage:
    """A trained stage.

    Args:
        model: Its VAE.
        history: What each epoch logged, from the first, resumed or not.
        normalizer: Of stage 2: rescales its latents (N, k) before stage 1 decodes them.
        mixture: Of stage 2: drawn from instead of it, where its sampling says so.
        sampling: Of stage 2: how latents are drawn; of "auto" what was chosen.
    """

    model: VAE
    history: keras.callbacks.History
    normalizer: keras.Model | None = None
    mixture: Mixture | None = None
    sampling: str = ""


def train_stage1(
    images: np.ndarray,
    config: Stage1Config,
    run: str | Path | StageRun | None = None,
    *,
    held_out: np.ndarray | None = None,
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
        held_out: Images like those, which are not trained on: their loss is logged, and
            `patience` uses it.
        resume: Whether a run that has this stage is resumed; else it is refused.
        bar: Whether a progress bar is shown, and a line per epoch below it; None: on a
            terminal and in a notebook. Without it the line is logged.
        dry_run: Whether to stop once the networks are built; None is returned then.

    Raises:
        InputError: images, settings and run do not fit one another; or the images are
            nearly black.
        DivergedError: the loss is not finite any more.

    Example:
        >>> config = presets.resolve(1, "mnist", epochs=20)
        >>> vae = train_stage1(images, config).model
    """
    check_held_out(config, held_out)
    levels.refuse_black(images, config.scale)
    stage = _stage_run(run, 1, resume)
    with training_settings(config), distribution.spread(config):
        with announced("building the networks"):
            vae = build.build_stage1(config, images.shape[1:])
        mirror = flip if config.flip else None
        batches = Batches(images, config.batch_size, config.seed, transform=mirror)
        _introduce(config, stage, vae, f"{len(images):,} images", len(images), held_out)
        if dry_run:
            return None
        if stage is not None:
            stage.begin(config, *_fingerprints(images, held_out))
        examples = callbacks.examples.random_subset(images, MAX_WATCHED, config.seed)
        if config.initialization == "mean":
            initialize_at_mean(vae, examples)
        watched = _held_out(held_out, config.seed, fit_gamma=config.fits_gamma)
        diagnostics = Diagnostics(examples, held_out=watched)
        fitted = fit(config, stage, vae, batches, diagnostics, bar)
        choice = _recalibrated(vae, images, held_out, config.seed)
        # after it, as it changes the error that gamma fits
        fitted = _with_gamma(config, vae, fitted, held_out)
        if stage is not None:
            _save_stage1(config, stage, vae, fitted, examples, choice)
        return TrainedStage(vae, keras_history(fitted.rows))


def train_stage2(
    stage1: VAE | StageRun,
    images: np.ndarray,
    config: Stage2Config,
    run: str | Path | StageRun | None = None,
    *,
    held_out: np.ndarray | None = None,
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
    check_held_out(config, held_out)
    check_sampling(config.sampling, len(images))
    stage = _stage_run(run, 2, resume)
    with training_settings(config), distribution.spread(config):
        first: VAE = stage1.load_model() if isinstance(stage1, StageRun) else stage1
        width = first.decoder.input_shape[-1]
        with announced("building the networks"):
            vae = build.build_stage2(config, width)
        data = f"{width} latents of {len(images):,} images, redrawn every epoch"
        _introduce(config, stage, vae, data, len(images), held_out)
        if dry_run:
            return None
        if stage is not None:
            stage.begin(config, *_fingerprints(images, held_out))
        moments = encode_moments(first, images)
        if config.initialization == "gaussian":
            keep_gamma = not config.start_sets_gamma
            initialize_near_gaussian(vae, moments, keep_gamma=keep_gamma)
        aside = _held_out_data(first, held_out, config.seed)
        examples = _watched_latents(config, moments)
        diagnostics = _stage2_diagnostics(config, first, examples, aside)
        batches = _latent_batches(config, moments)
        fitted = fit(config, stage, vae, batches, diagnostics, bar)
        fitted = _or_gaussian(config, vae, fitted, moments, aside)
        models, choice = _sampled(config, first, vae, moments, aside)
        if stage is not None:
            _save_stage2(config, stage, models, fitted, examples, choice)
        history = keras_history(fitted.rows)
        normalizer, mixture = models.normalizer, models.mixture
        return TrainedStage(vae, history, normalizer, mixture, choice.method)


def _fingerprints(
    images: np.ndarray, held_out: np.ndarray | None
) -> tuple[dict, dict | None]:
    """Of the training images and of the held-out ones."""
    aside = None if held_out is None else fingerprint(held_out)
    return fingerprint(images), aside


def _with_gamma(
    config: Stage1Config, vae: VAE, fitted: Fitted, held_out: np.ndarray | None
) -> Fitted:
    """Gives the epoch that held-out images chose the best gamma for these images, by
    which its `val_loss` was measured.
    """
    if held_out is None or not (config.fits_gamma and config.patience):
        return fitted
    trained = float(to_numpy(vae.gamma))
    error = held_out_loss(vae, held_out, config.seed)["val_mse"]
    vae.likelihood.set_gamma(error**0.5)
    gamma = float(to_numpy(vae.gamma))
    logger.info(
        "gamma set to %.3g, which fits the held-out images (%.3g in training)",
        gamma,
        trained,
    )
    return dataclasses.replace(fitted, kept={**fitted.kept, "gamma": gamma})


def _or_gaussian(
    config: Stage2Config,
    vae: VAE,
    fitted: Fitted,
    moments: np.ndarray,
    aside: HeldOutData | None,
) -> Fitted:
    """With patience a second stage that began near the Gaussian is at least as good on
    held-out latents.
    """
    if not (config.start_sets_gamma and config.patience and aside):
        return fitted
    latents = aside.latents
    losses = keep_gaussian_if_better(vae, moments, latents, seed=config.seed)
    if losses is None:
        return fitted
    return dataclasses.replace(fitted, kept={"epoch": 0, **losses})


def _latent_batches(config: Stage2Config, moments: np.ndarray) -> Batches:
    """Latents drawn from their posteriors, again in each epoch."""
    return Batches(moments, config.batch_size, config.seed, transform=draw_latents)


def _stage2_diagnostics(
    config: Stage2Config,
    first: VAE,
    examples: np.ndarray,
    aside: HeldOutData | None,
) -> Diagnostics:
    def images_of(model: VAE, u: Any) -> Any:
        return first.decode(model.decode(u))

    held_out = _held_out(aside.latents if aside else None, config.seed)
    return Diagnostics(examples, examples.shape[-1], images_of, held_out)


def _sampled(
    config: Stage2Config,
    first: VAE,
    vae: VAE,
    moments: np.ndarray,
    aside: HeldOutData | None,
) -> tuple[TwoStageModels, SamplingChoice]:
    """The models with their normalizer, and how latents are sampled."""
    target = normalizer_target(config, first, moments)
    models = TwoStageModels(first, vae, measured_normalizer(config, vae, target))
    return with_sampling(models, config.sampling, moments, aside, config.seed)


def _stage_run(
    run: str | Path | StageRun | None, number: int, resume: bool
) -> StageRun | None:
    if run is None or isinstance(run, StageRun):
        return run
    if resume and StageRun(run, number).exists:
        return StageRun.open(run, number)
    return StageRun.create(run, number)


def _held_out(
    data: np.ndarray | None, seed: int, *, fit_gamma: bool = False
) -> HeldOut | None:
    return None if data is None else HeldOut(data, seed, fit_gamma=fit_gamma)


def _held_out_data(
    stage1: VAE, images: np.ndarray | None, seed: int
) -> HeldOutData | None:
    if images is None:
        return None
    moments = encode_moments(stage1, images)
    generator = np.random.default_rng((seed, Stream.HELD_OUT_LATENTS))
    return HeldOutData(images, draw_latents(moments, generator))


def _watched_latents(config: Stage2Config, moments: np.ndarray) -> np.ndarray:
    """Training latents that the diagnostics encode, (N, k)."""
    # an autoencoder's log variance is minus infinity
    watched = callbacks.examples.random_subset(
        moments, MAX_WATCHED, config.seed, finite=False
    )
    generator = np.random.default_rng((config.seed, Stream.WATCHED_LATENTS))
    return draw_latents(watched, generator)


def _recalibrated(
    vae: VAE, images: np.ndarray, held_out: np.ndarray | None, seed: int
) -> dict[str, Any] | None:
    """Re-estimates batch normalization on the training images, and keeps that where it
    raises the bound of held-out images; returns what was found. None: there are no
    held-out images to choose by.
    """
    if held_out is None or vae.posterior_std == 0:
        return None
    choice = recalibration.recalibrate_if_better(vae, images, held_out, seed=seed)
    logger.info(recalibration.summary(choice))
    return choice


def _save_stage1(
    config: Stage1Config,
    stage: StageRun,
    vae: VAE,
    fitted: Fitted,
    examples: np.ndarray,
    choice: dict[str, Any] | None,
) -> None:
    # Removes what describes an earlier training of this stage.
    outdated: dict[str, Any] = {
        "batch_normalization": choice,
        "exported_batch_normalization": None,
    }
    if not (stage.run / "stage2").exists():
        outdated |= summary.WITHOUT_STAGE2
    _save(config, stage, vae, fitted, examples, outdated)


def _save_stage2(
    config: Stage2Config,
    stage: StageRun,
    models: TwoStageModels,
    fitted: Fitted,
    examples: np.ndarray,
    choice: SamplingChoice,
) -> None:
    vae = models.stage2
    assert vae is not None
    normalizer: Any = models.normalizer
    stage.save_model("normalizer.keras", normalizer)
    (stage.path / MIXTURE).unlink(missing_ok=True)
    if models.mixture is not None:
        models.mixture.save(stage.path / MIXTURE)
    sampling = None
    if config.sampling == "auto":
        sampling = choice.as_json()
        files.write_json(stage.path / SAMPLING, sampling)
    layer = normalizer.layers[-1]
    latents = summary.latent_numbers(vae, layer, (config.seed, Stream.SUMMARY_PRIOR))
    results = {"latents": latents, "sampling": sampling}
    _save(config, stage, vae, fitted, examples, results)


def _save(
    config: Any,
    stage: StageRun,
    vae: VAE,
    fitted: Fitted,
    examples: np.ndarray,
    results: dict[str, Any],
) -> None:
    """The model last: where it is, the stage is finished."""
    mean, log_var = encode_dataset(vae, examples)
    plot = latent_plots.latent_variances(mean, log_var)
    png.save_png(stage.path / "images" / "latents.png", plot)
    # of the saved model: the kept epoch may have none
    watchers = callbacks.VarianceLaw(examples), callbacks.ActiveLatents(examples)
    law, active = (each.measure(mean, log_var) for each in watchers)
    measured = law | active
    results[f"stage{stage.number}"] = summary.stage_numbers(
        config, fitted.rows, {**fitted.kept, **measured}, log_var
    )
    summary.write(stage.run, **results)
    if not stage.finished:  # else nothing was trained
        export_record.set_outdated(stage.run)
    stage.save_model("model.keras", vae)


def _introduce(
    config: Any,
    stage: StageRun | None,
    vae: VAE,
    data: str,
    count: int,
    held_out: np.ndarray | None,
) -> None:
    """Logs what is trained, on what, and for how long."""
    steps, rest = divmod(count, config.batch_size)
    preset = f", preset {stage.preset}" if stage is not None and stage.preset else ""
    backend = keras.backend.backend()
    logger.info("%s%s, %s backend", vae.name, preset, backend)
    aside = "" if held_out is None else f"; {len(held_out):,} others are held out"
    logger.info("on %s%s", data, aside)
    logger.info(
        "%s trainable parameters: encoder %s, decoder %s",
        *(f"{_parameters(model):,}" for model in (vae, vae.encoder, vae.decoder)),
    )
    left = f"; each epoch omits {rest} images, different ones each time" if rest else ""
    logger.info(
        "%s steps per epoch, %s in all%s",
        *(f"{number:,}" for number in (steps, steps * config.epochs)),
        left,
    )
    gaussian = getattr(config, "likelihood", "gaussian") == "gaussian"
    starts_at_one = getattr(config, "initialization", "") != "gaussian"
    if config.gamma == "learned" and gaussian and starts_at_one:
        logger.info(
            "gamma is learned: its logarithm moves by about the learning rate per step,"
            " from %g down to %.2g at most; a larger `gamma_multiplier` speeds it up",
            config.gamma_start,
            _least_gamma(config, steps),
        )
    if config.is_stable and config.optimizer == "auto":
        logger.info(
            "the learning rate %g is above %g: stable_adam, with small first steps and"
            " clipped updates; `optimizer='adam'` has neither",
            config.learning_rate,
            SAFE_RATE,
        )
    number = 1 if isinstance(config, Stage1Config) else 2
    logger.info(settings_table(config, number, stage.preset if stage else None))


def _parameters(model: keras.Model) -> int:
    return sum(math.prod(weight.shape) for weight in model.trainable_weights)


def _least_gamma(config: Any, steps: int) -> float:
    """Where a learned gamma ends if each of Adam's steps lowers its logarithm by the
    learning rate times its multiplier.
    """
    if config.schedule == "cosine":  # half on average, as on the way up
        epochs = config.epochs / 2
    else:
        epochs = sum(0.5 ** (i // config.halve_every) for i in range(config.epochs))
    rates = config.learning_rate * steps * epochs
    shrinkage = math.exp(-config.gamma_multiplier * rates)
    return max(config.gamma_start * shrinkage, config.gamma_floor)
