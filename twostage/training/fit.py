"""Fits a stage: compiles, resumes, trains, keeps the best epoch."""

import dataclasses
from typing import Any

import keras
from keras.optimizers.schedules import CosineDecay

from twostage.data.batches import Batches
from twostage.models.compilation import jit_compile
from twostage.models.vae import VAE
from twostage.runs.run import StageRun
from twostage.training import distribution
from twostage.training.adam import Adam
from twostage.training.best_epoch import BestEpoch
from twostage.training.checkpoint import Checkpoint
from twostage.training.default_callbacks import Diagnostics, default_callbacks
from twostage.training.divergence_check import DivergenceCheck
from twostage.training.epoch_display import EpochDisplay
from twostage.training.held_out import HeldOut
from twostage.training.history import EpochRows
from twostage.training.overfitting import warn_of_overfitting
from twostage.training.watch_interval import watch_every

Rows = list[dict[str, float]]

CLIP_UPDATE = 1.0  # StableAdamW's
EPSILON = 1e-8  # Adam's; Kingma & Ba 2015


@dataclasses.dataclass(frozen=True)
class Fitted:
    """What a fit leaves beside the trained model.

    Args:
        rows: The history, a dict per epoch.
        kept: The row of the epoch whose weights the model has.
    """

    rows: Rows
    kept: dict[str, float]


def fit(
    config: Any,
    stage: StageRun | None,
    vae: VAE,
    batches: Batches,
    diagnostics: Diagnostics,
    bar: bool | None,
) -> Fitted:
    """Compiles, restores, fits, and shows how it goes; with `patience` the model then
    has the best epoch's weights.

    Args:
        config: The stage's settings.
        stage: Its folder; None: everything stays in memory.
        vae: What is trained.
        batches: The training data.
        diagnostics: What the callbacks measure.
        bar: Whether a progress bar is shown; None: where somebody can see it.
    """
    steps = len(batches)
    compile_vae(config, vae, steps)
    best = _best_epoch(config, stage, diagnostics.held_out)
    every = watch_every(config, steps)
    watching = default_callbacks(config, diagnostics, every, stage=stage, best=best)
    with EpochDisplay(config.epochs, steps, bar, every) as display:
        checkpoints = stage and stage.path / "checkpoints"
        watching += [display, DivergenceCheck(diagnostics.examples, checkpoints)]
        rows = _rows(config, stage, _Fit(config.epochs, vae, batches), watching, best)
    if best:
        return Fitted(rows, best.restore(vae, rows))
    warn_of_overfitting(rows)
    return Fitted(rows, rows[-1])


def _rows(
    config: Any,
    stage: StageRun | None,
    fit_once: "_Fit",
    watching: list[keras.callbacks.Callback],
    best: BestEpoch | None,
) -> Rows:
    """Trains, and returns the history."""
    if stage is None:
        kept = EpochRows()
        fit_once([*watching, kept])
        return kept.rows
    checkpoint = Checkpoint(
        stage,
        watching,
        every=config.checkpoint_every,
        obeys=distribution.is_first(),
    )
    _fit_resumable(fit_once, checkpoint, watching, best)
    return checkpoint.rows


def compile_vae(config: Any, vae: VAE, steps: int = 0) -> None:
    """Compiles with Adam, stable where the settings say so, and with XLA where it is
    the faster way: on a CPU it takes several times as long as TensorFlow's own graph.

    Args:
        config: The stage's settings.
        vae: The model.
        steps: Of an epoch, which `schedule='cosine'` needs.
    """
    is_cosine = config.schedule == "cosine"
    rate = _cosine(config, steps) if is_cosine else config.learning_rate
    stable = {"rectified": True, "clip_update": CLIP_UPDATE} if config.is_stable else {}
    vae.compile(
        Adam(rate, epsilon=EPSILON, **stable),
        jit_compile=jit_compile(),
        steps_per_execution=config.steps_per_execution,
    )


def _cosine(config: Any, steps: int) -> CosineDecay:
    """Up to the learning rate within the warm-up's steps, then down to 0 (Loshchilov &
    Hutter 2017, equation 5).
    """
    if not steps:
        raise ValueError("received steps=0, expected an epoch's for a cosine")
    after = max(1, steps * config.epochs - config.warmup_steps)
    if not config.warmup_steps:
        return CosineDecay(config.learning_rate, after)
    return CosineDecay(
        0.0,
        after,
        warmup_target=config.learning_rate,
        warmup_steps=config.warmup_steps,
    )


@dataclasses.dataclass
class _Fit:
    """`fit` of a model, up to some epoch."""

    epochs: int
    vae: VAE
    batches: Batches

    def __call__(
        self,
        callbacks: list[keras.callbacks.Callback],
        first: int = 0,
        last: int | None = None,
    ) -> None:
        epochs = self.epochs if last is None else last
        self.vae.fit(
            self.batches,
            epochs=epochs,
            initial_epoch=min(first, epochs),
            callbacks=callbacks,
            verbose=0,
        )


def _fit_resumable(
    fit_once: _Fit,
    checkpoint: Checkpoint,
    watching: list[keras.callbacks.Callback],
    best: BestEpoch | None,
) -> None:
    """Continues from the newest checkpoint to the end."""
    checkpoint.restore(fit_once.vae)
    if best and checkpoint.states:
        best.set_state(checkpoint.states["BestEpoch"])
    callbacks = [*watching, checkpoint]
    batches = fit_once.batches
    with checkpoint.signals():
        if checkpoint.step:  # stopped within an epoch: its rest is a fit of its own
            batches.first = checkpoint.step
            fit_once(callbacks, checkpoint.epoch, checkpoint.epoch + 1)
            batches.first = 0
        if not (best and best.is_exhausted):
            fit_once(callbacks, checkpoint.epoch)


def _best_epoch(
    config: Any, stage: StageRun | None, held_out: HeldOut | None
) -> BestEpoch | None:
    if not config.patience or held_out is None:
        return None
    folder = stage.path / "checkpoints" if stage is not None else None
    return BestEpoch(held_out, config.patience, folder)
