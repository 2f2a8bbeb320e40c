"""Callbacks as Keras serializes them."""

from typing import Any

import keras


def restore_config(config: dict[str, Any]) -> dict[str, Any]:
    """A callback's config with its arrays and functions back in their own form, after
    Keras has serialized them.
    """
    return {name: _restore(value) for name, value in config.items()}


def _restore(value: Any) -> Any:
    if isinstance(value, dict):
        return keras.saving.deserialize_keras_object(value)
    if isinstance(value, list):
        return [_restore(item) for item in value]
    return value
