"""Two-stage variational autoencoders for Keras 3.

The public names are loaded on first use, so that `--help` needs no framework. Importing
the package registers its Keras classes as soon as Keras is there, in either order:

>>> import keras, twostage
>>> vae = keras.saving.load_model("runs/mine/stage1/model.keras")  # no custom_objects
"""

import sys
from importlib import import_module
from importlib.abc import MetaPathFinder
from importlib.machinery import ModuleSpec, PathFinder
from types import ModuleType
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:  # what type checkers and editors see
    from twostage.errors import InputError
    from twostage.likelihoods.bernoulli_likelihood import BernoulliLikelihood
    from twostage.likelihoods.colored_gaussian_likelihood import (
        ColoredGaussianLikelihood,
    )
    from twostage.likelihoods.diagonal_gaussian_likelihood import (
        DiagonalGaussianLikelihood,
    )
    from twostage.likelihoods.discretized_logistic_likelihood import (
        DiscretizedLogisticLikelihood,
    )
    from twostage.likelihoods.gaussian_likelihood import GaussianLikelihood
    from twostage.likelihoods.optimal_gaussian_likelihood import (
        OptimalGaussianLikelihood,
    )
    from twostage.models.gradient_penalty import GradientPenalty
    from twostage.models.latent_normalizer import LatentNormalizer
    from twostage.models.layers.batch_normalization import BatchNormalization
    from twostage.models.layers.bounded_log_variance import BoundedLogVariance
    from twostage.models.layers.spectral_normalization import SpectralNormalization
    from twostage.models.networks.mlp import dense_decoder, dense_encoder
    from twostage.models.networks.resnet import resnet_decoder, resnet_encoder
    from twostage.models.vae import VAE
    from twostage.training.adam import Adam
    from twostage.two_stage_vae import TwoStageVAE, load

__all__ = [
    "VAE",
    "Adam",
    "BatchNormalization",
    "BernoulliLikelihood",
    "BoundedLogVariance",
    "ColoredGaussianLikelihood",
    "DiagonalGaussianLikelihood",
    "DiscretizedLogisticLikelihood",
    "GaussianLikelihood",
    "GradientPenalty",
    "InputError",
    "LatentNormalizer",
    "OptimalGaussianLikelihood",
    "SpectralNormalization",
    "TwoStageVAE",
    "dense_decoder",
    "dense_encoder",
    "load",
    "register_classes",
    "resnet_decoder",
    "resnet_encoder",
]

# Where the public names live. All of these are imported together.
_KERAS_NAMES = {
    "VAE": "twostage.models.vae",
    "Adam": "twostage.training.adam",
    "BatchNormalization": "twostage.models.layers.batch_normalization",
    "BoundedLogVariance": "twostage.models.layers.bounded_log_variance",
    "GradientPenalty": "twostage.models.gradient_penalty",
    "SpectralNormalization": "twostage.models.layers.spectral_normalization",
    "resnet_encoder": "twostage.models.networks.resnet",
    "resnet_decoder": "twostage.models.networks.resnet",
    "dense_encoder": "twostage.models.networks.mlp",
    "dense_decoder": "twostage.models.networks.mlp",
    "GaussianLikelihood": "twostage.likelihoods.gaussian_likelihood",
    "ColoredGaussianLikelihood": "twostage.likelihoods.colored_gaussian_likelihood",
    "DiagonalGaussianLikelihood": "twostage.likelihoods.diagonal_gaussian_likelihood",
    "OptimalGaussianLikelihood": "twostage.likelihoods.optimal_gaussian_likelihood",
    "BernoulliLikelihood": "twostage.likelihoods.bernoulli_likelihood",
    "DiscretizedLogisticLikelihood": (
        "twostage.likelihoods.discretized_logistic_likelihood"
    ),
    "LatentNormalizer": "twostage.models.latent_normalizer",
}
# Names of earlier versions.
_OLD_NAMES = {"DiscretisedLogisticLikelihood": "DiscretizedLogisticLikelihood"}
# These are imported one by one.
_OTHER_NAMES = {
    "InputError": "twostage.errors",
    "TwoStageVAE": "twostage.two_stage_vae",
    "load": "twostage.two_stage_vae",
}


def register_classes() -> None:
    """Registers every Keras class of the project, so that `keras.saving.load_model`
    needs no `custom_objects`.

    Importing the package does so, too. A call is needed only where a module of
    `twostage` was what first imported Keras.
    """
    for module in dict.fromkeys(_KERAS_NAMES.values()):
        import_module(module)


def __getattr__(name: str) -> Any:
    name = _OLD_NAMES.get(name, name)
    home = {**_KERAS_NAMES, **_OTHER_NAMES}.get(name)
    if home is None:
        raise AttributeError(
            f"module 'twostage' has no attribute {name!r}; it has {', '.join(__all__)}"
        )
    if name in _KERAS_NAMES:
        register_classes()
    return getattr(import_module(home), name)


def __dir__() -> list[str]:
    return sorted(set(globals()) | set(__all__))


class _RegisterAfterKeras(MetaPathFinder):
    """Registers the classes when Keras has been imported."""

    def find_spec(
        self, fullname: str, path: Any, target: Any = None
    ) -> ModuleSpec | None:
        spec = PathFinder.find_spec("keras", path) if fullname == "keras" else None
        if spec is None or spec.loader is None:
            return None  # the other finders continue
        execute = spec.loader.exec_module

        def execute_and_register(module: ModuleType) -> None:
            execute(module)
            if self in sys.meta_path:
                sys.meta_path.remove(self)
            if not _importing_keras_ourselves():
                register_classes()

        spec.loader.exec_module = execute_and_register
        return spec


def _importing_keras_ourselves() -> bool:
    """Whether one of the modules to register is what imports Keras: it cannot be
    imported by the others before it is complete.
    """
    ours = ("twostage.models.", "twostage.likelihoods.", "twostage.training.")
    return any(name.startswith(ours) for name in sys.modules)


if "keras" in sys.modules:
    register_classes()
else:
    sys.meta_path.insert(0, _RegisterAfterKeras())
