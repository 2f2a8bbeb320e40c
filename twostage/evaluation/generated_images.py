"""Reconstructions and samples of a model, batch by batch, and their features."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Iterator, Sequence

import numpy as np

from twostage.evaluation.figures import MAX_SAMPLES_IN_GRID
from twostage.evaluation.image_metrics import BATCH
from twostage.evaluation.protocol import Protocol
from twostage.features.extractor import Extractor
from twostage.metrics.pixel_statistics import PixelStatistics
from twostage.models.vae import VAE
from twostage.sampling.decoding import decoded, reconstructed
from twostage.sampling.latent_samplers import Sampler
from twostage.system.progress import progress

RECONSTRUCTIONS = "REC"


@dataclasses.dataclass(frozen=True)
class GeneratedBatch:
    """A batch of samples or reconstructions.

    Args:
        images: Floats in [0, 1], (n, height, width, channels).
        originals: The uint8 images that they reconstruct; None of samples.
    """

    images: np.ndarray
    originals: np.ndarray | None = None


@dataclasses.dataclass(frozen=True)
class ImageFeatures:
    """What is measured of one kind of images.

    Args:
        features: (N, d), of the images as the protocol preprocesses them.
        pixels: Statistics of their pixels.
        examples: The first images as they are, floats in [0, 1].
        squared_errors: Squared error per dimension of each reconstruction, (N,),
            float32; None of samples.
    """

    features: np.ndarray
    pixels: PixelStatistics
    examples: np.ndarray
    squared_errors: np.ndarray | None

    def errors(self) -> dict[str, float]:
        """The mean squared error per dimension and its standard error; empty of
        samples.
        """
        squared = self.squared_errors
        if squared is None:
            return {}
        return {
            "mse": float(np.mean(squared)),
            "mse_error": float(np.std(squared, ddof=1) / len(squared) ** 0.5),
        }


def generated_images(
    stage1: VAE,
    samplers: Sequence[Sampler],
    *,
    reference: np.ndarray,
    count: int,
    seed: int,
) -> Iterator[tuple[str, Iterator[GeneratedBatch]]]:
    """Yields each kind of images and its batches: reconstructions of the reference,
    then `count` images of each sampler. Each batch is generated when its turn comes.
    """
    yield RECONSTRUCTIONS, _reconstructions(stage1, reference)
    for sampler in samplers:
        yield sampler.name, _samples(stage1, sampler.draw(count, seed), sampler.name)


def _reconstructions(stage1: VAE, reference: np.ndarray) -> Iterator[GeneratedBatch]:
    for i in _starts(reference, RECONSTRUCTIONS):
        part = reference[i : i + BATCH]
        yield GeneratedBatch(reconstructed(stage1, part), part)


def _samples(stage1: VAE, z: np.ndarray, kind: str) -> Iterator[GeneratedBatch]:
    for i in _starts(z, kind):
        yield GeneratedBatch(decoded(stage1, z[i : i + BATCH]))


def _starts(rows: np.ndarray, kind: str) -> Iterator[int]:
    """The first row of each batch."""
    return progress(range(0, len(rows), BATCH), f"{kind}: {len(rows):,} images")


def image_features(
    extractor: Extractor,
    protocol: Protocol,
    *,
    batches: Iterable[GeneratedBatch],
    reference: PixelStatistics,
) -> ImageFeatures:
    """The features and pixels of one kind of images.

    Args:
        extractor: Gives the features.
        protocol: Preprocesses the images.
        batches: The images.
        reference: Statistics of the reference's pixels.
    """
    if protocol.whole_set:
        batches = [_joined(list(batches))]
    features, squared_errors = [], []
    pixels, examples = PixelStatistics(), None
    for batch in batches:
        if examples is None:
            examples = batch.images[:MAX_SAMPLES_IN_GRID]
        images = protocol.preprocess(
            batch.images, originals=batch.originals, pixels=reference.moments
        )
        features.append(extractor(images, BATCH))
        pixels.update(images)
        if batch.originals is not None:
            squared_errors.append(_squared_errors(batch.images, batch.originals))
    assert examples is not None  # there is at least one batch
    return ImageFeatures(
        np.concatenate(features),
        pixels,
        examples,
        np.concatenate(squared_errors) if squared_errors else None,
    )


def _joined(batches: list[GeneratedBatch]) -> GeneratedBatch:
    images = np.concatenate([batch.images for batch in batches])
    originals = [batch.originals for batch in batches if batch.originals is not None]
    return GeneratedBatch(images, np.concatenate(originals) if originals else None)


def _squared_errors(images: np.ndarray, originals: np.ndarray) -> np.ndarray:
    """Per dimension, (n,)."""
    return ((images - originals / np.float32(255)) ** 2).mean(axis=(1, 2, 3))
