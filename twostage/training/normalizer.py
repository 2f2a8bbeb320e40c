"""The normalizer of a trained stage 2."""

import logging

import keras
import numpy as np

from twostage.config import Stage2Config
from twostage.models.divergences import MaximumMeanDiscrepancy, gaussian_kl
from twostage.models.latent_normalizer import LatentNormalizer
from twostage.models.tensors import to_numpy
from twostage.models.vae import VAE
from twostage.own_callbacks import callbacks
from twostage.sampling import generate
from twostage.system.progress import announced
from twostage.system.random_streams import Stream

logger = logging.getLogger(__name__)

MAX_FACTOR = 1.5  # by which a normalizer may stretch latents without a warning
NORMALIZER_SAMPLES = 50_000  # latents that the statistics come from


def normalizer_target(config: Stage2Config, stage1: VAE, moments: np.ndarray) -> float:
    """The standard deviation of normalized latents: 1, or that of stage 1's latents by
    the variance law, as where no prior of variance 1 shaped them.
    """
    # float32 sums of many images lose digits
    mean, log_var = moments.astype("float64").swapaxes(0, 1)
    law = float(callbacks.statistics.variance_law(mean, log_var).mean())
    # an autoencoder's squared length has no variance to aim at
    with_prior = isinstance(stage1.divergence, MaximumMeanDiscrepancy) or (
        stage1.divergence is gaussian_kl and stage1.posterior_std != 0
    )
    is_weighed = float(to_numpy(stage1.kl_weight)) > 0
    has_prior = with_prior and is_weighed
    return 1.0 if config.normal_target == "one" and has_prior else law**0.5


def measured_normalizer(
    config: Stage2Config, stage2: VAE, target: float
) -> keras.Model:
    """A `LatentNormalizer` with the statistics of stage 2's samples, as a model (n, k)
    -> (n, k). Warns where it stretches them far.
    """
    layer = LatentNormalizer(target, config.per_latent)
    # not the stream of an evaluation's samples
    with announced(f"normalizer: measured on {NORMALIZER_SAMPLES:,} samples"):
        layer.adapt(
            generate.many_latents(
                stage2, NORMALIZER_SAMPLES, (config.seed, Stream.NORMALIZER_PRIOR)
            )
        )
    factor = target / float(to_numpy(layer.latent_std).mean())
    if factor > MAX_FACTOR:
        logger.warning(
            "the normalizer stretches stage 2's latents by %.2f, expected at most %g:"
            " stage 2 models them poorly, and rescaling does not fix that; train it"
            " longer, or use another `sampling`",
            factor,
            MAX_FACTOR,
        )
    width = stage2.decoder.input_shape[-1]
    return keras.Sequential([keras.Input((width,)), layer])
