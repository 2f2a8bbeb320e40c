"""What all callbacks of this package have in common."""

import logging
from typing import Any, Self

import keras

from .model_calls import to_numpy


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
        # the weights' sums at the end of the last epoch, in a loop without `fit`
        self._sums: list[float] | None = None
        self._warned_of_loop = False

    @property
    def steps_per_epoch(self) -> int | None:
        """Batches of an epoch, where `fit` knows them."""
        return (self.params or {}).get("steps")

    def check_loop(self) -> None:
        """Warns once, at an epoch's end, of a loop on JAX that does not use `fit` and
        holds the weights outside the model: a callback sees the model alone.
        """
        if keras.backend.backend() != "jax" or self.params:
            return
        sums = [
            float(abs(to_numpy(weight)).sum())
            for weight in getattr(self.model, "trainable_weights", [])
        ]
        before, self._sums = self._sums, sums
        if sums and before == sums and not self._warned_of_loop:
            self._warned_of_loop = True
            logging.getLogger(type(self).__module__).warning(
                "%s: the weights of %s have not changed in an epoch. If the loop holds"
                " them outside the model, assign them to its variables before it calls"
                " a callback, and read the variables that callbacks set afterwards",
                type(self).__name__,
                type(self.model).__name__,
            )

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
