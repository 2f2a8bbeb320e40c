"""The two Inception networks: the graph of 2015, whose Frechet distance is the FID, and
Keras's, whose is not.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from twostage.errors import InputError
from twostage.features.extractor import Extractor, digest_of, enlarged, in_color

SIDE = 299
RESIZES = ("tf1", "antialiased")
GRAPH_2015 = (
    "classify_image_graph_def.pb of"
    " http://download.tensorflow.org/models/image/imagenet/inception-2015-12-05.tgz"
)
KERAS_WEIGHTS = (
    "inception_v3_weights_tf_dim_ordering_tf_kernels_notop.h5 of"
    " https://github.com/fchollet/deep-learning-models/releases/tag/v0.5"
)


def inception_2015(path: str | Path, *, resize: str = "tf1") -> Extractor:
    """The `Extractor` of `classify_image_graph_def.pb` (Szegedy et al. 2015): 2,048
    features, the output `pool_3`. Needs TensorFlow.

    Args:
        path: The graph, from
            http://download.tensorflow.org/models/image/imagenet/inception-2015-12-05.tgz.
        resize: `"tf1"`: by the graph itself, bilinear without antialiasing, as in the
            papers. `"antialiased"`: bicubic by Pillow before it (Parmar et al. 2022).

    Raises:
        InputError: no such file, or another graph.
    """
    if resize not in RESIZES:
        raise InputError(f"resize {resize!r}", f"one of {', '.join(RESIZES)}")
    content = _content(path, GRAPH_2015)
    pool = _pool_of_graph(content, path)
    import tensorflow as tf

    def features(images: np.ndarray) -> np.ndarray:
        images = in_color(images)
        if resize == "antialiased":
            images = enlarged(images, SIDE)
        pooled = pool(tf.constant(images.astype("float32")))
        return pooled.numpy().reshape(len(images), -1)

    suffix = "" if resize == "tf1" else ", antialiased"
    return Extractor(
        "Inception 2015",
        features,
        _digest(content),
        f"FID{suffix}",
        {"resize": resize},
    )


def _pool_of_graph(content: bytes, path: str | Path) -> Callable[[Any], Any]:
    """Images (n, height, width, 3), float, 0 to 255, of any size -> `pool_3`."""
    try:
        import tensorflow as tf
        from google.protobuf.message import DecodeError
    except ImportError as error:
        raise InputError(
            "no TensorFlow", "it for the Inception of 2015", "pip install tensorflow"
        ) from error
    graph = tf.compat.v1.GraphDef()
    try:
        graph.ParseFromString(content)
        wrapped = tf.compat.v1.wrap_function(
            lambda: tf.import_graph_def(graph, name=""), []
        )
        return wrapped.prune("ExpandDims:0", "pool_3:0")
    except (DecodeError, ValueError, KeyError) as error:
        raise InputError(
            str(path),
            "the Inception graph of 2015, with ExpandDims and pool_3",
            "fetch it again",
        ) from error


def keras_inception(path: str | Path | None = None) -> Extractor:
    """The `Extractor` of `keras.applications.InceptionV3`, 2,048 features, average
    pooling. Its distances are no FID: the weights are others.

    Args:
        path: `inception_v3_weights_tf_dim_ordering_tf_kernels_notop.h5`, from
            https://github.com/fchollet/deep-learning-models/releases/tag/v0.5. None:
            Keras fetches it once.

    Raises:
        InputError: no such file, other weights, or it cannot be fetched.
    """
    import keras

    if path is not None:
        _content(path, KERAS_WEIGHTS)
    try:
        network = keras.applications.InceptionV3(
            include_top=False,
            weights="imagenet" if path is None else str(path),
            input_shape=(SIDE, SIDE, 3),
            pooling="avg",
        )
    except Exception as error:  # Keras raises a plain one without a network
        if path is None:
            received = f"no weights from the network ({str(error)[:80]})"
            raise InputError(
                received, f"{KERAS_WEIGHTS}", "bring it and pass it as `weights`"
            ) from error
        raise InputError(
            str(path),
            "weights of keras.applications.InceptionV3 without its top",
            "fetch it again",
        ) from error

    def features(images: np.ndarray) -> np.ndarray:
        scaled = enlarged(in_color(images), SIDE) / 127.5 - 1
        return np.asarray(network.predict_on_batch(scaled))

    return Extractor(
        "Keras InceptionV3",
        features,
        digest_of(network.get_weights()),
        notes={"resize": "antialiased"},
    )


def _content(path: str | Path, source: str) -> bytes:
    path = Path(path).expanduser()
    if not path.is_file():
        raise InputError(
            f"received {path}, which does not exist", fix=f"fetch {source}"
        )
    return path.read_bytes()


def _digest(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()[:16]
