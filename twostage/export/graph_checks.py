"""The checks of images and draws within a TensorFlow graph, for callers without this
package.
"""

import math
from collections.abc import Iterable, Sequence
from typing import Any

# Each has a graph of its own, so that numbers reach the check as they are; TensorFlow
# refuses others.
DTYPES = ("uint8", "int32", "int64", "float16", "float32", "float64")
PIXELS = "uint8, or whole numbers from 0 to 255"
SCALE = "round 255 x of floats x in [0, 1], 127.5 (x + 1) of floats x in [-1, 1]"
BLACK = f"{SCALE}; send black images in a batch with others"


def checked_pixels(images: Any, shape: tuple[int, ...]) -> tuple[Any, Any]:
    """(uint8 images (n, *shape), whether they are right). Where they are not of this
    shape, no whole numbers from 0 to 255, or black throughout, the graph stops with an
    InvalidArgumentError; TensorFlow Lite, which drops assertions, continues.

    Args:
        images: A tensor of any of `DTYPES`, of any shape.
        shape: (height, width, channels).
    """
    import tensorflow as tf

    images = tf.cast(images, tf.float32)
    right = _fits(images, shape)
    images = _checked(images, right, _of_another_shape(images, shape))
    least, most = tf.reduce_min(images), tf.reduce_max(images)
    for fine, received, fix in (
        ((least >= 0) & (most <= 255), "images from {} to {}", SCALE),
        (tf.reduce_all(images == tf.round(images)), "fractions, from {} to {}", SCALE),
        (most > 1, "images from {} to {}, all of them black", BLACK),
    ):
        text = f"received {received}, expected {PIXELS}: {fix}"
        images = _checked(images, fine, tf.strings.format(text, (least, most)))
        right &= fine
    return tf.cast(_reshaped(images, shape), tf.uint8), right


def checked_count(n: Any) -> Any:
    """n, where it is at least 1; the graph stops otherwise."""
    import tensorflow as tf

    message = tf.strings.format("received n={}, expected at least 1: change n", n)
    return _checked(n, n > 0, message)


def right_draws(names: Iterable[str], draws: Sequence[Any]) -> Any:
    """Whether all draws have one number of rows, at least 1, and `uniform` is in
    [0, 1).

    Args:
        names: Of the draws, such as the inputs of a `LatentTransform`.
        draws: A tensor for each.
    """
    import tensorflow as tf

    count = tf.shape(draws[0])[0]
    right = count > 0
    for name, draw in zip(names, draws, strict=True):
        right &= tf.shape(draw)[0] == count
        if name == "uniform":
            right &= tf.reduce_all((draw >= 0) & (draw < 1))  # NaN is not
    return right


def checked_draws(names: Sequence[str], draws: Sequence[Any]) -> list[Any]:
    """The draws, where `right_draws` says so; the graph stops otherwise."""
    import tensorflow as tf

    uniform = ", with `uniform` in [0, 1)" if "uniform" in names else ""
    message = tf.strings.format(
        f"received {{}} rows of {', '.join(names)}, expected the same number of each,"
        f" at least 1{uniform}: draw them again",
        tf.stack([tf.shape(draw)[0] for draw in draws]),
    )
    right = right_draws(names, draws)
    return [_checked(draw, right, message) for draw in draws]


def _checked(value: Any, fine: Any, message: Any) -> Any:
    import tensorflow as tf

    with tf.control_dependencies([tf.debugging.Assert(fine, [message])]):
        return tf.identity(value)


def _fits(images: Any, shape: tuple[int, ...]) -> Any:
    """Whether there is an image, and all are of this shape."""
    import tensorflow as tf

    size = tf.shape(images)
    # zeros, so that there are enough numbers to compare
    sides = tf.concat([size, tf.zeros_like(shape)], 0)[1 : 1 + len(shape)]
    right_rank = tf.equal(tf.size(size), 1 + len(shape))
    return right_rank & tf.reduce_all(sides == shape) & (tf.size(images) > 0)


def _of_another_shape(images: Any, shape: tuple[int, ...]) -> Any:
    import tensorflow as tf

    expected = ", ".join(map(str, shape))
    return tf.strings.format(
        f"received images of shape {{}}, expected (n, {expected}) and n at least 1:"
        " resize or pad them as in training",
        tf.shape(images),
    )


def _reshaped(images: Any, shape: tuple[int, ...]) -> Any:
    """Images whose shape the graph knows. What does not fit is cut, so that nothing
    but the check stops it.
    """
    import tensorflow as tf

    if images.shape.rank is not None and images.shape[1:] == shape:
        return images
    count = tf.size(images) // math.prod(shape)
    fitting = tf.reshape(images, (-1,))[: count * math.prod(shape)]
    return tf.reshape(fitting, (-1, *shape))
