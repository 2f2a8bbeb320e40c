"""The VAEs of the two stages, put together from their configs."""

from twostage.likelihoods.gaussian_likelihood import GaussianLikelihood
from twostage.models.dense import dense_decoder, dense_encoder
from twostage.models.resnet import resnet_decoder, resnet_encoder
from twostage.models.vae import VAE


def stage1(config, image_shape):
    """The ResNet VAE of a `Stage1Config`."""
    encoder = resnet_encoder(
        image_shape, config.latent_dim, config.num_scale, config.block_per_scale, config.base_dim, config.fc_dim, config.pooling, config.l2
    )
    decoder = resnet_decoder(image_shape, config.latent_dim, config.block_per_scale, config.base_dim, config.l2)
    return VAE(encoder, decoder, _likelihood(config), config.kl_weight, data_dtype="uint8", seed=config.seed, name="stage1")


def stage2(config, width):
    """The dense VAE of a `Stage2Config` on vectors of `width` latents."""
    encoder, decoder = dense_encoder(width, config.width, config.depth), dense_decoder(width, config.width, config.depth)
    return VAE(encoder, decoder, _likelihood(config), config.kl_weight, data_dtype="float32", seed=config.seed, name="stage2")


def _likelihood(config):
    return GaussianLikelihood(config.gamma_start, config.gamma == "learned", config.gamma_multiplier, config.gamma_floor)
