"""Samplers of latents for a frozen stage 1: its prior, stage 2, and Gaussian mixtures
that are fitted to its latents afterwards.
"""

import dataclasses
import functools
from collections.abc import Callable, Iterator, Sequence

import numpy as np

from twostage.config import SAMPLING_METHODS
from twostage.metrics.likelihood_bounds import bounds
from twostage.models.gaussian_mixture import Mixture
from twostage.models.posterior import EncodedDataset, draw_latents
from twostage.models.tensors import apply_in_batches
from twostage.models.two_stage_models import TwoStageModels
from twostage.models.vae import VAE
from twostage.sampling import generate
from twostage.system.progress import announced, progress
from twostage.system.random_streams import Stream

MAX_FITTED = 50_000  # training images whose latents a mixture is fitted to
BATCH = 1_000  # latents that go through stage 2 at once
BOUND_BATCH = 5_000  # rows of latents and draws of u that go through it for a bound


@dataclasses.dataclass(frozen=True)
class Sampler:
    """A method to draw latents.

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
    train: EncodedDataset,
    *,
    mixtures: Sequence[int] = (1, 10),
    seed: int = 0,
    importance_samples: int = 50,
) -> Iterator[Sampler]:
    """Yields the `Sampler`s of trained models, each fitted when its turn comes. A
    mixture that the models have is one of them, as it is.

    Args:
        models: Stage 2 may be missing.
        train: Stage 1's posterior over the training images, for the mixtures.
        mixtures: Numbers of Gaussians, with full covariances, of the mixtures (Ghosh et
            al. 2020, section 4: 1 and 10; their code also 20, 100 and 200).
        seed: Of the latents that they are fitted to, and of their start.
        importance_samples: Draws of u for the bound on stage 2's density.
    """
    prior = functools.partial(draw_prior, models.stage1)
    yield Sampler("GEN-1", prior, standard_normal_log_density)
    for method, sampler in stage2_samplers(models, importance_samples, seed).items():
        yield dataclasses.replace(sampler, name=f"GEN-2 {method}")
    own = models.mixture
    fitted = {} if own is None else {own.components: own}
    for components in dict.fromkeys([*mixtures, *fitted]):
        if components not in fitted:
            latents = drawn_latents(train, seed)
            fitted[components] = fitted_mixture(latents, components, seed)
        yield mixture_sampler(mixture_name(components), fitted[components])


def mixture_name(components: int) -> str:
    """That of its `Sampler`."""
    return "Gaussian" if components == 1 else f"mixture of {components}"


def stage2_samplers(
    models: TwoStageModels, importance_samples: int = 50, seed: int = 0
) -> dict[str, Sampler]:
    """Those of each of `SAMPLING_METHODS`; none without stage 2."""
    if models.stage2 is None:
        return {}
    density = _stage2_log_density(models.stage2, importance_samples, seed)
    return {
        method: Sampler(
            method,
            functools.partial(draw_stage2, models, method),
            density if method == "noise" else None,
        )
        for method in SAMPLING_METHODS
    }


def fitted_mixture(latents: np.ndarray, components: int, seed: int = 0) -> Mixture:
    """A mixture of so many Gaussians, fitted to latents (N, k)."""
    gaussians = "a Gaussian" if components == 1 else f"a mixture of {components}"
    with announced(f"{gaussians}: fitted to {len(latents):,} latents"):
        return Mixture(latents, components, seed=seed)


def mixture_sampler(name: str, mixture: Mixture) -> Sampler:
    """The sampler of a fitted mixture."""
    return Sampler(name, mixture.draw, mixture.log_density)


def draw_prior(model: VAE, count: int, seed: int) -> np.ndarray:
    """z ~ N(0, I), float32 (count, k); u of stage 2 are the same numbers."""
    return standard_normal(model, count, (seed, Stream.PRIOR))


def draw_stage2(
    models: TwoStageModels, method: str, count: int, seed: int
) -> np.ndarray:
    """Stage 2's latents, float32 (count, k): the same u by each method.

    Args:
        models: Both stages and the normalizer.
        method: See `generate.sample_latents`.
        count: Number of latents.
        seed: Of u, and of the noise that the method `"noise"` adds.
    """
    assert models.stage2 is not None
    u = draw_prior(models.stage2, count, seed)
    noise = standard_normal(models.stage2, count, (seed, Stream.DECODER_NOISE))
    latents = functools.partial(
        generate.sample_latents,
        models.stage2,
        method=method,
        normalizer=models.normalizer,
    )
    return apply_in_batches(
        lambda u, noise: latents(u, noise=noise), u, noise, batch_size=BATCH
    )


def standard_normal(model: VAE, count: int, seed: tuple[int, int]) -> np.ndarray:
    """Float32 (count, k) from N(0, I), k the width of a model's latents; `seed` is
    (seed, `Stream`).
    """
    width = model.decoder.input_shape[-1]
    generator = np.random.default_rng(seed)
    return generator.standard_normal((count, width), dtype="float32")


def drawn_latents(train: EncodedDataset, seed: int = 0) -> np.ndarray:
    """One draw of z for each of at most 50,000 training images, (N, k): what mixtures
    are fitted to.
    """
    moments = train.moments(_fitted_rows(len(train), seed))
    return _latents_of(moments, seed)


def fitted_latents(moments: np.ndarray, seed: int = 0) -> np.ndarray:
    """`drawn_latents` of posteriors that are encoded already, moments (N, 2, k)."""
    return _latents_of(moments[_fitted_rows(len(moments), seed)], seed)


def _fitted_rows(count: int, seed: int) -> np.ndarray:
    """A random choice, as images may be in the order of their classes."""
    chooser = np.random.default_rng((seed, Stream.MIXTURE_IMAGES))
    return np.sort(chooser.permutation(count)[:MAX_FITTED])


def _latents_of(moments: np.ndarray, seed: int) -> np.ndarray:
    return draw_latents(moments, np.random.default_rng((seed, Stream.MIXTURE_LATENTS)))


def standard_normal_log_density(latents: np.ndarray) -> np.ndarray:
    """log N(z; 0, I) of each row (N, k), nats."""
    latents = np.asarray(latents, "float64")
    return -0.5 * (latents**2 + np.log(2 * np.pi)).sum(1)


def _stage2_log_density(
    stage2: VAE, samples: int, seed: int
) -> Callable[[np.ndarray], np.ndarray]:
    def log_density(latents: np.ndarray) -> np.ndarray:
        values = bounds(
            stage2,
            latents,
            samples=samples,
            seed=seed,
            batch_rows=BOUND_BATCH,
            progress=functools.partial(
                progress, label=f"GEN-2: density of {len(latents):,} latents"
            ),
        )
        return values["importance"]

    return log_density
