"""Evaluates models on images: nothing is read, written or printed."""

from __future__ import annotations

import dataclasses
import logging
from collections.abc import Callable, Mapping, Sequence
from typing import Any, cast

import numpy as np

from twostage.config import MIN_COMPARED
from twostage.errors import InputError, check_whole
from twostage.evaluation import figures
from twostage.evaluation.evaluation_data import EvaluationData
from twostage.evaluation.evaluation_result import EvaluationResult
from twostage.evaluation.generated_images import (
    ImageFeatures,
    generated_images,
    image_features,
)
from twostage.evaluation.image_metrics import BATCH, image_distances
from twostage.evaluation.latent_metrics import latent_metrics
from twostage.evaluation.likelihood_metrics import likelihood_metrics
from twostage.evaluation.memorization import memorization
from twostage.evaluation.protocol import Protocol
from twostage.features.extractor import Extractor, digest_of
from twostage.metrics.pixel_statistics import PixelStatistics
from twostage.models import recalibration
from twostage.models.posterior import EncodedDataset, draw_latents, encode_moments
from twostage.models.recalibrate import recalibrate
from twostage.models.two_stage_models import TwoStageModels
from twostage.models.vae import VAE
from twostage.own_callbacks import callbacks
from twostage.sampling.latent_samplers import Sampler, mixture_name, samplers
from twostage.system.progress import announced
from twostage.system.provenance import fingerprint, provenance
from twostage.system.random_streams import Stream

logger = logging.getLogger(__name__)

Features = Callable[[np.ndarray, int], np.ndarray]

# test images that are reconstructed, interpolated, and show which latents are active
IMAGES_IN_FIGURES = 200
MAX_TRAINING_NEIGHBORS = 50_000  # training images among which copies are searched
MAX_TEST_NEIGHBORS = 1_000  # test images that these copies are compared with
# samplers whose latents the histograms show
MAIN_SAMPLERS = ("GEN-1", "GEN-2 normalized")
MIN_VALUES = {
    "seed": 0,
    "half_samples": 2,
    "bound_images": 2,
    "importance_samples": 1,
}


def evaluate(
    models: TwoStageModels,
    data: EvaluationData,
    protocol: Protocol,
    extractor: Extractor,
    *,
    seed: int = 0,
    half_samples: int = 10,
    bound_images: int = 500,
    importance_samples: int = 50,
    mixtures: Sequence[int] = (1, 10),
    memorization_kind: str | None = None,
    recalibrated: bool = False,
    fixed_gamma: bool = False,
    features_of: Features | None = None,
    name: str = "model",
) -> EvaluationResult:
    """Measures models: distances of reconstructions and samples, likelihoods, latents,
    memorization. Logs each distance. The models are afterwards as before.

    Args:
        models: Stage 2 is measured where there is one.
        data: The images.
        protocol: Which images are compared, and how.
        extractor: Of the features that distances are measured by.
        seed: Of all samples.
        half_samples: Random halves that the standard errors come from.
        bound_images: Test images, a random choice, whose likelihood is bounded, and
            whose latents' density is; as many training images for the density alone.
        importance_samples: Draws of z for the importance-weighted bound.
        mixtures: Numbers of Gaussians in the mixtures that are fitted to stage 1's
            latents. The models' own mixture, where they have one, is measured, too.
        memorization_kind: The kind of samples that is compared with the training
            images; None: the models' own mixture, where they have one, else
            `"GEN-2 normalized"`, of stage 1 alone `"GEN-1"`.
        recalibrated: Whether stage 1's batch normalization is re-estimated on training
            images first.
        fixed_gamma: Whether gamma was fixed throughout the training; the evidence then
            has several readings.
        features_of: The features of the data's images, such as a `FeatureCache`; None:
            the extractor computes them.
        name: Of the models, for the manifest.

    Raises:
        InputError: a number out of range, too few images, or no such kind of samples.
    """
    settings = _Settings(
        seed=seed,
        half_samples=half_samples,
        bound_images=bound_images,
        importance_samples=importance_samples,
        mixtures=tuple(mixtures),
        memorization_kind=memorization_kind or _main_sampler(models),
        fixed_gamma=fixed_gamma,
    )
    check_numbers(settings.numbers(), settings.mixtures)
    digest = digest_of(models.get_weights())
    with recalibration.restored(models.stage1):
        statistics = _batch_normalization(models.stage1, data, seed, recalibrated)
        known = features_of or extractor
        result = _evaluate(models, data, protocol, extractor, known, settings)
    bounded = min(bound_images, len(data.test))
    manifest = {
        "run": name,
        **result.manifest,
        **statistics,
        "models": digest,
        **settings.numbers(),
        "bound_images": bounded,
        **provenance(),
    }
    return dataclasses.replace(result, manifest=manifest)


