"""The images that an evaluation compares with."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Any

import numpy as np

from twostage.errors import InputError


@dataclasses.dataclass(frozen=True)
class EvaluationData:
    """Images of each split: uint8 (N, height, width, 1 or 3), arrays or memory maps.

    Args:
        train: What stage 1 was trained on.
        test: Held-out images.
        validation: Images that decide on recalibrated batch normalization; None:
            training images that the recalibration leaves out decide.
        description: How the images were prepared, for the manifest, in JSON's types.

    Raises:
        InputError: images of another type or of unequal shapes.
    """

    train: np.ndarray
    test: np.ndarray
    validation: np.ndarray | None = None
    description: Mapping[str, Any] = dataclasses.field(
        default_factory=lambda: {"source": "arrays in memory"}
    )

    def __post_init__(self) -> None:
        for name in ("train", "test", "validation"):
            images = getattr(self, name)
            if images is not None:
                self._check(name, images)

    def _check(self, name: str, images: np.ndarray) -> None:
        if images.dtype != np.uint8 or images.ndim != 4:
            raise InputError(
                f"`{name}` of type {images.dtype} and shape {images.shape}",
                "uint8 images (N, height, width, channels), 0 to 255",
            )
        if images.shape[1:] != self.train.shape[1:]:
            raise InputError(
                f"`{name}` with images of shape {images.shape[1:]}",
                f"the training images' {self.train.shape[1:]}",
            )

    def split(self, name: str) -> np.ndarray:
        """The images of `"train"` or `"test"`."""
        return {"train": self.train, "test": self.test}[name]
