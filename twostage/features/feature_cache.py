"""Features of data sets on disk, so that each is computed once."""

from __future__ import annotations

import dataclasses
import hashlib
import logging
from pathlib import Path

import keras
import numpy as np

from twostage.data.cache import home
from twostage.features.extractor import Extractor, quantized
from twostage.system import files
from twostage.system.locks import held

logger = logging.getLogger(__name__)

MAX_FILES = 16  # the oldest go


@dataclasses.dataclass(frozen=True)
class FeatureCache:
    """Images to features, as the extractor computes them, or from the file of an
    earlier call: its name holds the checksums of images and weights, and the backend,
    as each rounds in its own way.

    Args:
        extractor: The `Extractor`.
        folder: Of the files; None: `features` in the cache of prepared images.

    Example:
        >>> features = FeatureCache(random_network())(images)
    """

    extractor: Extractor
    folder: Path | None = None

    def __call__(self, images: np.ndarray, batch_size: int = 250) -> np.ndarray:
        """Features (N, d), float64, of images as `Extractor` takes them."""
        images = quantized(images)
        path = self._path(images)
        kept = _read(path)
        if kept is not None and len(kept) == len(images):
            path.touch()
            return kept.astype("float64")
        features = self.extractor(images, batch_size)
        self._keep(path, features)
        return features

    def _path(self, images: np.ndarray) -> Path:
        facts = self.extractor.manifest(), images.shape, keras.config.backend()
        key = hashlib.sha256(repr(facts).encode())
        key.update(np.ascontiguousarray(images).data)
        folder = self.folder or home() / "features"
        return folder / f"{key.hexdigest()[:24]}.npz"

    def _keep(self, path: Path, features: np.ndarray) -> None:
        """Networks compute in float32, so nothing is lost by it; of others nothing is
        kept.
        """
        single = features.astype("float32")
        if not np.array_equal(single, features):
            return
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            with held(path.parent):
                files.write_npz(path, {"features": single})
                _remove_oldest(path.parent)
        except OSError as error:  # a full disk costs time, no more
            logger.warning("features are not kept: %s", error)


def _remove_oldest(folder: Path) -> None:
    ages = sorted(folder.glob("*.npz"), key=lambda path: path.stat().st_mtime)
    for path in ages[:-MAX_FILES]:
        path.unlink()


def _read(path: Path) -> np.ndarray | None:
    """The features of a file; None where it is missing or damaged."""
    try:
        with np.load(path) as saved:
            return saved["features"]
    except FileNotFoundError:
        return None
    except (OSError, *files.NPZ_DAMAGE):
        logger.warning("%s is damaged: computing the features again", path)
        return None
