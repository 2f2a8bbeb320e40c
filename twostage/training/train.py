"""The two training runs: data -> model -> callbacks -> fit -> save."""

import dataclasses
import math
import sys
from importlib.util import find_spec

import keras
import numpy as np

import callbacks
from twostage.data import loading, summary
from twostage.data.batches import Batches, check_count, flip
from twostage.errors import InputError
from twostage.models import build
from twostage.models.compilation import jit_compile
from twostage.models.latent_normalizer import LatentNormalizer
from twostage.models.posterior import draw_latents, encode_dataset
from twostage.reporting import latent_plots, png
from twostage.runs.data import training_images
from twostage.runs.run import finished_stage1
from twostage.runs.summary import latent_figures, stage_figures, write
from twostage.sampling import generate
from twostage.system.provenance import fingerprint
from twostage.training import distribution
from twostage.training.adam import Adam
from twostage.training.checkpoint import Checkpoint
from twostage.training.default_callbacks import MAX_WATCHED, default_callbacks

NORMALIZER_SAMPLES = 50_000  # latents that the normaliser's statistics come from


def train_stage1_run(config, stage, *, dry_run=False):
    """Trains stage 1 of a run and writes its SavedModel.

    Args:
        config: A `Stage1Config`.
        stage: The `Stage` to write to.
        dry_run: Whether to stop after telling what would be done.
    """
    images, labels = loading.load_splits(config)["train"]
    config = loading.with_absolute_paths(config)
    _prepare(config)
    with distribution.spread(config):
        vae = build.build_stage1(config, images.shape[1:])
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
            return False
        stage.begin(config, fingerprint(images))
        watched = callbacks.contract.random_subset(images, MAX_WATCHED, config.seed)
        rows = _train(config, stage, vae, batches, watched, {"data": watched})
        _save(config, stage, vae, rows, watched)
    return True


def train_stage2_run(config, stage, *, dry_run=False):
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
        vae = build.build_stage2(config, width)
        _introduce(
            config,
            stage,
            vae,
            f"the latents of {len(images)} images, {width} each, drawn afresh every"
            " epoch",
            len(images) // config.batch_size,
        )
        if dry_run:
            return False
        stage.begin(config, fingerprint(images))
        print(f"encoding {len(images)} images", flush=True)
        mean, log_var = encode_dataset(vae1, images)
        print("encoded: training begins", flush=True)
        moments = np.stack([mean, log_var], axis=1)  # (N, 2, k)
        batches = Batches(
            moments, config.batch_size, config.seed, transform=draw_latents
        )
        watched = draw_latents(
            callbacks.contract.random_subset(moments, MAX_WATCHED, config.seed),
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
            generate.many_latents(vae, NORMALIZER_SAMPLES, (config.seed, 15))
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
            latents=latent_figures(vae, normalizer, (config.seed, 3)),
        )
    return True


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


def _save(config, stage, vae, rows, watched, **figures):
    """The model last: where it is, the stage is finished."""
    mean, log_var = encode_dataset(vae, watched)
    png.save_png(
        stage.path / "images" / "latents.png",
        latent_plots.latent_variances(mean, log_var),
    )
    if stage.number == 1:
        (stage.path / "recalibrated.keras").unlink(
            missing_ok=True
        )  # of what was trained before, as these figures are
        figures["batch_normalisation"] = None
        if not (stage.run / "stage2").exists():
            figures |= {"stage2": None, "latents": None}
    write(
        stage.run,
        **figures,
        **{f"stage{stage.number}": stage_figures(config, rows, log_var)},
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
