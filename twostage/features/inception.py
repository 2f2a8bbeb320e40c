"""The two Inception networks: the graph of 2015, whose Frechet distance is the FID, and
Keras's, whose is not.
"""

import hashlib
from pathlib import Path

import numpy as np

from twostage.errors import InputError
from twostage.features.extractor import Extractor, coloured

SIDE = 299
RESIZES = ("tf1", "antialiased")


def inception_2015(path, resize="tf1"):
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
        raise InputError(
            f"received resize {resize!r}, expected one of {', '.join(RESIZES)}"
        )
    content = _content(
        path,
        "classify_image_graph_def.pb of"
        " http://download.tensorflow.org/models/image/imagenet/inception-2015-12-05.tgz",
    )
    try:
        import tensorflow as tf
        from google.protobuf.message import DecodeError
    except ImportError as error:
        raise InputError(
            "the Inception graph of 2015 needs TensorFlow, which is not installed: pip"
            " install tensorflow"
        ) from error
    graph = tf.compat.v1.GraphDef()
    try:
        graph.ParseFromString(content)
        wrapped = tf.compat.v1.wrap_function(
            lambda: tf.import_graph_def(graph, name=""), []
        )
        pool = wrapped.prune(
            "ExpandDims:0", "pool_3:0"
        )  # what is fed there is float, 0 to 255, of any size
    except (DecodeError, ValueError, KeyError) as error:
        raise InputError(
            f"received {path}, which is not the Inception graph of 2015 (no ExpandDims"
            " and pool_3): fetch it again"
        ) from error

    def features(images):
        images = coloured(images)
        images = (
            images.astype("float32")
            if resize == "tf1"
            else np.stack([_enlarged(image) for image in images])
        )
        return pool(tf.constant(images)).numpy().reshape(len(images), -1)

    suffix = "" if resize == "tf1" else ", antialiased"
    return Extractor(
        "Inception 2015",
        features,
        hashlib.sha256(content).hexdigest()[:16],
        f"FID{suffix}",
        {"resize": resize},
    )


def keras_inception(path):
    """The `Extractor` of `keras.applications.InceptionV3`, 2,048 features, average
    pooling. Its distances are no FID: the weights are others.

    `path`: `inception_v3_weights_tf_dim_ordering_tf_kernels_notop.h5`, from
    https://github.com/fchollet/deep-learning-models/releases/tag/v0.5.
    """
    import keras

    content = _content(
        path,
        "inception_v3_weights_tf_dim_ordering_tf_kernels_notop.h5 of"
        " https://github.com/fchollet/deep-learning-models/releases/tag/v0.5",
    )
    try:
        network = keras.applications.InceptionV3(
            include_top=False,
            weights=str(path),
            input_shape=(SIDE, SIDE, 3),
            pooling="avg",
        )
    except (ValueError, OSError) as error:
        raise InputError(
            f"received {path}, which holds no weights of keras.applications.InceptionV3"
            " without its top: fetch it again"
        ) from error

    def features(images):
        return np.asarray(
            network.predict_on_batch(
                np.stack([_enlarged(image) for image in coloured(images)]) / 127.5 - 1
            )
        )

    return Extractor(
        "Keras InceptionV3",
        features,
        hashlib.sha256(content).hexdigest()[:16],
        notes={"resize": "antialiased"},
    )


def _content(path, what):
    path = Path(path).expanduser()
    if not path.is_file():
        raise InputError(f"received {path}, which does not exist: fetch {what}")
    return path.read_bytes()


def _enlarged(image):
    """uint8 (height, width, 3) -> float32 (299, 299, 3), 0 to 255: each channel in 32
    bits, so that nothing is rounded on the way.
    """
    from PIL import Image

    planes = [
        Image.fromarray(plane).resize((SIDE, SIDE), Image.Resampling.BICUBIC)
        for plane in image.astype("float32").transpose(2, 0, 1)
    ]
    return np.stack(planes, axis=-1).clip(0, 255)
