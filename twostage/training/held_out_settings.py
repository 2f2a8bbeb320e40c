"""The settings that need held-out images, where there may be none."""

import dataclasses
import logging
from collections.abc import Collection
from typing import Any

from twostage.config import Stage2Config
from twostage.errors import InputError

logger = logging.getLogger(__name__)

# what they are where no images are held out
WITHOUT = {"patience": 0, "sampling": Stage2Config.sampling}


def check_held_out(config: Any, held_out: Any) -> None:
    """Raises `InputError` where a setting needs held-out images that are missing, or
    where there is only one, by which nothing can be chosen.
    """
    if held_out is not None and len(held_out) < 2:
        raise InputError(
            f"{len(held_out)} held-out images",
            "at least 2",
            "hold more out, or none",
        )
    needing = [] if held_out is not None else _needing(config)
    if needing:
        settings = [f"`{name}={getattr(config, name)!r}`" for name in needing]
        others = [f"`{name}={WITHOUT[name]!r}`" for name in needing]
        raise InputError(
            f"{' and '.join(settings)} and no held-out images",
            "`held_out`, images that are not trained on",
            f"give some, or set {' and '.join(others)}",
        )


def without_held_out(config: Stage2Config, given: Collection[str]) -> Stage2Config:
    """The config of a stage 2 that has no held-out images: those of its settings that
    need some, and were not given, are left out. Logs which.
    """
    changes = {name: WITHOUT[name] for name in _needing(config) if name not in given}
    if changes:
        listed = ", ".join(f"{name} {value}" for name, value in changes.items())
        logger.info("no held-out images: %s", listed)
    return dataclasses.replace(config, **changes)


def _needing(config: Any) -> list[str]:
    """The names of the settings that need held-out images."""
    needing = ["patience"] if config.patience else []
    if getattr(config, "sampling", "") == "auto":
        needing.append("sampling")
    return needing
