"""Mean and covariance of features, batch by batch.

By NumPy's linear algebra alone: SciPy brings threads of its own, and each library waits
for the other's, which takes twice the time.
"""

from pathlib import Path
from typing import Self

import numpy as np

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

    def __init__(self, features: np.ndarray | None = None):
        self.count = 0
        self.mean = np.zeros(())
        self._scatter = np.zeros(())
        self._rows: list[np.ndarray] = []
        if features is not None:
            self.update(features)

    def update(self, features: np.ndarray) -> Self:
        """Takes in a batch (n, d). Chan, Golub & LeVeque (1979), equations 2.1."""
        features = np.asarray(features, "float64")
        if features.ndim != 2:
            raise InputError(
                f"features of shape {features.shape}", "(N, d)", "flatten them"
            )
        if not np.isfinite(features).all():
            raise InputError(
                "features that are infinite or no numbers",
                "finite ones",
                "check the images and the extractor",
            )
        count = len(features)
        if not count:
            return self
        # NumPy's mean takes thirty times as long over rows of a pixel's channels
        mean = np.ones(count) @ features / count
        shift = mean - self.mean
        centered = features - mean
        total = self.count + count
        between = np.outer(shift, shift) * (self.count * count / total)
        self._scatter = self._scatter + centered.T @ centered + between
        self.mean = self.mean + shift * (count / total)
        self.count = total
        self._rows = [*self._rows, features] if self.count <= features.shape[1] else []
        return self

    @property
    def covariance(self) -> np.ndarray:
        """(d, d)."""
        return self._scatter / (self.count - 1)

    def factor(self) -> tuple[np.ndarray, bool]:
        """(A, sound): A (d, r) with A A^T = covariance; sound where A is a Cholesky
        factor that is far from singular.
        """
        if self._rows:
            centered = np.concatenate(self._rows) - self.mean
            return centered.T / np.sqrt(self.count - 1), False
        covariance = self.covariance
        try:
            factor = np.linalg.cholesky(covariance)  # the lower one
            if factor.diagonal().min() ** 2 > 1e-8 * covariance.diagonal().max():
                return factor, True
        except np.linalg.LinAlgError:
            pass
        values, vectors = np.linalg.eigh(covariance)
        kept = values > len(values) * EPS * values[-1]  # the others are rounding
        return vectors[:, kept] * np.sqrt(values[kept]), False

    def save(self, path: str | Path) -> None:
        """Writes `mu` and `sigma` (.npz), as the tools that compute Frechet distances
        exchange them, and `count`.
        """
        np.savez(path, mu=self.mean, sigma=self.covariance, count=self.count)

    @classmethod
    def load(cls, path: str | Path) -> Self:
        """From an `.npz` with `mu` and `sigma`; `count` is 2 where the file does not
        say it.
        """
        with np.load(path, allow_pickle=False) as found:
            if not {"mu", "sigma"} <= set(found.files):
                raise InputError(
                    f"{path} with arrays {', '.join(found.files)}", "mu and sigma"
                )
            mu = found["mu"].astype("float64")
            sigma = found["sigma"].astype("float64")
            count = int(found["count"]) if "count" in found.files else 0
        if sigma.shape != (len(mu), len(mu)):
            raise InputError(
                f"{path} with mu of shape {mu.shape} and sigma of shape {sigma.shape}",
                "(d,) and (d, d)",
            )
        moments = cls()
        moments.mean, moments.count = mu, count or 2
        moments._scatter = sigma * (moments.count - 1)
        return moments
