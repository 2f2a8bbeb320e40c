"""The VAEs of the two stages, built from their configs."""

import functools
from collections.abc import Callable
from typing import Any

import keras

from twostage.config import Stage1Config, Stage2Config
from twostage.likelihoods.bernoulli_likelihood import BernoulliLikelihood
from twostage.likelihoods.colored_gaussian_likelihood import ColoredGaussianLikelihood
from twostage.likelihoods.diagonal_gaussian_likelihood import DiagonalGaussianLikelihood
from twostage.likelihoods.discretized_logistic_likelihood import (
    DiscretizedLogisticLikelihood,
)
from twostage.likelihoods.gaussian_likelihood import GaussianLikelihood
from twostage.likelihoods.likelihood import Likelihood
from twostage.likelihoods.optimal_gaussian_likelihood import OptimalGaussianLikelihood
from twostage.models.divergences import (
    MaximumMeanDiscrepancy,
    gaussian_kl,
    squared_length,
)
from twostage.models.gradient_penalty import GradientPenalty
from twostage.models.layers.spectral_normalization import SpectralNormalization
from twostage.models.networks import berger_sebag, beta_sigma, dai_wipf, rae, resnet
from twostage.models.networks.image_shapes import (
    ImageShape,
    check_at_least,
    check_divisible,
    check_squares,
)
from twostage.models.networks.mlp import dense_decoder, dense_encoder
from twostage.models.networks.resnet import resnet_decoder, resnet_encoder
from twostage.models.vae import VAE

Heads = tuple[str, ...]
Networks = tuple[keras.Model, keras.Model]

# standard deviation of the posterior; None: the encoder's; constant: CV-VAE's
POSTERIOR_STD = {"gaussian": None, "constant": 0.7, "none": 0.0}


def build_stage1(config: Stage1Config, image_shape: ImageShape) -> VAE:
    """The VAE, or autoencoder, of a `Stage1Config` for images (height, width,
    channels).
    """
    likelihood = build_likelihood(config)
    encoder, decoder = build_networks(config, image_shape, likelihood.heads)
    if config.posterior != "gaussian":  # a head of log_var would have no gradient
        encoder = keras.Model(encoder.inputs, encoder.outputs[0], name="encoder")
    weight = config.gradient_penalty
    return VAE(
        encoder,
        decoder,
        likelihood,
        config.kl_weight,
        data_dtype="uint8",
        seed=config.seed,
        name="stage1",
        divergence=_divergence(config),
        posterior_std=POSTERIOR_STD[config.posterior],
        decoder_penalty=GradientPenalty(weight) if weight else None,
    )


def build_stage2(config: Stage2Config, width: int) -> VAE:
    """The dense VAE of a `Stage2Config` on vectors of `width` latents, whitened where
    it begins near their Gaussian.
    """
    whitened = config.initialization == "gaussian"
    sizes = {"width": config.width, "depth": config.depth, "whitened": whitened}
    gamma = _gamma(config)
    likelihood = GaussianLikelihood(**gamma)
    if whitened:
        likelihood = ColoredGaussianLikelihood(width, **gamma)
    return VAE(
        dense_encoder(width, **sizes),
        dense_decoder(width, **sizes),
        likelihood,
        config.kl_weight,
        data_dtype="float32",
        seed=config.seed,
        name="stage2",
    )


def build_networks(
    config: Stage1Config, image_shape: ImageShape, heads: Heads
) -> Networks:
    """(encoder, decoder) of a `Stage1Config`; `heads` are the likelihood's."""
    return NETWORKS[config.network](config, image_shape, heads)


def check_images(config: Stage1Config, image_shape: ImageShape) -> None:
    """Whether the network of a `Stage1Config` takes such images, before it is built.

    Raises:
        InputError: it does not.
    """
    IMAGE_CHECKS[config.network](image_shape)


def build_likelihood(config: Stage1Config) -> Likelihood:
    """The likelihood of a `Stage1Config`."""
    return LIKELIHOODS[config.likelihood](config)


def _divergence(config: Stage1Config) -> Callable:
    divergence = {
        "kl": gaussian_kl,
        "l2": squared_length,
        "mmd": MaximumMeanDiscrepancy(config.seed),
    }[config.divergence]
    if config.posterior == "none" and not config.kl_weight:
        return squared_length  # weighs nothing, and is finite
    return divergence


