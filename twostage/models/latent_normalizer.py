"""Rescales stage 2's latents."""

from typing import Any

import keras
import numpy as np
from keras import ops


@keras.saving.register_keras_serializable("twostage")
class LatentNormalizer(keras.layers.Layer):
    """Rescales stage 2's latents so that their standard deviation is `target` (Asperti
    & Trentin, section 4.2).

    Stage 2's mean has variance below 1, because the noise gamma_z is not added to it. z
    * target / s restores it, with s the mean over latents of their standard deviations,
    or each latent's own. The statistics are measured once, by `adapt`, and stored in
    the weights `deviation` (k,) and `count`.

    Args:
        target: Standard deviation after normalization, the prior's being 1: 1, or the
            square root of the variance law.
        per_latent: One scale per latent instead of one for all. Where the standard
            deviation is below 1e-3, latents keep their scale.
    """

    MIN_DRAWS = 10_000  # that the statistics need

    def __init__(self, target: float = 1.0, per_latent: bool = False, **kwargs: Any):
        super().__init__(**{**kwargs, "dtype": "float32"})
        self.target = float(target)
        self.per_latent = bool(per_latent)

    def build(self, input_shape: Any) -> None:
        options = {"trainable": False, "autocast": False}
        self.latent_std = self.add_weight(
            name="deviation", shape=(input_shape[-1],), initializer="ones", **options
        )
        self.count = self.add_weight(
            name="count", shape=(), initializer="zeros", **options
        )

    def adapt(self, latents: np.ndarray) -> None:
        """Measures the standard deviations of latents (N, k), N at least 10,000, drawn
        from stage 2.

        Raises:
            ValueError: fewer latents, or some that are not finite.
        """
        latents = np.asarray(latents, "float64")
        enough = latents.ndim == 2 and len(latents) >= self.MIN_DRAWS
        if not enough or not np.isfinite(latents).all():
            raise ValueError(
                f"received latents of shape {latents.shape}, expected at least"
                f" {self.MIN_DRAWS} finite vectors: draw more"
            )
        if not self.built:
            self.build(latents.shape)
            self.built = True
        self.latent_std.assign(latents.std(axis=0).astype("float32"))
        self.count.assign(float(len(latents)))

    def call(self, z: Any) -> Any:
        std = ops.convert_to_tensor(self.latent_std)
        if not self.per_latent:
            std = ops.mean(std)
        return z * self.target / ops.where(std < 1e-3, self.target, std)

    def get_config(self) -> dict[str, Any]:
        return {"name": self.name, "target": self.target, "per_latent": self.per_latent}
