"""A function that runs before a method of an object."""

from collections.abc import Callable
from typing import Any


class BeforeCall:
    """Takes a method's place on one object, and calls a function before it.

    Args:
        owner: The object.
        name: Its method.
        function: Called without arguments.

    Example:

    >>> before = BeforeCall(model, "make_test_function", note_the_error)
    >>> model.evaluate(x)  # calls note_the_error() first
    >>> before.end()
    """

    def __init__(self, owner: Any, name: str, function: Callable[[], None]):
        self._owner, self._name, self._function = owner, name, function
        self._method = getattr(owner, name)
        # not setattr: Keras tracks, and PyTorch registers, what is set so
        vars(owner)[name] = self

    def __call__(self, *arguments: Any, **options: Any) -> Any:
        self._function()
        return self._method(*arguments, **options)

    def end(self) -> None:
        """Gives the object its own method back."""
        if vars(self._owner).get(self._name) is self:
            del vars(self._owner)[self._name]