def check_numbers(numbers: Mapping[str, int], mixtures: Sequence[int]) -> None:
    """Raises `InputError` where a number of `evaluate` is out of range."""
    for name, value in numbers.items():
        check_whole(name, value, MIN_VALUES[name])
    if min(mixtures, default=1) < 1:
        raise InputError(
            f"`mixtures={list(mixtures)}`", "numbers of Gaussians, each at least 1"
        )


@dataclasses.dataclass(frozen=True)
class _Settings:
    """The settings of `evaluate`, whose arguments say what they are."""

    seed: int
    half_samples: int
    bound_images: int
    importance_samples: int
    mixtures: tuple[int, ...]
    memorization_kind: str
    fixed_gamma: bool

    def numbers(self) -> dict[str, int]:
        return {name: getattr(self, name) for name in MIN_VALUES}


@dataclasses.dataclass(frozen=True)
class _Reference:
    """The reference images, their features (N, d), and what is counted over their
    pixels.
    """

    images: np.ndarray
    features: np.ndarray
    pixels: PixelStatistics


@dataclasses.dataclass(frozen=True)
class _Kinds:
    """Of each kind of images its distances and its first images; of the kind that is
    tested for memorization the features (N, d).
    """

    distances: dict[str, dict[str, Any]]
    examples: dict[str, np.ndarray]
    features: np.ndarray


def _main_sampler(models: TwoStageModels) -> str:
    if models.mixture is not None:
        return mixture_name(models.mixture.components)
    stage1, stage2 = MAIN_SAMPLERS
    return stage1 if models.stage2 is None else stage2


def _batch_normalization(
    stage1: VAE, data: EvaluationData, seed: int, recalibrated: bool
) -> dict[str, Any]:
    """Recalibrates stage 1 if requested; returns what the manifest says about it."""
    if not recalibrated:
        return {"batch_normalization": recalibration.TRAINED}
    choice = recalibration.recalibrate_if_better(
        stage1, data.train, data.validation, seed=seed
    )
    recalibrate(stage1, data.train, seed=seed)
    return {
        "batch_normalization": recalibration.RECALIBRATED,
        "batch_normalization_choice": choice,
    }


def _evaluate(
    models: TwoStageModels,
    data: EvaluationData,
    protocol: Protocol,
    extractor: Extractor,
    features_of: Features,
    settings: _Settings,
) -> EvaluationResult:
    """The result; its manifest has extractor, protocol and data alone."""
    stage1, seed = models.stage1, settings.seed
    reference = _reference(data, protocol, features_of)
    train = EncodedDataset(stage1, data.train)
    drawing = _samplers(models, train, settings)
    kinds = _measure_kinds(stage1, drawing, reference, protocol, extractor, settings)
    bounded = _subset(data.test, settings.bound_images, seed)
    of_training = _subset(data.train, settings.bound_images, seed)
    latents_of = {"latent_nats": bounded, "training_latent_nats": of_training}
    for key, images in latents_of.items():
        for kind, nats in _latent_nats(stage1, drawing, images, seed).items():
            kinds.distances[kind][key] = nats
    copies, neighbors = _memorization(
        kinds, reference, data, protocol, features_of, settings
    )
    likelihood = likelihood_metrics(
        stage1,
        bounded,
        importance_samples=settings.importance_samples,
        seed=seed,
        fixed_gamma=settings.fixed_gamma,
    )
    shown = [sampler for sampler in drawing if sampler.name in MAIN_SAMPLERS]
    latents = latent_metrics(models, train, samplers=shown, seed=seed)
    examples = _subset(data.test, IMAGES_IN_FIGURES, seed)
    with announced("figures"):
        images, latents["traversed"] = figures.model_figures(stage1, examples)
        images |= figures.sample_grids(kinds.examples) | {"neighbors": neighbors}
    manifest = {
        "extractor": extractor.manifest(),
        "protocol": protocol.manifest(),
        "reference_images": len(reference.images),
        "data": {**data.description, **fingerprint(reference.images)},
    }
    return EvaluationResult(
        manifest, kinds.distances, copies, likelihood, latents, images
    )


