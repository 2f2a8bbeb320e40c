"""Whether the loss reads a variable that a callback sets."""

import logging
import sys
import weakref
from typing import Any

import keras

LOSSES = {
    "gamma": "loss = d * (mse / (2 * self.gamma**2) + log(self.gamma)) + kl, d numbers"
    " per example",
    "kl_weight": "loss = reconstruction + self.kl_weight * kl",
    "free_bits": "loss = reconstruction + sum(maximum(mean(kl, axis=0),"
    " self.free_bits)), kl of shape (batch, k)",
}  # the line of the loss that reads each


class VariableUse:
    """Watches the first training step for reads of a variable, and warns once where
    there was none: what a callback sets then changes nothing.

    Reads for a metric do not count. A step that was compiled before, in an earlier
    `fit`, reads nothing: then nothing is known, and nothing is logged.

    Args:
        attribute: Name of the model's variable.
        role: The key of `LOSSES` that it has the part of.
    """

    def __init__(self, attribute: str, role: str):
        self.attribute, self.role = attribute, role
        self._known = False
        self._model: Any = None
        self._reads: set[int] = set()
        self._watched: list[Any] = []

    def begin(self, model: Any, variable: Any) -> None:
        """Call before a training step."""
        self._restore()  # the step before may have failed
        if self._model is None or self._model() is not model:
            self._model, self._known = weakref.ref(model), False
        variables = [variable, *model.trainable_variables[:1]]
        if self._known or len(variables) < 2:  # an unbuilt model has no weights yet
            return
        if not all(isinstance(variable, keras.Variable) for variable in variables):
            return
        self._reads.clear()
        for variable in variables:
            variable.__class__ = _watched(type(variable), self._reads)
            self._watched.append(variable)

    def end(self, model: Any) -> None:
        """Call after it."""
        if not self._watched:
            return
        variable, weight = self._restore()
        if id(weight) not in self._reads:
            return  # the step had been compiled before
        self._known = True
        if id(variable) not in self._reads:
            logging.getLogger(__name__).warning(
                "%s.%s is not used by the loss, so setting it changes nothing. The loss"
                " must read it, such as %s%s",
                type(model).__name__,
                self.attribute,
                loss_line(self.role, self.attribute),
                _unless_indexed(model),
            )

    def _restore(self) -> list[Any]:
        """Gives the watched variables their own class again, and returns them."""
        watched, self._watched = self._watched, []
        for variable in watched:
            variable.__class__ = type(variable).__base__
        return watched


def _unless_indexed(model: Any) -> str:
    """What the warning does not see: a stateless step that takes values by number."""
    own = type(model).train_step is not keras.Model.train_step
    if keras.backend.backend() != "jax" or not own:
        return ""
    return ". (A train_step that takes it from non_trainable_variables does read it.)"


def loss_line(role: str, attribute: str) -> str:
    """The line of the loss that reads `self.attribute`."""
    return LOSSES[role].replace(f"self.{role}", f"self.{attribute}")


def _watched(kind: type, reads: set[int]) -> type:
    """`kind`, whose values note in `reads` that a training step has read them."""

    class Watched(kind):
        @property
        def value(self) -> Any:
            if id(self) not in reads and _in_training_step():
                reads.add(id(self))
            return super().value

    Watched.__name__ = kind.__name__
    return Watched


def _in_training_step() -> bool:
    """Whether the caller computes a training step, and no metric of it."""
    frame = sys._getframe(2)
    while frame is not None:
        module, function = frame.f_globals.get("__name__", ""), frame.f_code.co_name
        if module.startswith("keras.src.metrics"):
            return False
        if function.endswith("train_step"):
            return True
        frame = frame.f_back
    return False
