"""Warnings of settings that have no effect."""

import logging
from collections.abc import Collection

from twostage.config import Stage1Config, Stage2Config
from twostage.data import registry

logger = logging.getLogger(__name__)


def warn_of_unused(config: Stage1Config | Stage2Config, given: Collection[str]) -> None:
    """Warns of those of the settings `given` that another one leaves without effect."""
    for line in config.unused(given):
        logger.warning(line)
    if isinstance(config, Stage2Config) or "data_dir" not in given:
        return
    if config.data not in registry.NAMES:
        logger.warning(
            "`data_dir=%r` has no effect with `data=%r`: only named data are looked for"
            " there",
            config.data_dir,
            config.data,
        )