def _subset(images: np.ndarray, count: int, seed: int) -> np.ndarray:
    """At most `count` random images; the same for the same images."""
    subset = callbacks.examples.random_subset(images, count, seed=seed)
    return cast(np.ndarray, subset)


def _reference(
    data: EvaluationData, protocol: Protocol, features_of: Features
) -> _Reference:
    images = protocol.reference(data.split(protocol.split))
    if len(images) < MIN_COMPARED:
        raise InputError(
            f"{len(images)} images in the {protocol.split} split",
            f"at least {MIN_COMPARED} for a distance",
            "give it more images, thousands if you can",
        )
    return _Reference(images, features_of(images, BATCH), PixelStatistics(images))


def _samplers(
    models: TwoStageModels, train: EncodedDataset, settings: _Settings
) -> list[Sampler]:
    drawing = list(
        samplers(
            models,
            train,
            mixtures=settings.mixtures,
            seed=settings.seed,
            importance_samples=settings.importance_samples,
        )
    )
    names = [sampler.name for sampler in drawing]
    if settings.memorization_kind not in names:
        raise InputError(
            f"`memorization_kind={settings.memorization_kind!r}`",
            f"one of {', '.join(names)}",
        )
    return drawing


def _measure_kinds(
    stage1: VAE,
    drawing: list[Sampler],
    reference: _Reference,
    protocol: Protocol,
    extractor: Extractor,
    settings: _Settings,
) -> _Kinds:
    """Generates each kind of images, and measures and logs its distances."""
    distances, examples, features = {}, {}, np.empty(0)
    for kind, batches in generated_images(
        stage1,
        drawing,
        reference=reference.images,
        count=protocol.count,
        seed=settings.seed,
    ):
        found = image_features(
            extractor, protocol, batches=batches, reference=reference.pixels
        )
        distances[kind] = _distances(found, reference, settings, kind)
        examples[kind] = found.examples
        if kind == settings.memorization_kind:
            features = found.features
        logger.info(
            "%s: %s %.4g +- %.2g",
            kind,
            extractor.frechet_name,
            distances[kind]["frechet"],
            distances[kind]["frechet_error"],
        )
    return _Kinds(distances, examples, features)


def _distances(
    found: ImageFeatures, reference: _Reference, settings: _Settings, kind: str
) -> dict[str, Any]:
    """Of one kind of images, in JSON's types."""
    distances = image_distances(
        reference.features,
        found.features,
        half_samples=settings.half_samples,
        seed=settings.seed,
        # reconstructions are of the reference's images, row by row
        paired=found.squared_errors is not None,
        label=kind,
    )
    tone = found.pixels.beside(reference.pixels)
    return {**distances, **tone, **found.errors()}


def _latent_nats(
    stage1: VAE, drawing: list[Sampler], images: np.ndarray, seed: int
) -> dict[str, float | None]:
    """The mean log density of stage 1's latents of some images under each sampler,
    nats; None where it has no density.
    """
    generator = np.random.default_rng((seed, Stream.DENSITY_LATENTS))
    z = draw_latents(encode_moments(stage1, images), generator)
    return {
        sampler.name: float(sampler.log_density(z).mean())
        if sampler.log_density
        else None
        for sampler in drawing
    }


def _memorization(
    kinds: _Kinds,
    reference: _Reference,
    data: EvaluationData,
    protocol: Protocol,
    features_of: Features,
    settings: _Settings,
) -> tuple[dict[str, Any], np.ndarray]:
    """The memorization test of one kind of samples, and the training images nearest to
    its first samples as an image.
    """
    kind, seed = settings.memorization_kind, settings.seed
    train = _subset(data.train, MAX_TRAINING_NEIGHBORS, seed)
    of_train = features_of(train, BATCH)
    if protocol.split == "test":
        of_test = reference.features
    else:
        of_test = features_of(_subset(data.test, MAX_TEST_NEIGHBORS, seed), BATCH)
    with announced(f"{kind}: nearest of {len(train):,} training images"):
        found = memorization(kinds.features, of_train, test=of_test, seed=seed)
        neighbors = figures.neighbors(
            kinds.examples[kind], kinds.features, train=train, train_features=of_train
        )
    return {"kind": kind, **found}, neighbors
