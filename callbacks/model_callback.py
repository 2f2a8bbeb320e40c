"""What all callbacks of this package have in common."""

from typing import Any, Self

import keras


class ModelCallback(keras.callbacks.Callback):
    """A callback for models of Keras 3, which Keras can serialize with its arrays and
    functions.
    """

    def set_model(self, model: Any) -> None:
        """As Keras's.

        Raises:
            ValueError: a model of Keras 2, which tf_keras is.
        """
        kinds = type(model).__mro__
        if any(kind.__module__.startswith("tf_keras") for kind in kinds):
            raise ValueError(
                f"received {type(model).__name__}, a model of tf_keras (Keras 2),"
                " expected one of Keras 3: build it with `import keras`"
            )
        super().set_model(model)

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> Self:
        return cls(**{name: _restore(value) for name, value in config.items()})


def _restore(value: Any) -> Any:
    """Arrays and functions in their own form, after Keras has serialized them."""
    if isinstance(value, dict):
        return keras.saving.deserialize_keras_object(value)
    if isinstance(value, list):
        return [_restore(item) for item in value]
    return value
