"""The Gaussian decoder whose noise has the data's covariance, scaled."""

from typing import Any

import keras
import numpy as np
from keras import ops

from twostage.likelihoods.gaussian_likelihood import GaussianLikelihood
from twostage.likelihoods.likelihood import scalar_weight, tfp

LEAST_EIGENVALUE = 1e-6  # of the largest: a covariance may be singular


@keras.saving.register_keras_serializable("twostage")
class ColoredGaussianLikelihood(GaussianLikelihood):
    """p(x | z) = N(x; mean(z), gamma^2 C), for vectors x with the covariance C.

    gamma has no unit: at 1 the noise has the data's own variance in every direction.
    With S the symmetric square root of C the negative log likelihood is, in nats,

        |S^-1 (x - mean)|^2 / (2 gamma^2) + D log gamma + log det S + (D / 2) log 2 pi

    (the density of a Gaussian, Bishop 2006, eq. 2.43). It is what `GaussianLikelihood`
    gives for whitened data S^-1 x, in the units of x. C is the identity until
    `set_covariance`.

    Args:
        dimensions: D, of the vectors.
        gamma: Starting value of the standard deviation, relative to the data's.

    The other arguments, the rule of a computed gamma and its weights are those of
    `GaussianLikelihood`; `batch_mse` is of whitened data.

    Further weights (float32): `root` S and `inverse_root` S^-1, each (D, D);
    `log_volume`, log det S.

    Example:
        ```python
        likelihood = ColoredGaussianLikelihood(2)
        likelihood.set_covariance([[4.0, 0.0], [0.0, 1.0]])
        likelihood(x, mean)  # nats of each row of x (batch, 2)
        ```
    """

    def __init__(self, dimensions: int, *args: Any, **kwargs: Any):
        super().__init__(*args, **kwargs)
        self.dimensions = int(dimensions)
        shape = (self.dimensions, self.dimensions)
        options = {"initializer": "identity", "trainable": False, "autocast": False}
        self.root = self.add_weight(shape, name="root", **options)
        self.inverse_root = self.add_weight(shape, name="inverse_root", **options)
        self.log_volume = scalar_weight(self, "log_volume", 0.0)

    def set_covariance(self, covariance: Any) -> None:
        """Sets C (D, D), symmetric, in the data's squared unit. Directions with less
        than 1e-6 of the largest variance get that much.
        """
        eigenvalues, vectors = np.linalg.eigh(np.asarray(covariance, "float64"))
        eigenvalues = np.maximum(eigenvalues, LEAST_EIGENVALUE * eigenvalues[-1])
        scales = np.sqrt(eigenvalues)
        self.root.assign((vectors * scales) @ vectors.T)
        self.inverse_root.assign((vectors / scales) @ vectors.T)
        self.log_volume.assign(np.log(scales).sum())

    def call(
        self, x: Any, mean: Any, sample_weight: Any = None, training: bool = False
    ) -> Any:
        return super().call(x, mean, sample_weight, training) + self.log_volume

    def residual(self, x: Any, mean: Any) -> Any:
        return ops.matmul(x - mean, self.inverse_root)

    def with_noise(self, parameters: Any, noise: Any) -> Any:
        return self.mean(parameters) + self.gamma * ops.matmul(noise, self.root)

    def standard_deviation(self, parameters: Any) -> Any:
        """Of each dimension, (D,)."""
        return self.gamma * ops.norm(self.root, axis=0)

    def as_distribution(self, parameters: Any) -> Any:
        """p(x | z) over vectors."""
        covariance = self.variance * ops.matmul(self.root, self.root)
        return tfp().distributions.MultivariateNormalTriL(
            self.mean(parameters), ops.cholesky(covariance)
        )

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "dimensions": self.dimensions}
