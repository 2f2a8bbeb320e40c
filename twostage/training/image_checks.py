"""Checks of a run's images before they are decoded."""

import logging
from collections.abc import Mapping

from twostage.config import MIN_COMPARED, Stage1Config
from twostage.data.datasets import ImageFileDataset, Images
from twostage.errors import InputError
from twostage.models import build

logger = logging.getLogger(__name__)


def check_sizes(config: Stage1Config, dataset: ImageFileDataset) -> None:
    """Raises `InputError` unless the network takes images of this size; the side to
    resize them to is proposed where they are large enough for one.
    """
    sizes = dataset.sizes
    if not sizes.total:
        return
    shape = dataset.shape
    try:
        build.check_images(config, shape)
    except InputError as error:
        fitting = [side for side in sizes.possible_sides if _takes(config, side)]
        if config.pad or not fitting:
            raise
        fix = f"resize them with {sizes.proposal(fitting[0])}"
        raise InputError(error.received, error.expected, fix) from error


def _takes(config: Stage1Config, side: int) -> bool:
    try:
        build.check_images(config, (side, side, 3))
    except InputError:
        return False
    return True


def warn_without_test(data: str, splits: Mapping[str, Images]) -> None:
    """Warns where there is nothing, or too little, to test on."""
    if "test" in splits:
        count = len(splits["test"][0])
        if count < MIN_COMPARED:
            logger.warning(
                "%s has %d test images: `evaluate` needs at least %d",
                data,
                count,
                MIN_COMPARED,
            )
        return
    then = "`evaluate` needs one"
    if "validation" in splits:
        then = "`evaluate` uses the held-out images instead"
    logger.warning(
        "%s has no test split: %s. It may be added later, as a folder test beside the"
        " one for training",
        data,
        then,
    )
