"""Calls of a model's parts, batch by batch and without gradients."""

import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import keras
import numpy as np

BATCH = 250  # examples that go through a network at once


def batches(count: int) -> Iterator[slice]:
    """The rows of each batch of `count` examples."""
    return (slice(start, start + BATCH) for start in range(0, count, BATCH))


def call(function: Callable, *inputs: Any, explain: Callable[[str], str]) -> Any:
    """`function(*inputs)`, without gradients.

    Args:
        explain: `explain(reason)` -> the message where it fails.

    Raises:
        ValueError: it fails.
    """
    try:
        with no_gradients():
            return function(*inputs)
    except Exception as error:
        raise ValueError(explain(_reason(error))) from error


@contextmanager
def no_gradients() -> Iterator[None]:
    """Within, PyTorch keeps no activations; other backends keep none anyway."""
    if keras.backend.backend() != "torch":
        yield
        return
    import torch  # pyright: ignore[reportMissingImports]  # optional

    with torch.no_grad():
        yield


@contextmanager
def kept_state(model: Any) -> Iterator[None]:
    """Within, layers may draw, assign variables and update metrics; afterwards all that
    is no trained weight is as before, so that a training does not notice.
    """
    state = [
        *getattr(model, "non_trainable_variables", []),
        *getattr(model, "metrics_variables", []),
    ]
    before = [_value(variable) for variable in state]
    try:
        yield
    finally:
        for variable, value in zip(state, before, strict=True):
            if not np.array_equal(_value(variable), value):
                variable.assign(value)


def _value(variable: Any) -> np.ndarray:
    return np.array(keras.ops.convert_to_numpy(variable))


def call_without_training(part: Any, x: Any) -> Any:
    """Calls a layer with `training=False`; a plain method may not know the word."""
    return part(x, training=False) if isinstance(part, keras.Layer) else part(x)


def to_numpy(value: Any) -> np.ndarray:
    """A float64 array of a tensor of any backend."""
    return np.asarray(keras.ops.convert_to_numpy(value), "float64")


def describe(thing: Any) -> str:
    """A thing's type, with its article."""
    if thing is None:
        return "missing"
    name = type(thing).__name__
    return f"{'an' if name[0] in 'AEIOUaeiou' else 'a'} {name}"


def _reason(error: Exception) -> str:
    """The line of an error that names the cause, without Keras's frame."""
    text = re.sub(r"\x1b\[\d*m", "", str(error)).split("Arguments received by")[0]
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    framed = lines and lines[0].startswith("Exception encountered")
    chosen = lines[1:2] if framed and len(lines) > 1 else lines[:1]
    return f"{chosen[0]:.200}".rstrip(".") if chosen else type(error).__name__
