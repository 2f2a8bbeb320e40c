"""Distributions of latents for a frozen stage 1: its prior, stage 2, and densities
that are fitted to its latents afterwards.
"""

import dataclasses
from collections.abc import Callable, Iterator, Sequence

import numpy as np
from keras import ops

from twostage.config import SAMPLING_METHODS
from twostage.metrics.likelihood_bounds import bounds
from twostage.models.posterior import draw_latents, encode_dataset
from twostage.models.two_stage_models import TwoStageModels
from twostage.models.vae import VAE
from twostage.sampling import generate
from twostage.sampling.gaussian_mixture import Mixture
from twostage.system.random_streams import Stream

MAX_FITTED = 50_000  # training images whose latents a density is fitted to
ROWS = 1_000  # latents that go through stage 2 together


@dataclasses.dataclass(frozen=True)
class Sampler:
    """A distribution of latents that can be drawn from.

    Args:
        name: As it stands in the tables.
        draw: `draw(count, seed)` -> latents (count, k), float32.
        log_density: `log_density(latents)` -> nats of each row (N,), or None where
            latents have no density. Of stage 2 it is a lower bound.
    """

    name: str
    draw: Callable[[int, int], np.ndarray]
    log_density: Callable[[np.ndarray], np.ndarray] | None = None


def samplers(
    models: TwoStageModels,
    train: np.ndarray,
    *,
    mixtures: Sequence[int] = (1, 10),
    seed: int = 0,
    importance_samples: int = 50,
) -> Iterator[Sampler]:
    """Yields the `Sampler`s of a run, each fitted when its turn comes.

    Args:
        models: The `TwoStageModels`; stage 2 may be missing.
        train: Training images, for the densities.
        mixtures: Numbers of Gaussians, with full covariances, of the mixtures (Ghosh et
            al. 2020, section 4: 1 and 10; their code also 20, 100 and 200).
        seed: Of the latents that they are fitted to, and of their start.
        importance_samples: Draws of u for the bound on stage 2's density.
    """
    yield _prior(models.stage1)
    if models.stage2 is not None:
        for method in SAMPLING_METHODS:
            yield _second_stage(models, method, importance_samples, seed)
    if not mixtures:
        return
    latents = drawn_latents(models.stage1, train, seed)
    for components in mixtures:
        mixture = Mixture(latents, components, seed=seed)
        name = "Gaussian" if components == 1 else f"mixture of {components}"
        yield Sampler(name, mixture.draw, mixture.log_density)


def drawn_latents(stage1: VAE, train: np.ndarray, seed: int = 0) -> np.ndarray:
    """One draw of z for each of at most 50,000 training images, (N, k): what densities
    are fitted to.
    """
    generator = np.random.default_rng((seed, Stream.MIXTURE_IMAGES))
    rows = np.sort(generator.permutation(len(train))[:MAX_FITTED])
    moments = np.stack(encode_dataset(stage1, train[rows]), axis=1)
    return draw_latents(moments, np.random.default_rng((seed, Stream.MIXTURE_LATENTS)))


def standard_normal_log_density(latents: np.ndarray) -> np.ndarray:
    """log N(z; 0, I) of each row (N, k), nats."""
    latents = np.asarray(latents, "float64")
    return -0.5 * (latents**2 + np.log(2 * np.pi)).sum(1)


def _standard_normal(vae: VAE, count: int, seed: int, stream: Stream) -> np.ndarray:
    shape = (count, vae.decoder.input_shape[-1])
    generator = np.random.default_rng((seed, stream))
    return generator.standard_normal(shape, dtype="float32")


def _prior(stage1: VAE) -> Sampler:
    def draw(count: int, seed: int) -> np.ndarray:
        return _standard_normal(stage1, count, seed, Stream.PRIOR)

    return Sampler("GEN-1", draw, standard_normal_log_density)


def _second_stage(
    models: TwoStageModels, method: str, importance_samples: int, bound_seed: int
) -> Sampler:
    stage2 = models.stage2
    assert stage2 is not None

    def draw(count: int, seed: int) -> np.ndarray:
        # the same u under each method, and as stage 1's z
        u = _standard_normal(models.stage1, count, seed, Stream.PRIOR)
        noise = _standard_normal(models.stage1, count, seed, Stream.DECODER_NOISE)
        parts = []
        for start in range(0, count, ROWS):
            rows = slice(start, start + ROWS)
            z = generate.sample_latents(
                stage2,
                u[rows],
                method=method,
                normalizer=models.normalizer,
                noise=noise[rows],
            )
            parts.append(ops.convert_to_numpy(z))
        return np.concatenate(parts)

    def log_density(latents: np.ndarray) -> np.ndarray:
        found = bounds(
            stage2,
            latents,
            samples=importance_samples,
            seed=bound_seed,
            batch_rows=5_000,
        )
        return found["importance"]

    return Sampler(f"GEN-2 {method}", draw, log_density if method == "noise" else None)
