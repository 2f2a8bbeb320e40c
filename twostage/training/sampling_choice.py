"""`sampling="auto"`: the sampler whose images are nearest to held-out ones."""

import dataclasses
import functools
import logging
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from twostage.features.random_network import random_network
from twostage.metrics.frechet import frechet_of
from twostage.metrics.standard_error import interval
from twostage.models.tensors import apply_in_batches
from twostage.models.two_stage_models import TwoStageModels
from twostage.sampling import generate
from twostage.sampling.latent_samplers import Sampler

logger = logging.getLogger(__name__)

SAMPLES = 2_000  # images of each sampler
BATCH = 250
REPEATS = 10  # random halves that a standard error comes from


class Distance(NamedTuple):
    """A Frechet distance and its standard error, squared units of the features."""

    value: float
    error: float


@dataclasses.dataclass(frozen=True)
class SamplingChoice:
    """The chosen method, and what it was chosen by.

    Args:
        method: Of `config.SAMPLING_METHODS`.
        distances: Of each method, to the held-out images.
        nats: The mean log density of held-out latents under each method, nats.
        images: Number of held-out images.
    """

    method: str
    distances: dict[str, Distance]
    nats: dict[str, float]
    images: int

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
        return (
            f"sampling: {self.method}, by the random network's distance to"
            f" {self.images:,} held-out images ({listed}); nats of held-out latents:"
            f" {nats}"
        )


def choose_sampling(
    models: TwoStageModels,
    samplers: Mapping[str, Sampler],
    held_out: np.ndarray,
    latents: np.ndarray,
    seed: int = 0,
) -> SamplingChoice:
    """Measures each sampler, and picks one.

    Args:
        models: Decode the latents.
        samplers: By method.
        held_out: Images that were not trained on, uint8 (N, height, width, channels).
        latents: One draw of z for each of them, (N, k).
        seed: Of the samples.
    """
    extractor = random_network()
    reference = extractor(held_out)
    decode = functools.partial(generate.decode, models.stage1)
    distances = {}
    for method, sampler in samplers.items():
        z = sampler.draw(SAMPLES, seed)
        features = extractor(apply_in_batches(decode, z, batch_size=BATCH))
        value, error, *_ = interval(
            frechet_of, reference, features, repeats=REPEATS, seed=seed
        )
        distances[method] = Distance(value, error)
    nats = {
        method: float(sampler.log_density(latents).mean())
        for method, sampler in samplers.items()
        if sampler.log_density
    }
    return SamplingChoice(_pick(distances, nats), distances, nats, len(held_out))


def _pick(distances: Mapping[str, Distance], nats: Mapping[str, float]) -> str:
    """The nearest method; of those within its standard error the one under which
    held-out latents are likeliest, and else the first of all.
    """
    nearest = min(distances.values(), key=lambda found: found.value)
    as_good = [
        method
        for method, found in distances.items()
        if found.value <= nearest.value + nearest.error
    ]
    return _likeliest(as_good, nats)


def _likeliest(methods: Sequence[str], nats: Mapping[str, float]) -> str:
    return max(methods, key=lambda method: nats.get(method, -np.inf))
