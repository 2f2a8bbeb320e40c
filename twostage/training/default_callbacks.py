"""The callbacks of a training run."""

import sys

import keras

import callbacks
from twostage.models.posterior import SharedPosterior
from twostage.training.progress import OneLine, Pace

MAX_WATCHED = 2_000  # examples that the callbacks look at


def default_callbacks(config, stage, batches, watched, grid):
    """What is at work beside the checkpoints, in order: what computes goes before what
    tells. They share one posterior pass.
    """
    posterior = SharedPosterior()
    halve = keras.callbacks.LearningRateScheduler(
        lambda epoch, _: config.learning_rate * 0.5 ** (epoch // config.halve_every)
    )
    logs = str(stage.path / "tensorboard") if config.tensorboard else None
    told = [
        *([keras.callbacks.TensorBoard(logs)] if logs else []),
        *([] if sys.stdout.isatty() else [OneLine(config.epochs)]),
    ]
    watch = [
        kind(watched, posterior, MAX_WATCHED, config.watch_every)
        for kind in (callbacks.VarianceLaw, callbacks.ActiveLatents)
    ]
    images = callbacks.ImageGrid(
        stage.path / "images", freq=config.watch_every, tensorboard=logs, **grid
    )
    return [
        batches.follow_epochs(),
        Pace(),
        callbacks.NaNDiagnosis(data=watched),
        halve,
        *gamma_rule(config, stage),
        *watch,
        images,
        *told,
    ]


def gamma_rule(config, stage):
    """The callback that sets gamma, in a list; none where nothing does. A schedule is
    read from the `Stage`.
    """
    if config.gamma == "scheduled":
        return [callbacks.GammaSchedule(stage.gamma_curve(config), unit="epoch")]
    if (
        config.gamma != "computed"
        or getattr(config, "likelihood", "gaussian") != "gaussian"
    ):
        return []
    rule = callbacks.ComputedGamma(config.gamma_rule)
    # in our VAE it does nothing at a batch's end, so that Keras need not wait for it on
    # JAX
    rule.async_safe = True
    return [rule]
