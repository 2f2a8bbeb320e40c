"""The two training runs, each a straight line: data -> model -> callbacks -> fit ->
save.
"""

import dataclasses
import math
import sys
from importlib.util import find_spec

import keras
import numpy as np

import callbacks
from twostage import assemble, data, distribution, pictures, report, sampling
from twostage.checkpoint import Checkpoint
from twostage.data import summary
from twostage.data.batches import Batches, check_count, flip
from twostage.environment import fingerprint
from twostage.errors import InputError
from twostage.latents import LatentNormalizer, SharedPosterior, encode, redraw
from twostage.models.adam import Adam
from twostage.models.jit import jit_compile
from twostage.progress import OneLine, Pace
from twostage.publish import finish, training_images
from twostage.runs import finished_stage1

WATCHED = 2_000  # examples that the callbacks look at
MEASURED = 50_000  # latents that the normaliser's statistics come from


def stage1(config, stage, dry_run=False):
    """Trains stage 1 of a run and writes its SavedModel.

    Args:
        config: A `Stage1Config`.
        stage: The `Stage` to write to.
        dry_run: Whether to stop after telling what would be done.
    """
    images, labels = data.load_splits(config)["train"]
    config = data.lasting(config)
    _prepare(config)
    with distribution.spread(config):
        vae = assemble.stage1(config, images.shape[1:])
        batches = Batches(
            images,
            config.batch_size,
            config.seed,
            transform=flip if config.flip else None,
        )
        _introduce(
            config,
            stage,
            vae,
            f"{config.data}\n" + "\n".join(summary.lines(images, labels)),
            len(batches),
        )
        if dry_run:
            return
        stage.begin(config, fingerprint(images))
        watched = callbacks.contract.random_subset(images, WATCHED, config.seed)
        rows = _train(config, stage, vae, batches, watched, {"data": watched})
        _save(config, stage, vae, rows, watched)
    finish(stage, f"python train_stage2.py --run {stage.run}")


def stage2(config, stage, dry_run=False):
    """Trains stage 2 on the latents of a finished stage 1, measures the normaliser, and
    writes the SavedModel of both.

    Arguments as for `stage1`, with a `Stage2Config`; the data are those of stage 1.
    """
    first = finished_stage1(stage.run)
    first_config = first.saved_config()
    images = training_images(first)
    check_count(len(images), config.batch_size)
    _prepare(config)
    with distribution.spread(config):
        vae1 = first.load_model()
        width = vae1.decoder.input_shape[-1]
        vae = assemble.stage2(config, width)
        _introduce(
            config,
            stage,
            vae,
            f"the latents of {len(images)} images, {width} each, drawn afresh every"
            " epoch",
            len(images) // config.batch_size,
        )
        if dry_run:
            return
        stage.begin(config, fingerprint(images))
        print(f"encoding {len(images)} images", flush=True)
        mean, log_var = encode(vae1, images)
        print("encoded: training begins", flush=True)
        moments = np.stack([mean, log_var], axis=1)  # (N, 2, k)
        batches = Batches(moments, config.batch_size, config.seed, transform=redraw)
        watched = redraw(
            callbacks.contract.random_subset(moments, WATCHED, config.seed),
            np.random.default_rng((config.seed, 1)),
        )
        rows = _train(
            config,
            stage,
            vae,
            batches,
            watched,
            {
                "latent_dim": width,
                "decode": lambda model, u: vae1.decode(model.decode(u)),
            },
        )
        law = float(callbacks.statistics.variance_law(mean, log_var).mean())
        tied = (
            first_config.posterior != "none" or first_config.divergence == "mmd"
        )  # to a prior of variance 1
        normalizer = LatentNormalizer(
            1.0 if config.normal_target == "one" and tied else law**0.5,
            config.per_latent,
        )
        normalizer.adapt(
            sampling.many_latents(vae, MEASURED, (config.seed, 15))
        )  # (seed, 2) are those of an evaluation's samples
        stage.save_model(
            "normalizer.keras", keras.Sequential([keras.Input((width,)), normalizer])
        )
        _save(
            config,
            stage,
            vae,
            rows,
            watched,
            latents=report.latent_figures(vae, normalizer, (config.seed, 3)),
        )
    finish(
        stage,
        f"python -m twostage.sample --run {stage.run} --n 64 --seed 1 --out"
        " samples.png",
    )


