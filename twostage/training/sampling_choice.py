"""`sampling="auto"`: the sampler whose images are nearest to held-out ones."""

import dataclasses
import functools
import logging
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from twostage.config import DENSITY_METHODS, SAMPLING_METHODS
from twostage.features.choose import unlabeled_extractor
from twostage.features.extractor import Extractor
from twostage.metrics.frechet import frechet_of
from twostage.metrics.standard_error import interval
from twostage.models.gaussian_mixture import check_components
from twostage.models.tensors import apply_in_batches
from twostage.models.two_stage_models import TwoStageModels
from twostage.sampling.decoding import decoded
from twostage.sampling.latent_samplers import (
    Sampler,
    fitted_latents,
    fitted_mixture,
    mixture_sampler,
    stage2_samplers,
)
from twostage.system.progress import progress

logger = logging.getLogger(__name__)

SAMPLES = 2_000  # images of each sampler
BATCH = 250
PREFERENCE = ("normalized", "noise", "mean", "mixture", "gaussian")  # among equals
REPEATS = 10  # random halves that a standard error comes from
FEWEST = 4  # held-out images with a distance: two in each half


class Distance(NamedTuple):
    """A Frechet distance and its standard error, squared units of the features."""

    value: float
    error: float


class HeldOutData(NamedTuple):
    """Images that were not trained on, uint8 (N, height, width, channels), and one draw
    of z for each, (N, k).
    """

    images: np.ndarray
    latents: np.ndarray


@dataclasses.dataclass(frozen=True)
class SamplingChoice:
    """The chosen method, and what it was chosen by.

    Args:
        method: Of `SAMPLING_METHODS` or `DENSITY_METHODS`.
        distances: Of each method, to the held-out images.
        nats: The mean log density of held-out latents under each method, nats.
        images: Number of held-out images.
        extractor: The name of what computed their features.
    """

    method: str
    distances: dict[str, Distance] = dataclasses.field(default_factory=dict)
    nats: dict[str, float] = dataclasses.field(default_factory=dict)
    images: int = 0
    extractor: str = ""

    def as_json(self) -> dict[str, Any]:
        """In JSON's types."""
        distances = {name: list(found) for name, found in self.distances.items()}
        return {**dataclasses.asdict(self), "distances": distances}

    def __str__(self) -> str:
        listed = ", ".join(
            f"{name} {found.value:.3g} +- {found.error:.2g}"
            for name, found in self.distances.items()
        )
        nats = ", ".join(f"{name} {value:.4g}" for name, value in self.nats.items())
        if self.distances:
            reason = (
                f"by the distance to {self.images:,} held-out images"
                f" ({self.extractor}: {listed})"
            )
        else:
            reason = f"{self.images} held-out images are too few for distances"
        return f"sampling: {self.method}, {reason}; nats of held-out latents: {nats}"


def check_sampling(method: str, images: int) -> None:
    """Raises `InputError` for a density of more Gaussians than training images."""
    if method in DENSITY_METHODS:
        check_components(DENSITY_METHODS[method], images)


def with_sampling(
    models: TwoStageModels,
    method: str,
    moments: np.ndarray,
    held_out: HeldOutData | None,
    seed: int = 0,
) -> tuple[TwoStageModels, SamplingChoice]:
    """The models with the mixture that a method draws from, if it does, and the method:
    under `"auto"` the best one.

    Args:
        models: Both stages and the normalizer.
        method: Of `Stage2Config.sampling`.
        moments: Stage 1's posterior (mean, log_var) of the training images, (N, 2, k).
        held_out: What `"auto"` measures by.
        seed: Of the samples.
    """
    if method in SAMPLING_METHODS:
        return models, SamplingChoice(method)
    fitted_to = fitted_latents(moments, seed)
    wanted = [method]
    if method == "auto":  # what so few latents allow
        wanted = [
            name
            for name, components in DENSITY_METHODS.items()
            if components <= len(fitted_to)
        ]
    mixtures = {
        name: fitted_mixture(fitted_to, DENSITY_METHODS[name], seed) for name in wanted
    }
    choice = SamplingChoice(method)
    if method == "auto":
        assert held_out is not None  # checked before training
        samplers = stage2_samplers(models, seed=seed)
        for name, mixture in mixtures.items():
            samplers[name] = mixture_sampler(name, mixture)
        ordered = {name: samplers[name] for name in PREFERENCE if name in samplers}
        choice = _choose(models, ordered, held_out, seed)
        logger.info("%s", choice)
    mixture = mixtures.get(choice.method)
    return dataclasses.replace(models, mixture=mixture), choice


def _choose(
    models: TwoStageModels,
    samplers: Mapping[str, Sampler],
    held_out: HeldOutData,
    seed: int,
) -> SamplingChoice:
    """Measures each sampler, and picks one: by the latents alone where images are too
    few.
    """
    count = len(held_out.images)
    extractor = unlabeled_extractor(held_out.images)
    distances = {}
    if count >= FEWEST:
        distances = _distances(models, samplers, held_out.images, extractor, seed)
    nats = {
        method: float(sampler.log_density(held_out.latents).mean())
        for method, sampler in samplers.items()
        if sampler.log_density
    }
    # those of stage 2 are one density
    nats |= dict.fromkeys(SAMPLING_METHODS, nats["noise"])
    method = _pick(distances or dict.fromkeys(samplers, Distance(0, 0)), nats)
    return SamplingChoice(method, distances, nats, count, extractor.name)


def _distances(
    models: TwoStageModels,
    samplers: Mapping[str, Sampler],
    images: np.ndarray,
    extractor: Extractor,
    seed: int,
) -> dict[str, Distance]:
    reference = extractor(images)
    decode = functools.partial(decoded, models.stage1)
    distances = {}
    for method, sampler in progress(list(samplers.items()), "choosing the sampler"):
        z = sampler.draw(SAMPLES, seed)
        features = extractor(apply_in_batches(decode, z, batch_size=BATCH))
        value, error = interval(
            frechet_of, reference, features, repeats=REPEATS, seed=seed
        )
        distances[method] = Distance(value, error)
    return distances


def _pick(distances: Mapping[str, Distance], nats: Mapping[str, float]) -> str:
    """The nearest method; of those within its standard error the one under which
    held-out latents are likeliest, else the first.

    A mixture under which held-out latents are less likely than under one Gaussian is
    left out: it has memorized training latents, whose images are near to all others.
    """
    if "mixture" in nats and nats["mixture"] < nats.get("gaussian", -np.inf):
        distances = {name: distances[name] for name in distances if name != "mixture"}
    nearest = min(distances.values(), key=lambda found: found.value)
    as_good = [
        method
        for method, found in distances.items()
        if found.value <= nearest.value + nearest.error
    ]
    return _likeliest(as_good, nats)


def _likeliest(methods: Sequence[str], nats: Mapping[str, float]) -> str:
    return max(methods, key=lambda method: nats.get(method, -np.inf))
