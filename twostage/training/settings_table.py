"""The settings of a training that differ from its preset's."""

import dataclasses
from typing import Any

from twostage.presets import PRESETS, resolve


def settings_table(config: Any, number: int, preset: str | None = None) -> str:
    """The settings that differ from the preset's, in columns; one line where none do.

    Args:
        config: Of the stage.
        number: 1 or 2.
        preset: Name of the preset; None: the defaults are compared.

    Example:
        >>> print(settings_table(presets.resolve(1, "digits", epochs=5), 1, "digits"))
        setting  digits  here
        epochs   120     5
    """
    known = preset in PRESETS
    usual = resolve(number, str(preset)) if known else type(config)()
    name = str(preset) if known else "default"
    rows = [
        (
            field.name,
            _text(getattr(usual, field.name)),
            _text(getattr(config, field.name)),
        )
        for field in dataclasses.fields(config)
        if getattr(usual, field.name) != getattr(config, field.name)
    ]
    if not rows:
        return (
            f"settings: those of preset {name}" if known else "settings: the defaults"
        )
    rows.insert(0, ("setting", name, "here"))
    first, second = (max(len(row[column]) for row in rows) for column in (0, 1))
    return "\n".join(f"{a:{first}}  {b:{second}}  {c}" for a, b, c in rows)


def _text(value: Any) -> str:
    return str(value) or "-"
