"""Rescales stage 2's latents."""

import keras
import numpy as np
from keras import ops


@keras.saving.register_keras_serializable("twostage")
class LatentNormalizer(keras.layers.Layer):
    """Rescales stage 2's latents so that their standard deviation is `target` (Asperti
    & Trentin, section on normalisation).

    Stage 2's mean has variance below 1, because the noise gamma_z is not added to it. z
    * target / s restores it, with s the mean over latents of their standard deviations,
    or each latent's own. The statistics are measured once, by `adapt`, and stored in
    the weights `deviation` (k,) and `count`.

    Args:
        target: Standard deviation after normalisation: 1, or the square root of the
            variance law.
        per_latent: One scale a latent instead of one for all. Latents that hardly vary
            (deviation below 1e-3) keep their scale.
    """

    LEAST = 10_000  # draws that the statistics need

    def __init__(self, target=1.0, per_latent=False, **kwargs):
        super().__init__(**{**kwargs, "dtype": "float32"})
        self.target, self.per_latent = float(target), bool(per_latent)

    def build(self, input_shape):
        scalar = {"trainable": False, "autocast": False}
        self.deviation = self.add_weight(
            name="deviation", shape=(input_shape[-1],), initializer="ones", **scalar
        )
        self.count = self.add_weight(
            name="count", shape=(), initializer="zeros", **scalar
        )

    def adapt(self, latents):
        """Measures the deviations of latents (N, k), N at least 10,000, drawn from
        stage 2.
        """
        latents = np.asarray(latents, "float64")
        if (
            latents.ndim != 2
            or len(latents) < self.LEAST
            or not np.isfinite(latents).all()
        ):
            raise ValueError(
                f"received latents of shape {latents.shape}, expected at least"
                f" {self.LEAST} finite vectors: draw more"
            )
        if not self.built:
            self.build(latents.shape)
            self.built = True
        self.deviation.assign(latents.std(axis=0).astype("float32"))
        self.count.assign(float(len(latents)))

    def call(self, z):
        deviation = ops.convert_to_tensor(self.deviation)
        if self.per_latent:
            return z * self.target / ops.where(deviation < 1e-3, self.target, deviation)
        return z * self.target / ops.mean(deviation)

    def get_config(self):
        return {"name": self.name, "target": self.target, "per_latent": self.per_latent}
