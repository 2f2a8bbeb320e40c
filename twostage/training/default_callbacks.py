"""The callbacks of a training, beside those that save."""

import dataclasses
from collections.abc import Callable
from typing import Any

import keras
import numpy as np

from twostage.models.posterior import SharedPosterior
from twostage.own_callbacks import callbacks
from twostage.runs.run import StageRun, recorded_gammas
from twostage.training.best_epoch import BestEpoch
from twostage.training.held_out import HeldOut
from twostage.training.learning_rate_log import LearningRateLog
from twostage.training.pace import Pace
from twostage.training.watch_interval import WatchInterval

MAX_WATCHED = 2_000  # examples that the diagnostics encode


@dataclasses.dataclass(frozen=True)
class Diagnostics:
    """What the diagnostics need.

    Args:
        examples: Training examples that are encoded, at most `MAX_WATCHED`.
        latent_dim: Number of latents, where the images are drawn from the prior alone;
            None: reconstructions of `examples` are drawn, too.
        decode: `decode(model, z)` -> images, where they are not the model's own.
        held_out: Measures held-out data; None: there are none.
    """

    examples: np.ndarray
    latent_dim: int | None = None
    decode: Callable[[Any, Any], Any] | None = None
    held_out: HeldOut | None = None


def default_callbacks(
    config: Any,
    diagnostics: Diagnostics,
    every: int,
    *,
    stage: StageRun | None = None,
    best: BestEpoch | None = None,
) -> list[keras.callbacks.Callback]:
    """The callbacks in order: those that compute metrics precede the loggers. The
    diagnostics share one posterior pass.

    Args:
        config: The stage's settings.
        diagnostics: What is encoded and drawn.
        every: Epochs between measurements of the diagnostics, see `watch_every`.
        stage: Its folder gets images and TensorBoard logs; None: neither is written.
        best: Keeps the best epoch; None: the last one is kept.
    """
    watchers = _watchers(config, stage, diagnostics)
    computing = [
        Pace(),
        callbacks.NaNDiagnosis(data=diagnostics.examples),
        _learning_rate(config),
        *gamma_rule(config, stage),
        *([best.held_out, best] if best is not None else []),
        WatchInterval(watchers, config.epochs, every),
        *watchers,
    ]
    if stage is not None and config.tensorboard:
        computing.append(keras.callbacks.TensorBoard(_logs(stage)))
    return computing


def _learning_rate(config: Any) -> keras.callbacks.Callback:
    """Halves the learning rate every so many epochs, and logs it; of a cosine, which
    the optimizer follows step by step, logs that of the epoch's last step.
    """
    if config.schedule == "cosine":
        return LearningRateLog()
    rate, every = config.learning_rate, config.halve_every
    return keras.callbacks.LearningRateScheduler(
        lambda epoch, _: rate * 0.5 ** (epoch // every)
    )


def _watchers(
    config: Any, stage: StageRun | None, diagnostics: Diagnostics
) -> list[Any]:
    """The callbacks that measure at intervals, see `WatchInterval`. With `patience` the
    held-out loss is none of them: it is measured in every epoch, so that the best one
    is kept.
    """
    posterior = SharedPosterior()
    watchers: list[Any] = [
        kind(diagnostics.examples, posterior, MAX_WATCHED)
        for kind in (callbacks.VarianceLaw, callbacks.ActiveLatents)
    ]
    if diagnostics.held_out is not None and not config.patience:
        watchers.append(diagnostics.held_out)
    if stage is not None:
        watchers.append(_image_grid(config, stage, diagnostics))
    return watchers


def _image_grid(
    config: Any, stage: StageRun, diagnostics: Diagnostics
) -> callbacks.ImageGrid:
    source: dict[str, Any] = {"data": diagnostics.examples}
    if diagnostics.latent_dim is not None:
        source = {
            "latent_dim": diagnostics.latent_dim,
            "decode": diagnostics.decode,
        }
    logs = _logs(stage) if config.tensorboard else None
    return callbacks.ImageGrid(stage.path / "images", tensorboard=logs, **source)


def _logs(stage: StageRun) -> str:
    return str(stage.path / "tensorboard")


def gamma_rule(
    config: Any, stage: StageRun | None = None
) -> list[keras.callbacks.Callback]:
    """The callback that sets gamma, in a list; empty where none does.

    Args:
        config: The stage's settings.
        stage: Keeps the curve of `gamma='scheduled'`; None: it is read from the run
            that `gamma_from` names.
    """
    if config.gamma == "scheduled":
        if stage is None:
            number = 1 if hasattr(config, "likelihood") else 2
            curve = recorded_gammas(config.gamma_from, number)
        else:
            curve = stage.gamma_curve(config)
        return [_async(callbacks.GammaSchedule(curve, unit="epoch"))]
    gaussian = getattr(config, "likelihood", "gaussian") == "gaussian"
    if config.gamma != "computed" or not gaussian:
        return []
    return [_async(callbacks.ComputedGamma(config.gamma_rule))]


def _async(callback: Any) -> Any:
    """For callbacks that do nothing at a batch's end in our VAE: on JAX Keras then need
    not wait for them.
    """
    callback.async_safe = True
    return callback
