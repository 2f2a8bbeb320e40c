"""Mean and covariance of features, batch by batch."""

import numpy as np
from scipy import linalg

from twostage.errors import InputError

EPS = np.finfo("float64").eps


class Moments:
    """Mean (d,) and covariance (d, d), divided by N - 1, of features that come in
    batches; float64.

    While there are at most as many rows as features they are kept: the covariance is
    singular then, and a square root of it is exact through them only.

    Args:
        features: (N, d), the first of them, or None.
    """

    def __init__(self, features=None):
        self.count, self.mean, self._scatter, self._rows = 0, 0.0, 0.0, []
        if features is not None:
            self.update(features)

    def update(self, features):
        """Takes in a batch (n, d). Chan, Golub & LeVeque (1979), equations 2.1."""
        features = np.asarray(features, "float64")
        if features.ndim != 2:
            raise InputError(
                f"received features of shape {features.shape}, expected (N, d): flatten"
                " them"
            )
        if not np.isfinite(features).all():
            raise InputError(
                "received features that are infinite or no numbers, expected finite"
                " ones: look at the images and the extractor"
            )
        count, mean = len(features), features.mean(0)
        shift = mean - self.mean
        centred = features - mean
        self._scatter = (
            self._scatter
            + centred.T @ centred
            + np.outer(shift, shift) * (self.count * count / (self.count + count))
        )
        self.mean = self.mean + shift * (count / (self.count + count))
        self.count += count
        self._rows = [*self._rows, features] if self.count <= features.shape[1] else []
        return self

    @property
    def covariance(self):
        """(d, d)."""
        return self._scatter / (self.count - 1)

    def factor(self):
        """(A, sound): A (d, r) with A A^T = covariance; sound where A is a Cholesky
        factor that is far from singular.
        """
        if self._rows:
            return (np.concatenate(self._rows) - self.mean).T / np.sqrt(
                self.count - 1
            ), False
        covariance = self.covariance
        try:
            factor = linalg.cholesky(covariance, lower=True)
            if factor.diagonal().min() ** 2 > 1e-8 * covariance.diagonal().max():
                return factor, True
        except linalg.LinAlgError:
            pass
        values, vectors = linalg.eigh(covariance)
        kept = (
            values > len(values) * EPS * values[-1]
        )  # rounding alone gives the others
        return vectors[:, kept] * np.sqrt(values[kept]), False

    def save(self, path):
        """Writes `mu` and `sigma` (.npz), as the tools that compute Frechet distances
        exchange them, and `count`.
        """
        np.savez(path, mu=self.mean, sigma=self.covariance, count=self.count)

    @classmethod
    def load(cls, path):
        """From an `.npz` with `mu` and `sigma`; `count` is 2 where the file does not
        say it.
        """
        with np.load(path, allow_pickle=False) as found:
            if not {"mu", "sigma"} <= set(found.files):
                raise InputError(
                    f"received {path} with arrays {', '.join(found.files)}, expected mu"
                    " and sigma"
                )
            mu, sigma, count = (
                found["mu"].astype("float64"),
                found["sigma"].astype("float64"),
                int(found["count"]) if "count" in found.files else 0,
            )
        if sigma.shape != (len(mu), len(mu)):
            raise InputError(
                f"received {path} with mu of shape {mu.shape} and sigma of shape"
                f" {sigma.shape}, expected (d,) and (d, d)"
            )
        moments = cls()
        moments.mean, moments.count = mu, count or 2
        moments._scatter = sigma * (moments.count - 1)
        return moments
