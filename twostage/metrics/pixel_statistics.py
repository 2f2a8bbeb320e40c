"""Brightness, contrast and sharpness of a set of images."""

from typing import Self

import numpy as np

from twostage.metrics.moments import Moments

BATCH = 250  # images whose differences are held at once
LEAST = 1e-6  # of squared gray levels, 0 to 255; less is rounding


class PixelStatistics:
    """What is counted over the pixels of images that come in batches.

    Args:
        images: uint8 (N, height, width, channels), the first of them, or None.

    Attributes:
        moments: `Moments` of the pixels, 0 to 255, a row per pixel.

    Example:
        >>> stripes = np.tile(np.array([0, 100], "uint8"), 8).reshape(1, 4, 4, 1)
        >>> paler = PixelStatistics(stripes // 2)
        >>> paler.beside(PixelStatistics(stripes))["sharpness"]
        0.5
    """

    def __init__(self, images: np.ndarray | None = None):
        self.moments = Moments()
        self._squared, self._pairs = 0.0, 0
        if images is not None:
            self.update(images)

    def update(self, images: np.ndarray) -> Self:
        """Takes in images (n, height, width, channels), uint8."""
        for i in range(0, len(images), BATCH):
            part = images[i : i + BATCH]
            self.moments.update(part.reshape(-1, part.shape[-1]))
            self._add_differences(part.astype("int32"))
        return self

    def _add_differences(self, images: np.ndarray) -> None:
        for axis in (1, 2):
            difference = np.diff(images, axis=axis)
            self._squared += float(np.square(difference).sum(dtype="int64"))
            self._pairs += difference.size

    @property
    def squared_difference(self) -> float:
        """Mean squared difference of neighboring pixels, next to each other or one
        above the other, over all channels; 0 of images of one pixel.
        """
        return self._squared / max(self._pairs, 1)

    def beside(self, reference: "PixelStatistics") -> dict[str, float | None]:
        """Compares them with those of the reference.

        Decoder means lose contrast: where E[x | z] is exact, reconstructions have
        sqrt(1 - mse / Var[x]) (the law of total variance). They lose more sharpness, as
        fine detail is what z does not have.

        Returns:
            dict: `brightness`, by how much the mean pixel is larger, as a part of 255;
            `contrast`, the ratio of the pixels' standard deviations; `sharpness`, the
            ratio of the root mean squared differences of neighboring pixels. All are
            over all channels. A ratio is None where the reference's number is 0, as of
            images that are all alike.
        """
        mine, others = self.moments, reference.moments
        variances = np.trace(mine.covariance), np.trace(others.covariance)
        differences = self.squared_difference, reference.squared_difference
        return {
            "brightness": float(np.mean(mine.mean - others.mean) / 255),
            "contrast": _root_ratio(*variances),
            "sharpness": _root_ratio(*differences),
        }


def _root_ratio(mine: float, others: float) -> float | None:
    return None if others <= LEAST else float((mine / others) ** 0.5)
