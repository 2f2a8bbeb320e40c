"""The VAEs of the two stages, put together from their configs."""

from twostage.likelihoods.bernoulli_likelihood import BernoulliLikelihood
from twostage.likelihoods.diagonal_gaussian_likelihood import DiagonalGaussianLikelihood
from twostage.likelihoods.discretised_logistic_likelihood import DiscretisedLogisticLikelihood
from twostage.likelihoods.gaussian_likelihood import GaussianLikelihood
from twostage.likelihoods.optimal_gaussian_likelihood import OptimalGaussianLikelihood
from twostage.models.dense import dense_decoder, dense_encoder
from twostage.models.resnet import resnet_decoder, resnet_encoder
from twostage.models.vae import VAE


def stage1(config, image_shape):
    """The ResNet VAE of a `Stage1Config`."""
    encoder = resnet_encoder(
        image_shape, config.latent_dim, config.num_scale, config.block_per_scale, config.base_dim, config.fc_dim, config.pooling, config.l2
    )
    likelihood = observation_model(config)
    decoder = resnet_decoder(image_shape, config.latent_dim, config.block_per_scale, config.base_dim, config.l2, likelihood.heads)
    return VAE(encoder, decoder, likelihood, config.kl_weight, data_dtype="uint8", seed=config.seed, name="stage1")


def stage2(config, width):
    """The dense VAE of a `Stage2Config` on vectors of `width` latents."""
    encoder, decoder = dense_encoder(width, config.width, config.depth), dense_decoder(width, config.width, config.depth)
    return VAE(encoder, decoder, _gaussian(config), config.kl_weight, data_dtype="float32", seed=config.seed, name="stage2")


def observation_model(config):
    """The likelihood of a `Stage1Config`."""
    return {
        "gaussian": lambda: _gaussian(config), "diagonal": lambda: DiagonalGaussianLikelihood(config.gamma_floor),
        "optimal_image": OptimalGaussianLikelihood, "optimal_batch": lambda: OptimalGaussianLikelihood("batch"),
        "bernoulli": BernoulliLikelihood, "logistic": DiscretisedLogisticLikelihood,
    }[config.likelihood]()  # fmt: skip


def _gaussian(config):
    return GaussianLikelihood(config.gamma_start, config.gamma == "learned", config.gamma_multiplier, config.gamma_floor)