def _prepare(config):
    if config.tensorboard and not (
        find_spec("tensorboard") and find_spec("tensorflow")
    ):
        raise InputError(
            "received --tensorboard, but TensorBoard or TensorFlow is not installed:"
            " pip install tensorboard tensorflow"
        )
    keras.utils.set_random_seed(config.seed)
    if (
        config.deterministic and keras.backend.backend() == "tensorflow"
    ):  # JAX on the CPU is so already
        import tensorflow as tf

        tf.config.experimental.enable_op_determinism()
    keras.config.set_dtype_policy(config.precision)


def _train(config, stage, vae, batches, watched, grid):
    """Compiles, restores, fits. `grid`: what the pictures need. Returns the history,
    one dict an epoch.
    """
    compile_vae(config, vae)
    at_work = default_callbacks(config, stage, batches, watched, grid)
    checkpoint = Checkpoint(
        stage, at_work, config.checkpoint_every, distribution.is_first()
    )
    checkpoint.restore(vae)

    def fit(epochs):
        begin = {
            "initial_epoch": min(checkpoint.epoch, epochs),
            "shuffle": False,
            "verbose": 1 if sys.stdout.isatty() else 0,
        }
        vae.fit(batches, epochs=epochs, callbacks=[*at_work, checkpoint], **begin)

    with checkpoint.signals():
        if checkpoint.step:  # stopped within an epoch: its rest is a fit of its own
            batches.first = checkpoint.step
            fit(checkpoint.epoch + 1)
            batches.first = 0
        fit(config.epochs)
    return checkpoint.rows


def compile_vae(config, vae):
    """With Adam, and with XLA where it is the faster way: on a CPU it takes several
    times as long as TensorFlow's own graph.
    """
    vae.compile(
        Adam(config.learning_rate, epsilon=1e-8),
        jit_compile=jit_compile(),
        steps_per_execution=config.steps_per_execution,
    )


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
        kind(watched, posterior, WATCHED, config.watch_every)
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


def _save(config, stage, vae, rows, watched, **figures):
    """The model last: where it is, the stage is finished."""
    mean, log_var = encode(vae, watched)
    pictures.save_png(
        stage.path / "images" / "latents.png", pictures.latent_variances(mean, log_var)
    )
    if stage.number == 1:
        (stage.path / "recalibrated.keras").unlink(
            missing_ok=True
        )  # of what was trained before, as these figures are
        figures["batch_normalisation"] = None
        if not (stage.run / "stage2").exists():
            figures |= {"stage2": None, "latents": None}
    report.write(
        stage.run,
        **figures,
        **{f"stage{stage.number}": report.stage_figures(config, rows, log_var)},
    )
    stage.save_model("model.keras", vae)


def _introduce(config, stage, vae, what, steps):
    def count(model):
        return sum(int(np.prod(weight.shape)) for weight in model.trainable_weights)

    print(
        f"stage {stage.number}, preset {stage.preset}, {keras.backend.backend()}"
        f" backend, on {what}"
    )
    print(
        f"{count(vae):,} trainable parameters, {count(vae.encoder):,} in the encoder"
        f" and {count(vae.decoder):,} in the decoder"
    )
    print(f"{steps:,} steps an epoch, {steps * config.epochs:,} in all")
    if (
        config.gamma == "learned"
        and getattr(config, "likelihood", "gaussian") == "gaussian"
    ):
        print(
            "gamma is learned, by about its learning rate a step: from"
            f" {config.gamma_start:g} down to {_least_gamma(config, steps):.2g} at"
            " most; a larger --gamma-multiplier speeds it up"
        )
    print(
        ", ".join(
            f"{name} {value}" for name, value in dataclasses.asdict(config).items()
        ),
        flush=True,
    )


def _least_gamma(config, steps):
    """Where a learned gamma comes to if each of Adam's steps lowers its logarithm by
    the learning rate times its multiplier.
    """
    rates = sum(
        config.learning_rate * 0.5 ** (epoch // config.halve_every)
        for epoch in range(config.epochs)
    )
    return max(
        config.gamma_start * math.exp(-config.gamma_multiplier * steps * rates),
        config.gamma_floor,
    )
