"""A small convolutional classifier, trained here on a labelled set: features for its
images without anything from outside.
"""

import json
from pathlib import Path

import keras
import numpy as np
from keras import layers

from twostage.data import cache
from twostage.data.batches import Batches
from twostage.errors import InputError
from twostage.features.extractor import Extractor, digest_of
from twostage.models import serialization
from twostage.models.compilation import jit_compile
from twostage.system import files
from twostage.system.locks import held

BATCH = 128
FORM = 1  # of the network and its training; another number trains anew


def classifier(
    name, train, test, epochs=None, width=None, batch_size=BATCH, seed=0, folder=None
):
    """The `Extractor` of 8 x `width` features before the classes, with its accuracy on
    the test set. It is trained once and kept.

    Args:
        name: Of the data set.
        train: (images, labels): uint8 (N, height, width, channels), integers (N,).
        test: The same of the test split.
        epochs, width: None: 5 and 16 for grey images, 12 and 24 for coloured ones.
        folder: Where it is kept; None: the cache of prepared pictures.

    Raises:
        InputError: a set without labels, or with fewer training images than one batch.
    """
    if train[1] is None or test[1] is None:
        raise InputError(
            f"received {name} without labels, a classifier needs them: take --extractor"
            " random, or an Inception from a file"
        )
    if len(train[0]) < batch_size:
        raise InputError(
            f"received {len(train[0])} training images of {name}, a classifier needs"
            f" {batch_size}: take --extractor random, or an Inception from a file"
        )
    grey = train[0].shape[-1] == 1
    epochs, width = epochs or (5 if grey else 12), width or (16 if grey else 24)
    classes = int(max(train[1].max(), test[1].max())) + 1
    recipe = {
        "form": FORM,
        "epochs": epochs,
        "width": width,
        "batch_size": batch_size,
        "seed": seed,
        "images": list(train[0].shape),
    }
    key = digest_of(
        [
            np.ascontiguousarray(train[0]),
            train[1],
            np.frombuffer(json.dumps(recipe).encode(), "uint8"),
        ]
    )
    path = Path(folder or cache.home()) / f"classifier-{name}-{key}.keras"
    told = path.with_suffix(".json")
    path.parent.mkdir(parents=True, exist_ok=True)
    with held(
        path.parent, f"{path.stem}.lock"
    ):  # two that trained at once would measure by different features
        if not (path.exists() and told.exists()):
            model = _trained(train, classes, epochs, width, batch_size, seed, path)
            accuracy = _accuracy(model, *test)
            with held(
                path.parent, "classifiers.lock"
            ):  # another set's may be written now
                serialization.save_model(path, model)
                files.write_json(told, {"accuracy": accuracy, **recipe})
    model, notes = (
        serialization.load_model(path, "remove it, it is trained anew"),
        files.read_json(told),
    )
    inner = keras.Model(model.input, model.get_layer("features").output)
    digest = digest_of(inner.get_weights())
    return Extractor(
        f"classifier of {name}",
        lambda images: inner.predict_on_batch(images),
        digest,
        notes=notes,
    )


def network(shape, classes, width=32):
    """uint8 images -> classes' logits; the layer `features` is 8 x `width` wide.
    Residual blocks where it is cheap to be deep.
    """
    x = inputs = keras.Input(shape, dtype="uint8")
    x = layers.Rescaling(1 / 127.5, offset=-1)(x)
    x = _block(x, width)
    x = layers.MaxPooling2D(padding="same")(_block(x, 2 * width))
    x = layers.add([x, _block(_block(x, 2 * width), 2 * width)])
    x = layers.MaxPooling2D(padding="same")(_block(x, 4 * width))
    x = layers.MaxPooling2D(padding="same")(_block(x, 8 * width))
    x = layers.add([x, _block(_block(x, 8 * width), 8 * width)])
    x = layers.GlobalAveragePooling2D(name="features")(x)
    return keras.Model(
        inputs, layers.Dense(classes, dtype="float32")(layers.Dropout(0.2)(x))
    )


def _block(x, channels):
    x = layers.Conv2D(channels, 3, padding="same", use_bias=False)(x)
    return layers.ReLU()(layers.BatchNormalization(momentum=0.9)(x))


class _Labelled(Batches):
    """Batches of images, shifted by up to an eighth of the side and, where they are
    coloured, mirrored at random; with their labels.
    """

    def __init__(self, images, labels, batch_size, seed):
        super().__init__(np.arange(len(images)), batch_size, seed)
        self.images, self.labels = images, labels

    def __getitem__(self, index):
        rows = super().__getitem__(index)[0]
        generator, images = (
            np.random.default_rng((self.seed, self.epoch, index, 1)),
            self.images[rows],
        )
        _, height, width, channels = images.shape
        reach = height // 8 if channels == 3 else height // 14
        padded = np.pad(images, ((0, 0), (reach, reach), (reach, reach), (0, 0)))
        shifts = generator.integers(0, 2 * reach + 1, (len(rows), 2))
        moved = np.stack(
            [
                image[top : top + height, left : left + width]
                for image, (top, left) in zip(padded, shifts, strict=True)
            ]
        )
        if channels == 3:
            mirrored = generator.random(len(rows)) < 0.5
            moved[mirrored] = moved[mirrored, :, ::-1]
        return moved, self.labels[rows]


def _trained(train, classes, epochs, width, batch_size, seed, path):
    keras.utils.set_random_seed(seed)
    model, batches = (
        network(train[0].shape[1:], classes, width),
        _Labelled(*train, batch_size, seed),
    )
    rate = keras.optimizers.schedules.CosineDecay(
        1e-4,
        epochs * len(batches),
        0.0,
        warmup_target=3e-3,
        warmup_steps=2 * len(batches),
    )
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    model.compile(
        keras.optimizers.AdamW(rate, weight_decay=0.02),
        loss,
        metrics=["accuracy"],
        jit_compile=jit_compile(),
    )
    tell = keras.callbacks.LambdaCallback(
        on_epoch_end=lambda epoch, logs: print(
            f"classifier, epoch {epoch + 1}/{epochs}: accuracy {logs['accuracy']:.4f}",
            flush=True,
        )
    )
    backup = keras.callbacks.BackupAndRestore(
        path.with_suffix("")
    )  # a training that dies goes on
    model.fit(
        batches.feed(),
        epochs=epochs,
        shuffle=False,
        verbose=0,
        callbacks=[batches.follow_epochs(), backup, tell],
    )
    return model


def _accuracy(model, images, labels, batch_size=500):
    hits = [
        model.predict_on_batch(images[i : i + batch_size]).argmax(-1)
        == labels[i : i + batch_size]
        for i in range(0, len(images), batch_size)
    ]
    return float(np.concatenate(hits).mean())