def _resnet(config: Stage1Config, shape: ImageShape, heads: Heads) -> Networks:
    # which kernels the penalty covers: down- and upsampling, the decoder's blocks
    down, up, blocks = {
        "sampling": (1, 1, 0),
        "encoder": (1, 0, 0),
        "decoder": (0, 1, 1),
    }[config.l2_of]
    encoder = resnet_encoder(
        shape,
        config.latent_dim,
        num_scale=config.num_scale,
        block_per_scale=config.block_per_scale,
        base_dim=config.base_dim,
        fc_dim=config.fc_dim,
        pooling=config.pooling,
        l2=down * config.l2,
    )
    decoder = resnet_decoder(
        shape,
        config.latent_dim,
        block_per_scale=config.block_per_scale,
        base_dim=config.base_dim,
        l2=up * config.l2,
        heads=heads,
        scale_l2=blocks * config.l2,
    )
    return encoder, decoder


def _infogan(config: Stage1Config, shape: ImageShape, heads: Heads) -> Networks:
    encoder = dai_wipf.infogan_encoder(shape, config.latent_dim)
    return encoder, dai_wipf.infogan_decoder(shape, config.latent_dim, heads=heads)


def _wae(config: Stage1Config, shape: ImageShape, heads: Heads) -> Networks:
    encoder = dai_wipf.wae_encoder(shape, config.latent_dim)
    return encoder, dai_wipf.wae_decoder(shape, config.latent_dim, heads=heads)


def _rae(config: Stage1Config, shape: ImageShape, heads: Heads) -> Networks:
    wrap: dict[str, Any] = {}
    if config.spectral_norm:
        wrap["wrap"] = SpectralNormalization
    variational = config.posterior == "gaussian"
    encoder = rae.rae_encoder(shape, config.latent_dim, variational=variational, **wrap)
    decoder = rae.rae_decoder(
        shape, config.latent_dim, heads=heads, l2=config.l2, **wrap
    )
    return encoder, decoder


def _beta_sigma(config: Stage1Config, shape: ImageShape, heads: Heads) -> Networks:
    encoder = beta_sigma.beta_sigma_encoder(shape, config.latent_dim)
    decoder = beta_sigma.beta_sigma_decoder(
        shape, config.latent_dim, heads=_linear(heads)
    )
    return encoder, decoder


def _convolutional(config: Stage1Config, shape: ImageShape, heads: Heads) -> Networks:
    encoder = berger_sebag.convolutional_encoder(shape, config.latent_dim)
    decoder = berger_sebag.convolutional_decoder(
        shape, config.latent_dim, heads=_linear(heads)
    )
    return encoder, decoder


def _linear(heads: Heads) -> Heads:
    """The heads with a linear one for the mean, which is then not kept in [0, 1]."""
    return ("linear", *heads[1:])


def _gamma(config: Stage1Config | Stage2Config) -> dict[str, Any]:
    return {
        "gamma": config.gamma_start,
        "learned": config.gamma == "learned",
        "multiplier": config.gamma_multiplier,
        "floor": config.gamma_floor,
    }


# What the names in a config (twostage/config.py) stand for.
NETWORKS: dict[str, Callable[[Stage1Config, ImageShape, Heads], Networks]] = {
    "resnet": _resnet,
    "infogan": _infogan,
    "wae": _wae,
    "rae": _rae,
    "beta_sigma": _beta_sigma,
    "convolutional": _convolutional,
}
IMAGE_CHECKS: dict[str, Callable[[ImageShape], None]] = {
    "resnet": functools.partial(check_squares, sides=resnet.SIDES),
    "infogan": functools.partial(check_divisible, factor=4),
    "wae": functools.partial(check_squares, sides=(64,), resize=64),
    "rae": functools.partial(check_squares, sides=rae.KERNELS, resize=64),
    "beta_sigma": functools.partial(check_squares, sides=beta_sigma.WIDTHS, resize=64),
    "convolutional": functools.partial(check_at_least, side=8),
}
LIKELIHOODS: dict[str, Callable[[Stage1Config], Likelihood]] = {
    "gaussian": lambda config: GaussianLikelihood(**_gamma(config)),
    "diagonal": lambda config: DiagonalGaussianLikelihood(config.gamma_floor),
    "optimal_image": lambda config: OptimalGaussianLikelihood("image"),
    "optimal_batch": lambda config: OptimalGaussianLikelihood("batch"),
    "bernoulli": lambda config: BernoulliLikelihood(),
    "logistic": lambda config: DiscretizedLogisticLikelihood(),
}
