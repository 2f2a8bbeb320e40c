"""Two-stage variational autoencoders for Keras 3.

The public names are loaded on first use, so that `--help` needs no framework. Loading
any of them registers every Keras
class of the project: `keras.saving.load_model` then needs no `custom_objects`.
"""

from importlib import import_module

_HOME = {
    "VAE": "twostage.models.vae",
    "Adam": "twostage.training.adam",
    "BatchNormalization": "twostage.models.layers.batch_normalization",
    "GradientPenalty": "twostage.models.gradient_penalty",
    "SpectralNormalization": "twostage.models.layers.spectral_normalization",
    "resnet_encoder": "twostage.models.networks.resnet",
    "resnet_decoder": "twostage.models.networks.resnet",
    "dense_encoder": "twostage.models.networks.mlp",
    "dense_decoder": "twostage.models.networks.mlp",
    "GaussianLikelihood": "twostage.likelihoods.gaussian_likelihood",
    "DiagonalGaussianLikelihood": "twostage.likelihoods.diagonal_gaussian_likelihood",
    "OptimalGaussianLikelihood": "twostage.likelihoods.optimal_gaussian_likelihood",
    "BernoulliLikelihood": "twostage.likelihoods.bernoulli_likelihood",
    "DiscretisedLogisticLikelihood": (
        "twostage.likelihoods.discretised_logistic_likelihood"
    ),
    "LatentNormalizer": "twostage.models.latent_normalizer",
    "InputError": "twostage.errors",
}
__all__ = sorted(_HOME)


def __getattr__(name):
    if name not in _HOME:
        raise AttributeError(
            f"module 'twostage' has no attribute {name!r}; it has {', '.join(__all__)}"
        )
    for module in set(_HOME.values()):
        import_module(module)
    return getattr(import_module(_HOME[name]), name)


def __dir__():
    return sorted(set(globals()) | set(_HOME))
