"""A model's decoder: how it is found and called, and its images checked."""

import functools
import inspect
import math
from collections.abc import Callable
from typing import Any

import keras
import numpy as np

from .examples import count_rows, rows
from .model_calls import batches, call, call_without_training, describe, kept_state

CHANNELS = (1, 3, 4)  # gray, RGB, RGBA


def find_images(
    model: Any, z: np.ndarray, decode: Callable | None = None, examples: Any = None
) -> np.ndarray:
    """Decoded images, float32 (n, height, width, channels), in the model's own range.

    Args:
        model: With `decode(z)`, or a `decoder`.
        z: Latents (n, ...), float32.
        decode: `decode(model, z)` or `decode(model, z, x)`, instead of the model's own.
        examples: The n examples x that belong to z, which hold the labels of a
            conditional model.

    Raises:
        ValueError: outputs that are no images.
    """
    if decode is None:
        decode = _own_decode
    parts = []
    with kept_state(model):
        for part in batches(len(z)):
            inputs = [model, z[part]]
            if takes_examples(decode):
                inputs.append(None if examples is None else rows(examples, part))
            explain = functools.partial(_failure, z[part].shape)
            parts.append(_as_images(call(decode, *inputs, explain=explain)))
    return np.concatenate(parts)


def check_decoder(model: Any, decode: Callable | None) -> None:
    """Raises ValueError unless there is a way from latents to images."""
    own = [getattr(model, name, None) for name in ("decode", "decoder")]
    if decode is None and not any(map(callable, own)):
        raise ValueError(
            f"{type(model).__name__} has no decoder to draw with. Set self.decoder to a"
            " model from z to images, or give the callback decode=lambda model, z:"
            " images"
        )
    inputs = getattr(getattr(model, "decoder", None), "inputs", None) or []
    if decode is None and not callable(own[0]) and len(inputs) > 1:
        raise ValueError(
            f"{type(model).__name__}.decoder takes {len(inputs)} inputs, expected z"
            " alone. Give the callback all inputs of the model as data=[images,"
            " labels], and decode=lambda model, z, x: model.decoder([z, x[1]])"
        )


def check_images(images: np.ndarray, shape: tuple[int, ...] | None = None) -> None:
    """Raises ValueError unless images can be drawn, and are of the `shape` (height,
    width, channels) of the data, where there are any.
    """
    if shape is not None and images.shape[1:] != tuple(shape):
        raise ValueError(
            f"the decoder gave images of shape {images.shape[1:]}, expected that of the"
            f" data, {tuple(shape)}: give both (height, width, channels)"
        )
    if images.shape[-1] not in CHANNELS and images.shape[1] in CHANNELS[:2]:
        raise ValueError(
            f"the decoder gave images of shape {images.shape[1:]}, expected (height,"
            " width, channels). Give the callback data in that order, and posterior="
            " and decode= that transpose: keras.ops.transpose(x, (0, 3, 1, 2)) and"
            " (0, 2, 3, 1)"
        )
    if images.shape[-1] not in CHANNELS:
        raise ValueError(
            f"the decoder gave {images.shape[-1]} channels, expected 1, 3 or 4 (gray,"
            " RGB, RGBA): choose some by decode=lambda model, z: model.decoder(z)[...,"
            " :1], and give such data"
        )


def takes_examples(decode: Callable) -> bool:
    """Whether a function is `decode(model, z, x)`."""
    try:
        signature = inspect.signature(decode)
        signature.bind(None, None, None)
    except (TypeError, ValueError):
        return False
    return True


def images_of(examples: Any) -> np.ndarray:
    """The images (N, height, width, channels) among the arrays of several inputs.

    Raises:
        ValueError: there is not exactly one such array.
    """
    arrays = keras.tree.flatten(examples)
    if len(arrays) == 1 and arrays[0].ndim < 4:
        raise ValueError(_no_images(arrays[0].shape))
    found = [array for array in arrays if array.ndim == 4]
    if len(found) != 1:
        shapes = ", ".join(str(array.shape) for array in arrays)
        raise ValueError(
            f"received arrays of shapes {shapes}, expected one of them to hold images"
            " (N, height, width, channels)"
        )
    return found[0]


def _no_images(shape: tuple[int, ...]) -> str:
    side = math.isqrt(math.prod(shape[1:]))
    square = len(shape) == 2 and side**2 == shape[1]
    wanted = f"{side}, {side}, 1" if square else "height, width, channels"
    if len(shape) == 3:
        return (
            f"received data of shape {shape}, expected images (N, height, width,"
            " channels): data[..., None], and such from posterior= and decode="
        )
    return (
        f"received data of shape {shape}, expected images (N, height, width, channels)."
        f" For a model of flat images give data.reshape(-1, {wanted}),"
        " posterior=lambda model, x: model.encoder(x.reshape(len(x), -1)), and"
        " decode=lambda model, z: keras.ops.reshape(model.decoder(z),"
        f" (-1, {wanted}))"
    )


def repeated(examples: Any, count: int) -> Any:
    """`count` rows: all of them, as often as it takes."""
    return rows(examples, np.arange(count) % count_rows(examples))


def _own_decode(model: Any, z: np.ndarray) -> Any:
    if callable(getattr(model, "decode", None)):
        return model.decode(z)
    return call_without_training(model.decoder, z)


def _failure(shape: tuple[int, ...], reason: str) -> str:
    return (
        f"the decoder failed on latents of shape {shape}: {reason}. Give the callback"
        " decode=lambda model, z: images; if the decoder needs labels, too,"
        " data=[images, labels] and decode=lambda model, z, x: images, where x[1] are"
        " the labels"
    )


def _as_images(output: Any) -> np.ndarray:
    if not hasattr(output, "shape"):
        raise ValueError(
            f"the decoder gave {describe(output)}, expected images (n, height, width,"
            " channels): give the callback decode=lambda model, z: the images alone"
        )
    images = np.asarray(keras.ops.convert_to_numpy(output), "float32")
    if images.ndim != 4:
        raise ValueError(
            f"the decoder gave shape {images.shape}, expected images (n, height, width,"
            " channels): give the callback decode=lambda model, z:"
            " keras.ops.reshape(model.decoder(z), (-1, height, width, channels))"
        )
    return images
