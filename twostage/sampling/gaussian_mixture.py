"""A Gaussian, or a mixture of Gaussians with full covariances, on latents."""

import numpy as np

from twostage.errors import InputError


class Mixture:
    """Fitted by scikit-learn's expectation maximisation, as the authors of RAE did
    (Ghosh et al. 2020, section 4: 10 components).

    Args:
        latents: (N, k), of the training set.
        components: Number of Gaussians.
        seed: Of the start.

    Raises:
        InputError: fewer latents than Gaussians.
    """

    def __init__(self, latents, components=10, seed=0):
        from sklearn.mixture import GaussianMixture

        if len(latents) < components:
            raise InputError(
                f"received a mixture of {components} Gaussians for the latents of"
                f" {len(latents)} images, expected at most as many: choose fewer"
            )
        self.mixture = GaussianMixture(
            components,
            covariance_type="full",
            max_iter=2_000,
            tol=1e-3,
            random_state=seed,
        ).fit(np.asarray(latents, "float64"))

    def draw(self, count, seed=0):
        """Latents (count, k), float32, in random order."""
        generator = np.random.default_rng(seed)
        which = generator.choice(
            len(self.mixture.weights_), count, p=self.mixture.weights_
        )
        factors = np.linalg.cholesky(self.mixture.covariances_)
        noise = generator.standard_normal((count, self.mixture.means_.shape[1]))
        return (
            self.mixture.means_[which] + np.einsum("nij,nj->ni", factors[which], noise)
        ).astype("float32")

    def log_density(self, latents):
        """log p of each row, nats (N,)."""
        return self.mixture.score_samples(np.asarray(latents, "float64"))

    def as_distribution(self):
        """The same as a `tensorflow_probability` distribution of latents, which a
        SavedModel can draw from.
        """
        import tensorflow_probability

        distributions, mixture = tensorflow_probability.distributions, self.mixture
        weights, means, factors = (
            each.astype("float32")
            for each in (
                mixture.weights_,
                mixture.means_,
                np.linalg.cholesky(mixture.covariances_),
            )
        )
        return distributions.MixtureSameFamily(
            distributions.Categorical(probs=weights),
            distributions.MultivariateNormalTriL(means, factors),
        )
