"""Rows of image experiments: a run folder each, trained by `train_stage1.py`'s own
recipe, then looked at.
"""

import keras
import numpy as np
from keras import ops

from twostage.data import loading
from twostage.data.splits import limited
from twostage.evaluation.image_metrics import BATCH
from twostage.evaluation.protocol import Protocol
from twostage.features import choose
from twostage.metrics.frechet import frechet_of
from twostage.models.divergences import gaussian_kl
from twostage.models.posterior import draw_latents, encode_dataset
from twostage.reporting import png
from twostage.runs.models import load_models
from twostage.runs.run import open_stage
from twostage.sampling import generate
from twostage.system.random_streams import Stream
from twostage.training.train import train_stage1_run, train_stage2_run

COLUMNS = 12  # images a line of a row's picture


def trained(row, seed, setting, common):
    """(stage 1, its config) of a row: what the row's folder has, trained further where
    it is not finished.

    Args:
        row: A `Row` whose settings are `train_stage1.py`'s.
        seed: Of the run.
        setting: The `Setting`; a fifth of its length passes from one halving of the
            learning rate to the next.
        common: Settings of all rows, as differences from the preset mnist.
    """
    length = {
        **setting.common,
        "epochs": setting.epochs,
        "halve_every": max(1, setting.epochs // 5),
        "seed": seed,
    }
    train(1, setting.path(row, seed), {**common, **length, **row.settings}, "mnist")
    models, config = load_models(setting.path(row, seed))
    return models.stage1, config


def train(number, run, changes, preset):
    """Trains a stage of a run by its command's recipe: from where it was stopped, and
    not at all where it is finished.

    Args:
        number: 1 or 2.
        run: The run folder.
        changes: Settings that differ from the preset's.
        preset: Name of the preset.
    """
    keras.backend.clear_session()
    folder = run / f"stage{number}"
    if (folder / "model.keras").exists():
        return
    stage, config = open_stage(
        number, changes, preset, run, resume=(folder / "config.json").exists()
    )
    try:
        (train_stage1_run, train_stage2_run)[number - 1](config, stage)
    finally:
        stage.end()
        keras.config.set_dtype_policy("float32")  # what measures the row comes after it


def split_images(config, name, most=None):
    """Images (N, height, width, channels) uint8 of a split; `most`: a fixed random
    choice of so many.
    """
    images = loading.load_for(config, name)[0]
    return images[limited(len(images), min(most, len(images)))] if most else images


def errors_and_rate(vae, images, seed=0):
    """(S, KL), float64 (N,): squared error of each image in [0, 1], summed over its
    dimensions, at one draw of z; divergence in nats.
    """
    mean, log_var = encode_dataset(vae, images)
    z = draw_latents(
        np.stack([mean, log_var], 1),
        np.random.default_rng((seed, Stream.EXPERIMENT_LATENTS)),
    )
    parts = [
        (z[i : i + BATCH], images[i : i + BATCH] / np.float32(255))
        for i in range(0, len(z), BATCH)
    ]
    squared = [
        ((ops.convert_to_numpy(vae.decode(some)).astype("float64") - x) ** 2)
        .reshape(len(x), -1)
        .sum(1)
        for some, x in parts
    ]
    return np.concatenate(squared), ops.convert_to_numpy(
        gaussian_kl(mean, log_var, z)
    ).astype("float64").sum(1)


def distance(vae, config, setting, seed=0):
    """Frechet distance of 10,000 images from the prior to the test split, by the
    features of the setting's extractor.
    """
    protocol, extractor = (
        Protocol("fid10k_test"),
        choose.chosen_extractor(
            choose.load_labeled(config), setting.extractor, setting.weights
        ),
    )
    z = np.random.default_rng((seed, Stream.EXPERIMENT_PRIOR)).standard_normal(
        (protocol.count, vae.decoder.input_shape[-1]), dtype="float32"
    )
    made = [
        extractor(
            protocol.preprocess(
                ops.convert_to_numpy(generate.decode(vae, z[i : i + BATCH]))
            ),
            BATCH,
        )
        for i in range(0, len(z), BATCH)
    ]
    return float(
        frechet_of(
            extractor(protocol.reference(split_images(config, "test")), BATCH),
            np.concatenate(made),
        )
    )


def draw(vae, images, path, seed=0, noisy=False):
    """Writes a picture: a line of images, their reconstructions, images from the prior;
    `noisy`: after each of the last two a line drawn from p(x | z) at the same z.
    """
    images = images[:COLUMNS]
    z = np.random.default_rng((seed, Stream.FIGURE_PRIOR)).standard_normal(
        (COLUMNS, vae.decoder.input_shape[-1]), dtype="float32"
    )
    lines = [images / np.float32(255)]
    for latents in (vae.posterior(images)[0], z):
        parameters = vae.decoder(latents, training=False)
        lines += [
            vae.likelihood.mean(parameters),
            *([vae.likelihood.sample(parameters, seed=seed)] if noisy else []),
        ]
    png.save_png(
        path,
        png.tile(
            np.concatenate([ops.convert_to_numpy(line) for line in lines]),
            columns=COLUMNS,
        ),
    )
