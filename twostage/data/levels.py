"""The values of images: brought to 8 bits; refused where they are nearly black."""

import logging
import math

import numpy as np

from twostage.errors import InputError

logger = logging.getLogger(__name__)

WHITE = 255
MAX_BLACK = 16  # no photograph: masks, class numbers, 4 bits, scikit-learn's digits
MAX_DARK = 127  # may be one
IMAGES_PER_CHUNK = 1_000  # so that a memory map stays one
BITS = (8, 10, 12, 14, 16)  # of cameras and scanners
ONLY_FINITE = "leave them out, as x[np.isfinite(x).all(axis=(1, 2, 3))] does"


def to_8_bits(images: np.ndarray, scale: float, where: object) -> np.ndarray:
    """uint8 images of numbers of any type (N, height, width, channels).

    Args:
        images: The images.
        scale: They are multiplied by it and rounded. 0: they must be uint8, and stay as
            they are.
        where: Their source, for messages.

    Raises:
        InputError: they are not uint8 and there is no scale, or it takes them beyond
            0..255; some of their numbers are not finite.
    """
    if images.dtype == np.uint8 and scale in (0, 1):
        return images
    low, high = _extremes(images)
    _check_finite(images, low, high, where)
    if not scale:
        raise InputError(
            f"{images.dtype} images in {where}, {low:g} to {high:g}",
            "uint8, 0 to 255",
            _conversion(low, high),
        )
    _check_scale(scale, low, high, where)
    scaled = np.empty(images.shape, "uint8")
    for start in range(0, len(images), IMAGES_PER_CHUNK):
        chunk = slice(start, start + IMAGES_PER_CHUNK)
        scaled[chunk] = np.rint(images[chunk] * np.float64(scale))
    return scaled


def _check_finite(images: np.ndarray, low: float, high: float, where: object) -> None:
    """Raises `InputError` for images (N, height, width, channels) whose least or
    greatest number is NaN or infinity; only those are read once more.
    """
    if _are_finite(low, high):
        return
    starts = range(0, len(images), IMAGES_PER_CHUNK)
    chunks = (images[start : start + IMAGES_PER_CHUNK] for start in starts)
    count = sum(np.sum(~np.isfinite(chunk).all(axis=(1, 2, 3))) for chunk in chunks)
    raise InputError(
        f"{count:,} of {len(images):,} images in {where} with NaN or infinity",
        "finite numbers",
        ONLY_FINITE,
    )


def _check_scale(scale: float, low: float, high: float, where: object) -> None:
    """Raises `InputError` unless a scale takes numbers of a range to 0..255."""
    # one of few digits may lead a little above
    if low >= 0 and high * scale < WHITE + 0.5:
        return
    can_scale = _has_white(low, high)
    raise InputError(
        f"`scale={scale:g}` for images in {where}, {low:g} to {high:g}, which become"
        f" {low * scale:g} to {high * scale:g}",
        "0 to 255",
        f"use `scale={WHITE / high:.4g}`" if can_scale else _conversion(low, high),
    )


def check_levels(images: np.ndarray, scale: float = 0) -> None:
    """Refuses nearly black training images, and warns of dark ones; arguments as of
    `refuse_black`.
    """
    refuse_black(images, scale)
    warn_of_dark(images, scale)


def refuse_black(images: np.ndarray, scale: float = 0) -> None:
    """Raises `InputError` for uint8 images that are nearly black, as masks of 0 and 1
    are: a VAE's loss is very low on them, and its samples are black.

    Args:
        images: The training images (N, height, width, channels).
        scale: By which they were multiplied. 0: they were not. 1: they are used as they
            are.
    """
    greatest = greatest_value(images)
    if scale == 1 or greatest > MAX_BLACK or not len(images):
        return
    if not greatest:
        raise InputError(
            "training images that are all 0", "some that are not black", "check them"
        )
    factor = WHITE / greatest
    raise InputError(
        f"training images of 0 to {greatest}, which is nearly black",
        "0 to 255",
        f"multiply them by {factor:.4g}, as `scale={factor * (scale or 1):.4g}` does;"
        " `scale=1` takes them as they are",
    )


def warn_of_dark(images: np.ndarray, scale: float = 0) -> None:
    """Warns of uint8 training images that use less than half of the values; arguments
    as of `refuse_black`.
    """
    greatest = greatest_value(images)
    if MAX_BLACK < greatest <= MAX_DARK:
        factor = WHITE / greatest
        logger.warning(
            "the training images are dark, 0 to %d of 255: where they should not be,"
            " multiply them by up to %.4g, as `scale=%.4g` does",
            greatest,
            factor,
            factor * (scale or 1),
        )


def greatest_value(images: np.ndarray) -> int:
    """Of uint8 images (N, ...); no more are read once one is bright."""
    greatest = 0
    for start in range(0, len(images), IMAGES_PER_CHUNK):
        chunk = images[start : start + IMAGES_PER_CHUNK]
        greatest = max(greatest, int(chunk.max(initial=0)))
        if greatest > MAX_DARK:
            break
    return greatest


def advice(images: np.ndarray) -> str:
    """How to make an array in memory (N, ...) uint8 images, by its values."""
    if images.dtype.kind not in "biuf" or not images.size:
        return "make it one array of numbers"
    if images.dtype == np.uint8:
        return "stack images into one array; a single one is x[None]"
    low, high = _extremes(images)
    if not _are_finite(low, high):
        return f"some images have NaN or infinity: {ONLY_FINITE}"
    if not _has_white(low, high):
        return _conversion(low, high)
    white = _white(high)
    if white == WHITE:
        return "convert them with x.round().astype('uint8')"
    return (
        f"where {white:g} is white, convert them with (x *"
        f" {WHITE / white:.4g}).round().astype('uint8')"
    )


def _extremes(images: np.ndarray) -> tuple[float, float]:
    return float(images.min()), float(images.max())


def _are_finite(low: float, high: float) -> bool:
    """Whether all numbers are, as NaN is both the least and the greatest."""
    return math.isfinite(low) and math.isfinite(high)


def _has_white(low: float, high: float) -> bool:
    """Whether a factor alone brings a range to 0..255."""
    return low >= 0 and high <= 2 ** BITS[-1] - 1


def _white(high: float) -> float:
    """The value that is probably white, where the greatest is `high`."""
    if high <= 1:
        return 1
    if high <= MAX_BLACK:
        return high
    return next(2**bits - 1 for bits in BITS if high <= 2**bits - 1)


def _conversion(low: float, high: float) -> str:
    """What to do with numbers of a range in a file."""
    if _has_white(low, high):
        white = _white(high)
        if white == WHITE:
            return "`scale=1` rounds them"
        return f"where {white:g} is white, `scale={WHITE / white:.4g}` does it"
    if low >= -1 and high <= 1:
        return (
            "where -1 is black, convert them with ((x + 1) *"
            " 127.5).round().astype('uint8')"
        )
    return "bring them to that range, then .round().astype('uint8')"
