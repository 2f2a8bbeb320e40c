"""The models of both stages, together."""

from __future__ import annotations

import dataclasses

import keras
import numpy as np

from twostage.models.latent_normalizer import LatentNormalizer
from twostage.models.vae import VAE


@dataclasses.dataclass(frozen=True)
class TwoStageModels:
    """Stage 1, and stage 2 with its normalizer once it is trained.

    Args:
        stage1: The VAE of images.
        stage2: The VAE of stage 1's latents, or None.
        normalizer: Rescales stage 2's latents (n, k); None without stage 2.
    """

    stage1: VAE
    stage2: VAE | None = None
    normalizer: keras.Model | LatentNormalizer | None = None

    def get_weights(self) -> list[np.ndarray]:
        """The weights of all models, stage 1's first."""
        models = (self.stage1, self.stage2, self.normalizer)
        return [
            weight
            for model in models
            if model is not None
            for weight in model.get_weights()
        ]
