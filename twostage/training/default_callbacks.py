"""The callbacks of a training, beside those that save."""

import dataclasses
from collections.abc import Callable
from typing import Any

import keras
import numpy as np

from twostage.data.batches import Batches
from twostage.models.posterior import SharedPosterior
from twostage.own_callbacks import callbacks
from twostage.runs.run import StageRun, recorded_gammas
from twostage.training.progress import OneLine, Pace

MAX_WATCHED = 2_000  # examples that the diagnostics encode


@dataclasses.dataclass(frozen=True)
class Diagnostics:
    """What the diagnostics need.

    Args:
        examples: Training examples that are encoded, at most `MAX_WATCHED`.
        latent_dim: Number of latents, where the images are drawn from the prior alone;
            None: reconstructions of `examples` are drawn, too.
        decode: `decode(model, z)` -> images, where they are not the model's own.
    """

    examples: np.ndarray
    latent_dim: int | None = None
    decode: Callable[[Any, Any], Any] | None = None


def default_callbacks(
    config: Any,
    batches: Batches,
    diagnostics: Diagnostics,
    *,
    stage: StageRun | None = None,
    bar: bool = False,
) -> list[keras.callbacks.Callback]:
    """The callbacks in order: those that compute metrics precede the loggers. The
    diagnostics share one posterior pass.

    Args:
        config: The stage's settings.
        batches: The training batches.
        diagnostics: What is encoded and drawn.
        stage: Its folder gets images and TensorBoard logs; None: neither is written.
        bar: Whether Keras shows a progress bar, so that no line per epoch is logged.
    """
    examples = diagnostics.examples
    computing = [
        batches.follow_epochs(),
        Pace(),
        callbacks.NaNDiagnosis(data=examples),
        halving(config.learning_rate, config.halve_every),
        *gamma_rule(config, stage),
    ]
    posterior = SharedPosterior()
    for kind in (callbacks.VarianceLaw, callbacks.ActiveLatents):
        computing.append(kind(examples, posterior, MAX_WATCHED, config.watch_every))
    if stage is not None:
        computing.extend(_writers(config, stage, diagnostics))
    if not bar:
        computing.append(OneLine(config.epochs))
    return computing


def halving(rate: float, every: int) -> keras.callbacks.Callback:
    """Halves the learning rate every so many epochs."""
    return keras.callbacks.LearningRateScheduler(
        lambda epoch, _: rate * 0.5 ** (epoch // every)
    )


def _writers(
    config: Any, stage: StageRun, diagnostics: Diagnostics
) -> list[keras.callbacks.Callback]:
    """The callbacks that write into the stage's folder."""
    logs = str(stage.path / "tensorboard") if config.tensorboard else None
    source: dict[str, Any] = {"data": diagnostics.examples}
    if diagnostics.latent_dim is not None:
        source = {
            "latent_dim": diagnostics.latent_dim,
            "decode": diagnostics.decode,
        }
    grid = callbacks.ImageGrid(
        stage.path / "images", freq=config.watch_every, tensorboard=logs, **source
    )
    return [grid, keras.callbacks.TensorBoard(logs)] if logs else [grid]


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
