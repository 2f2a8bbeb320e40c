"""Rows of experiments on images: a run folder each, trained as `train_stage1` trains,
then measured.
"""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import keras
import numpy as np

from twostage.config import Stage1Config
from twostage.data import loading
from twostage.data.splits import limited
from twostage.evaluation.image_metrics import BATCH
from twostage.evaluation.protocol import Protocol
from twostage.experiments.experiment import Row, Setting
from twostage.features import choose
from twostage.metrics.frechet import frechet_of
from twostage.models.divergences import gaussian_kl
from twostage.models.posterior import draw_latents, encode_dataset
from twostage.models.tensors import to_numpy
from twostage.models.vae import VAE
from twostage.reporting import png
from twostage.runs.models import load_models
from twostage.runs.run import open_stage
from twostage.sampling.decoding import decoded
from twostage.sampling.latent_samplers import standard_normal
from twostage.system.random_streams import Stream
from twostage.training.train_run import train_stage1_run, train_stage2_run

IMAGES_IN_LINE = 12  # of a row's figure
PRESET = "mnist"  # that the settings of rows with one stage differ from


def train_row(
    row: Row, seed: int, *, setting: Setting, common: dict[str, Any]
) -> tuple[VAE, Stage1Config]:
    """Stage 1 of a row and its config. What the row's folder has is trained further
    where it is not finished.

    Args:
        row: Its settings are fields of a `Stage1Config`.
        seed: Of the run.
        setting: What the rows share. The learning rate is halved every fifth of its
            length.
        common: Settings of all rows, as differences from the preset mnist.
    """
    run = setting.path(row.name, seed)
    length = {"epochs": setting.epochs, "halve_every": max(1, setting.epochs // 5)}
    changes = {
        **common,
        **setting.stage1_settings,
        **length,
        "seed": seed,
        **row.settings,
    }
    train_stage(1, run, changes=changes, preset=PRESET)
    models, config = load_models(run)
    return models.stage1, config


def train_stage(
    number: int, run: Path, *, changes: dict[str, Any], preset: str
) -> None:
    """Trains a stage of a run. It resumes where it was stopped, and does nothing where
    it is finished.

    Args:
        number: 1 or 2.
        run: The run folder.
        changes: Settings that differ from the preset's, which holds no images out
            here: the papers train on all.
        preset: Name of the preset.
    """
    changes = {"held_out": 0.0, **changes} if number == 1 else changes
    keras.backend.clear_session()
    folder = run / f"stage{number}"
    if (folder / "model.keras").exists():
        return
    started = (folder / "config.json").exists()
    stage, config = open_stage(number, changes, preset=preset, run=run, resume=started)
    train = train_stage1_run if number == 1 else train_stage2_run
    try:
        train(config, stage)
    finally:
        stage.end()


def split_images(
    config: Stage1Config, split: str, *, count: int | None = None
) -> np.ndarray:
    """Images (N, height, width, channels) uint8 of a split.

    Args:
        config: Of stage 1.
        split: `"train"` or `"test"`.
        count: Size of a fixed random choice; None: all.
    """
    images = loading.load_for(config, split)[0]
    if not count:
        return images
    return images[limited(len(images), min(count, len(images)))]


def errors_and_rate(
    vae: VAE, images: np.ndarray, *, seed: int = 0
) -> tuple[np.ndarray, np.ndarray]:
    """(S, KL), float64 (N,) each: squared error of an image in [0, 1], summed over its
    dimensions, at one draw of z; divergence in nats.
    """
    mean, log_var = encode_dataset(vae, images)
    generator = np.random.default_rng((seed, Stream.EXPERIMENT_LATENTS))
    z = draw_latents(np.stack([mean, log_var], 1), generator)
    errors = [
        _squared_errors(vae, z[part], images[part]) for part in _batches(len(images))
    ]
    kl = to_numpy(gaussian_kl(mean, log_var, z))
    return np.concatenate(errors), kl.astype("float64").sum(1)


def distance(
    vae: VAE, config: Stage1Config, *, setting: Setting, seed: int = 0
) -> float:
    """Frechet distance of 10,000 images from the prior to the test split, by the
    features of the setting's extractor.
    """
    protocol = Protocol("fid10k_test")
    data = choose.load_labeled(config)
    extractor = choose.chosen_extractor(data, setting.extractor, setting.weights)
    z = standard_normal(vae, protocol.count, (seed, Stream.EXPERIMENT_PRIOR))
    features = []
    for part in _batches(len(z), "samples"):
        images = protocol.preprocess(decoded(vae, z[part]))
        features.append(extractor(images, BATCH))
    reference = protocol.reference(split_images(config, "test"))
    real = extractor(reference, BATCH)
    return float(frechet_of(real, np.concatenate(features)))


def draw(
    vae: VAE, images: np.ndarray, *, path: Path, seed: int = 0, noisy: bool = False
) -> None:
    """Writes a figure: a line of images, their reconstructions, samples from the prior.

    Args:
        vae: Stage 1.
        images: (N, height, width, channels) uint8; the first are drawn.
        path: Of the PNG.
        seed: Of the samples.
        noisy: Whether a line drawn from p(x | z) at the same z comes after each of the
            last two.
    """
    images = images[:IMAGES_IN_LINE]
    lines = [images / np.float32(255)]
    z = standard_normal(vae, IMAGES_IN_LINE, (seed, Stream.FIGURE_PRIOR))
    for latents in (vae.posterior(images)[0], z):
        parameters = vae.decoder(latents, training=False)
        lines.append(vae.likelihood.mean(parameters))
        if noisy:
            lines.append(vae.likelihood.sample(parameters, seed=seed))
    tiles = np.concatenate([to_numpy(line) for line in lines])
    png.save_png(path, png.tile(tiles, columns=IMAGES_IN_LINE))


def _squared_errors(vae: VAE, z: np.ndarray, images: np.ndarray) -> np.ndarray:
    means = vae.decode_on_batch(z).astype("float64")
    squared = (means - images / np.float32(255)) ** 2
    return squared.reshape(len(images), -1).sum(1)


def _batches(count: int, label: str = "images") -> Iterator[slice]:
    """Rows of each batch, with a bar on a terminal."""
    from tqdm.auto import tqdm

    starts = range(0, count, BATCH)
    for start in tqdm(starts, desc=label, unit="batch", disable=None):
        yield slice(start, start + BATCH)
