"""The models of both stages, together."""

from __future__ import annotations

import dataclasses
import tempfile
from pathlib import Path
from typing import Any

import keras
import numpy as np

from twostage.config import DENSITY_METHODS
from twostage.errors import InputError
from twostage.models.gaussian_mixture import Mixture
from twostage.models.latent_normalizer import LatentNormalizer
from twostage.models.serialization import load_model, save_model
from twostage.models.vae import VAE
from twostage.system import files

KERAS_MODELS = ("stage1", "stage2", "normalizer")
MIXTURE = "mixture.npz"
FILES = (*(f"{name}.keras" for name in KERAS_MODELS), MIXTURE)
MODELS = "models.json"  # which of them there are


@dataclasses.dataclass(frozen=True)
class TwoStageModels:
    """Stage 1, and stage 2 with its normalizer once it is trained.

    Args:
        stage1: The VAE of images.
        stage2: The VAE of stage 1's latents, or None.
        normalizer: Rescales stage 2's latents (n, k); None without stage 2.
        mixture: Of stage 1's latents; drawn from instead of stage 2 by the sampling
            methods "gaussian" and "mixture". None: not fitted.
    """

    stage1: VAE
    stage2: VAE | None = None
    normalizer: keras.Model | LatentNormalizer | None = None
    mixture: Mixture | None = None

    @property
    def parts(self) -> list[Any]:
        """The Keras models that there are, stage 1 first."""
        models = [getattr(self, name) for name in KERAS_MODELS]
        return [model for model in models if model is not None]

    def density_of(self, method: str) -> Mixture | None:
        """What a sampling method draws from instead of stage 2; None: nothing.

        Raises:
            InputError: it was not fitted.
        """
        if method not in DENSITY_METHODS:
            return None
        components = DENSITY_METHODS[method]
        if self.mixture is None or self.mixture.components != components:
            raise InputError(
                f"`method={method!r}`, for which nothing was fitted",
                "the method that the models were trained with",
                f"drop it, or train with the setting `sampling={method!r}` of stage 2",
            )
        return self.mixture

    def get_weights(self) -> list[np.ndarray]:
        """The weights of all models, stage 1's first."""
        return [weight for model in self.parts for weight in model.get_weights()]

    def save(self, folder: str | Path) -> None:
        """Writes stage1.keras and, where stage 2 is trained, stage2.keras and
        normalizer.keras; mixture.npz; and models.json, which names these files.
        """
        folder = Path(folder)
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(prefix=".part-", dir=folder) as part:
            self._write(Path(part))
            written = sorted(path.name for path in Path(part).iterdir())
            files.write_json(folder / MODELS, {"files": written})
            for name in FILES:  # no old one stays beside a new one
                (folder / name).unlink(missing_ok=True)
            for name in written:
                files.rename(Path(part) / name, folder / name)

    def _write(self, folder: Path) -> None:
        for name in KERAS_MODELS:
            model = getattr(self, name)
            if model is not None:
                save_model(folder / f"{name}.keras", model)
        if self.mixture is not None:
            self.mixture.save(folder / MIXTURE)

    @classmethod
    def load(cls, folder: str | Path) -> TwoStageModels:
        """Reads what `save` wrote.

        Raises:
            InputError: there is no stage 1, or a file is missing or damaged.
        """
        named = files.read_json(Path(folder) / MODELS).get("files", [])
        missing = [name for name in named if not (Path(folder) / name).exists()]
        if missing:
            raise InputError(
                f"{folder} without {', '.join(missing)}",
                "the folder as it was saved",
                "copy it whole, or save the model again",
            )
        paths = {name: Path(folder) / f"{name}.keras" for name in KERAS_MODELS}
        if not paths["stage1"].exists():
            raise InputError(str(folder), "a folder with stage1.keras")
        models = {
            name: load_model(path, "save the model again")
            for name, path in paths.items()
            if path.exists()
        }
        return cls(**models, mixture=saved_mixture(folder))


def saved_mixture(folder: str | Path) -> Mixture | None:
    """The mixture of a folder, where there is one."""
    path = Path(folder) / MIXTURE
    return Mixture.load(path) if path.exists() else None
