"""What draws latents for a frozen stage 1: its prior, stage 2, and densities that are
fitted to its latents afterwards.
"""

import dataclasses
from collections.abc import Callable

import numpy as np
from keras import ops

from twostage.metrics.likelihood_bounds import bounds
from twostage.models.posterior import draw_latents, encode_dataset
from twostage.models.two_stage_models import TwoStageModels
from twostage.sampling import generate
from twostage.sampling.gaussian_mixture import Mixture
from twostage.system.random_streams import Stream

MAX_FITTED = 50_000  # training images whose latents a density is fitted to
ROWS = 1_000  # latents that go through stage 2 together


@dataclasses.dataclass(frozen=True)
class Sampler:
    """Args: name: As it stands in the tables. draw: `draw(count, seed)` -> latents
    (count, k), float32. log_density: `log_density(latents)` -> nats of each row (N,),
    or None where latents have no density. Of stage 2 it is a lower bound.
    """

    name: str
    draw: Callable
    log_density: Callable | None = None


def samplers(
    models: TwoStageModels, train, mixtures=(1, 10), seed=0, importance_samples=50
):
    """Yields the `Sampler`s of a run, each fitted when its turn comes.

    Args:
        models: The `TwoStageModels`; stage 2 may be missing.
        train: Training images, for the densities.
        mixtures: Numbers of Gaussians, with full covariances, of the mixtures (Ghosh et
            al. 2020, section 4: 1 and 10; their code also 20, 100 and 200).
        seed: Of the latents that they are fitted to, and of their start.
        importance_samples: Draws of u for the bound on stage 2's density.
    """
    stage1 = models.stage1
    width = stage1.decoder.input_shape[-1]

    def normal(count, seed, stream):
        return np.random.default_rng((seed, stream)).standard_normal(
            (count, width), dtype="float32"
        )

    yield Sampler(
        "GEN-1",
        lambda count, seed: normal(count, seed, Stream.PRIOR),
        standard_normal_log_density,
    )
    if models.stage2 is not None:
        for how in generate.METHODS:
            yield Sampler(
                f"GEN-2 {how}",
                _second(models, how, normal),
                (
                    _second_log_density(models.stage2, importance_samples, seed)
                    if how == "noise"
                    else None
                ),
            )
    posterior = drawn_latents(stage1, train, seed) if mixtures else None
    for components in mixtures:
        mixture = Mixture(posterior, components, seed)
        yield Sampler(
            "Gaussian" if components == 1 else f"mixture of {components}",
            mixture.draw,
            mixture.log_density,
        )


def drawn_latents(stage1, train, seed=0):
    """One draw of z for each of at most 50,000 training images, (N, k): what densities
    are fitted to.
    """
    rows = np.sort(
        np.random.default_rng((seed, Stream.MIXTURE_IMAGES)).permutation(len(train))[
            :MAX_FITTED
        ]
    )
    return draw_latents(
        np.stack(encode_dataset(stage1, train[rows]), axis=1),
        np.random.default_rng((seed, Stream.MIXTURE_LATENTS)),
    )


def standard_normal_log_density(latents):
    """log N(z; 0, I) of each row (N, k), nats."""
    latents = np.asarray(latents, "float64")
    return -0.5 * (latents**2 + np.log(2 * np.pi)).sum(1)


def _second(models, how, normal):
    def draw(count, seed):
        u, noise = (
            normal(count, seed, Stream.PRIOR),
            normal(count, seed, Stream.DECODER_NOISE),
        )  # the same u under each `how`, and as GEN-1's z
        parts = [
            generate.sample_latents(
                models.stage2,
                u[i : i + ROWS],
                how,
                models.normalizer,
                noise[i : i + ROWS],
            )
            for i in range(0, count, ROWS)
        ]
        return np.concatenate([ops.convert_to_numpy(part) for part in parts])

    return draw


def _second_log_density(stage2, samples, seed):
    return lambda latents: bounds(stage2, latents, samples, seed, batch_rows=5_000)[
        "importance"
    ]
