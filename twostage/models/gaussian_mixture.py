"""A Gaussian, or a mixture of Gaussians with full covariances, on latents."""

import os
from typing import Any, Self

import numpy as np
from keras import ops

from twostage.errors import InputError
from twostage.system import files

# What scikit-learn's mixture is made of once it is fitted.
_FITTED = ("weights_", "means_", "covariances_", "precisions_cholesky_")


def check_components(components: int, images: int) -> None:
    """Raises `InputError` for more Gaussians than there are images, or one image."""
    if images < max(components, 2):
        raise InputError(
            f"a mixture of {components} Gaussians for the latents of {images} images",
            "at least as many images as Gaussians, and at least two",
            "choose fewer Gaussians, or another way to sample",
        )


class Mixture:
    """Fitted by scikit-learn's expectation maximization, as the authors of RAE did
    (Ghosh et al. 2020, section 4: 10 components).

    Args:
        latents: (N, k), of the training set.
        components: Number of Gaussians.
        seed: Of the initialization.

    Raises:
        InputError: fewer latents than Gaussians.
    """

    def __init__(self, latents: np.ndarray, components: int = 10, seed: int = 0):
        from sklearn.mixture import GaussianMixture
        from threadpoolctl import threadpool_limits

        check_components(components, len(latents))
        self.mixture = GaussianMixture(
            components,
            covariance_type="full",
            max_iter=2_000,
            tol=1e-3,
            random_state=seed,
        )
        # NumPy's and SciPy's threads would wait for each other
        with threadpool_limits(1, user_api="blas"):
            self.mixture.fit(np.asarray(latents, "float64"))

    @property
    def components(self) -> int:
        """Number of Gaussians."""
        return len(self.mixture.weights_)

    @property
    def _factors(self) -> np.ndarray:
        """The covariances' Cholesky factors, (components, k, k)."""
        return np.linalg.cholesky(self.mixture.covariances_)

    def save(self, path: str | os.PathLike[str]) -> None:
        """Writes an `.npz` file."""
        files.write_npz(path, {name: getattr(self.mixture, name) for name in _FITTED})

    @classmethod
    def load(cls, path: str | os.PathLike[str]) -> Self:
        """Reads what `save` wrote.

        Raises:
            InputError: it is damaged.
        """
        from sklearn.mixture import GaussianMixture

        mixture = cls.__new__(cls)
        try:
            with np.load(path) as saved:
                mixture.mixture = GaussianMixture(len(saved["weights_"]))
                for name in _FITTED:
                    setattr(mixture.mixture, name, saved[name])
        except (OSError, *files.NPZ_DAMAGE) as error:
            raise InputError(
                f"received {path}, which is damaged ({error}): train stage 2 again"
            ) from error
        return mixture

    def draw(self, count: int, seed: int = 0) -> np.ndarray:
        """Latents (count, k), float32, in random order."""
        weights, means = self.mixture.weights_, self.mixture.means_
        generator = np.random.default_rng(seed)
        which = generator.choice(len(weights), count, p=weights)
        noise = generator.standard_normal((count, means.shape[1]))
        latents = means[which] + np.einsum("nij,nj->ni", self._factors[which], noise)
        return latents.astype("float32")

    def log_density(self, latents: np.ndarray) -> np.ndarray:
        """log p of each row, nats (N,): the log of the weighted sum of the Gaussians'
        densities, in the latents' unit.
        """
        return self.mixture.score_samples(np.asarray(latents, "float64"))

    def transform(self, u: Any, uniform: Any) -> Any:
        """Latents (n, k), float32, from random numbers, for tensors of any backend.

        Args:
            u: Standard normal, (n, k).
            uniform: In [0, 1), (n,); chooses the Gaussian.
        """
        means = self.mixture.means_.astype("float32")
        factors = self._factors.astype("float32")
        starts = np.cumsum([0.0, *self.mixture.weights_[:-1]]).astype("float32")
        above = ops.cast(uniform[:, None] >= starts, "int32")
        which = ops.sum(above, axis=-1) - 1
        noise = ops.matmul(ops.take(factors, which, axis=0), u[:, :, None])
        return ops.take(means, which, axis=0) + noise[:, :, 0]

    def as_distribution(self) -> Any:
        """The same as a `tensorflow_probability` distribution of latents, which a
        SavedModel can draw from.
        """
        import tensorflow_probability

        distributions = tensorflow_probability.distributions
        weights = self.mixture.weights_.astype("float32")
        means = self.mixture.means_.astype("float32")
        factors = self._factors.astype("float32")
        return distributions.MixtureSameFamily(
            distributions.Categorical(probs=weights),
            distributions.MultivariateNormalTriL(means, factors),
        )
