"""Warnings of settings that have no effect."""

import dataclasses
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


def warn_of_preparation(config: Stage1Config, given: Collection[str]) -> None:
    """Warns of those of the settings `given` that prepare files of images, where arrays
    are trained on.
    """
    named = [
        f"`{field.name}={getattr(config, field.name)!r}`"
        for field in dataclasses.fields(config)
        if field.metadata["group"] == "data"
        and field.name in given
        and field.name not in ("data", "pad", "held_out", "flip")
    ]
    if named:
        logger.warning(
            "%s: no effect on arrays; prepare them as `twostage.data.load` does",
            ", ".join(named),
        )
