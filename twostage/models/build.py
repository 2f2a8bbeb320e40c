"""The VAEs of the two stages, put together from their configs."""

import keras

from twostage.likelihoods.bernoulli_likelihood import BernoulliLikelihood
from twostage.likelihoods.diagonal_gaussian_likelihood import DiagonalGaussianLikelihood
from twostage.likelihoods.discretised_logistic_likelihood import (
    DiscretisedLogisticLikelihood,
)
from twostage.likelihoods.gaussian_likelihood import GaussianLikelihood
from twostage.likelihoods.optimal_gaussian_likelihood import OptimalGaussianLikelihood
from twostage.models.divergences import (
    MaximumMeanDiscrepancy,
    gaussian_kl,
    squared_length,
)
from twostage.models.gradient_penalty import GradientPenalty
from twostage.models.layers.spectral_normalization import SpectralNormalization
from twostage.models.networks import berger_sebag, beta_sigma, dai_wipf, rae
from twostage.models.networks.mlp import dense_decoder, dense_encoder
from twostage.models.networks.resnet import resnet_decoder, resnet_encoder
from twostage.models.vae import VAE

CONSTANT = 0.7  # CV-VAE's deviation of the posterior


def build_stage1(config, image_shape):
    """The VAE, or autoencoder, of a `Stage1Config`."""
    likelihood = build_likelihood(config)
    encoder, decoder = networks(config, image_shape, likelihood.heads)
    if config.posterior != "gaussian":  # a head of log_var would have no gradient
        encoder = keras.Model(encoder.inputs, encoder.outputs[0], name="encoder")
    divergence = {
        "kl": gaussian_kl,
        "l2": squared_length,
        "mmd": MaximumMeanDiscrepancy(config.seed),
    }[config.divergence]
    if config.posterior == "none" and not config.kl_weight:
        divergence = squared_length  # weighs nothing, and is finite
    parts = {
        "divergence": divergence,
        "deviation": {"gaussian": None, "constant": CONSTANT, "none": 0.0}[
            config.posterior
        ],
        "decoder_penalty": (
            GradientPenalty(config.gradient_penalty)
            if config.gradient_penalty
            else None
        ),
    }
    return VAE(
        encoder,
        decoder,
        likelihood,
        config.kl_weight,
        data_dtype="uint8",
        seed=config.seed,
        name="stage1",
        **parts,
    )


def networks(config, image_shape, heads):
    """(encoder, decoder) of a `Stage1Config`; `heads` are the likelihood's."""
    latents, linear = (
        config.latent_dim,
        ("linear", *heads[1:]),
    )  # linear: the mean is not kept in [0, 1]
    if config.network == "infogan":
        return dai_wipf.infogan_encoder(image_shape, latents), dai_wipf.infogan_decoder(
            image_shape, latents, heads
        )
    if config.network == "wae":
        return dai_wipf.wae_encoder(image_shape, latents), dai_wipf.wae_decoder(
            image_shape, latents, heads
        )
    if config.network == "rae":
        wrap = {"wrap": SpectralNormalization} if config.spectral_norm else {}
        return rae.rae_encoder(
            image_shape, latents, config.posterior == "gaussian", **wrap
        ), rae.rae_decoder(image_shape, latents, heads, l2=config.l2, **wrap)
    if config.network == "beta_sigma":
        return beta_sigma.beta_sigma_encoder(
            image_shape, latents
        ), beta_sigma.beta_sigma_decoder(image_shape, latents, linear)
    if config.network == "convolutional":
        return berger_sebag.convolutional_encoder(
            image_shape, latents
        ), berger_sebag.convolutional_decoder(image_shape, latents, heads=linear)
    down, up, scales = (
        share * config.l2
        for share in {
            "sampling": (1, 1, 0),
            "encoder": (1, 0, 0),
            "decoder": (0, 1, 1),
        }[config.l2_of]
    )
    encoder = resnet_encoder(
        image_shape,
        latents,
        config.num_scale,
        config.block_per_scale,
        config.base_dim,
        config.fc_dim,
        config.pooling,
        down,
    )
    return encoder, resnet_decoder(
        image_shape, latents, config.block_per_scale, config.base_dim, up, heads, scales
    )


def build_stage2(config, width):
    """The dense VAE of a `Stage2Config` on vectors of `width` latents."""
    encoder, decoder = (
        dense_encoder(width, config.width, config.depth),
        dense_decoder(width, config.width, config.depth),
    )
    return VAE(
        encoder,
        decoder,
        _gaussian(config),
        config.kl_weight,
        data_dtype="float32",
        seed=config.seed,
        name="stage2",
    )


def build_likelihood(config):
    """The likelihood of a `Stage1Config`."""
    return {
        "gaussian": lambda: _gaussian(config),
        "diagonal": lambda: DiagonalGaussianLikelihood(config.gamma_floor),
        "optimal_image": OptimalGaussianLikelihood,
        "optimal_batch": lambda: OptimalGaussianLikelihood("batch"),
        "bernoulli": BernoulliLikelihood,
        "logistic": DiscretisedLogisticLikelihood,
    }[config.likelihood]()


def _gaussian(config):
    return GaussianLikelihood(
        config.gamma_start,
        config.gamma == "learned",
        config.gamma_multiplier,
        config.gamma_floor,
    )
