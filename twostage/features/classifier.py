"""A small convolutional classifier, trained here on a labeled data set: features for
its images without downloaded weights.
"""

from __future__ import annotations

import dataclasses
import json
import logging
from pathlib import Path
from typing import Any, Self

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

logger = logging.getLogger(__name__)

BATCH = 128
FORMAT_VERSION = 1  # of the network and its training; another number trains a new one
MAX_LEARNING_RATE = 3e-3
USE_ANOTHER = "use `extractor='random'`, or an Inception from a file"


@dataclasses.dataclass(frozen=True)
class _Recipe:
    """How a classifier is trained; its epochs and width depend on the images."""

    epochs: int
    width: int
    batch_size: int
    seed: int

    def manifest(self, images: np.ndarray) -> dict[str, Any]:
        """In JSON's types; it makes the name of the file, so its order is fixed."""
        return {
            "form": FORMAT_VERSION,
            "epochs": self.epochs,
            "width": self.width,
            "batch_size": self.batch_size,
            "seed": self.seed,
            "images": list(images.shape),
        }


def classifier(
    name: str,
    train: tuple[np.ndarray, np.ndarray | None],
    *,
    test: tuple[np.ndarray, np.ndarray | None],
    epochs: int | None = None,
    width: int | None = None,
    batch_size: int = BATCH,
    seed: int = 0,
    folder: str | Path | None = None,
) -> Extractor:
    """The `Extractor` of 8 x `width` features before the classes, with its accuracy on
    the test set. It is trained once and kept.

    Args:
        name: Of the data set.
        train: (images, labels): uint8 (N, height, width, channels), integers (N,).
        test: The same of the test split.
        epochs: None: 5 for gray images, 12 for colored ones.
        width: None: 16 for gray images, 24 for colored ones.
        batch_size: Images per step.
        seed: Of weights, batches and shifts.
        folder: Where it is kept; None: the cache of preprocessed images.

    Raises:
        InputError: a set without labels, or with fewer training images than one batch.
    """
    train_labels, test_labels = train[1], test[1]
    if train_labels is None or test_labels is None:
        raise InputError(
            f"{name} without labels", "labels for a classifier", USE_ANOTHER
        )
    if len(train[0]) < batch_size:
        raise InputError(
            f"{len(train[0])} training images of {name}",
            f"at least {batch_size} for a classifier",
            USE_ANOTHER,
        )
    gray = train[0].shape[-1] == 1
    recipe = _Recipe(
        epochs or (5 if gray else 12), width or (16 if gray else 24), batch_size, seed
    )
    path = _path(name, train[0], train_labels, recipe, folder)
    _train_once(path, (train[0], train_labels), (test[0], test_labels), recipe)
    model: Any = serialization.load_model(path, "remove it, and it is trained again")
    inner = keras.Model(model.input, model.get_layer("features").output)
    return Extractor(
        f"classifier of {name}",
        inner.predict_on_batch,
        digest_of(inner.get_weights()),
        notes=files.read_json(path.with_suffix(".json")),
    )


def _path(
    name: str,
    images: np.ndarray,
    labels: np.ndarray,
    recipe: _Recipe,
    folder: str | Path | None,
) -> Path:
    """The file of the classifier of these images by this recipe."""
    text = json.dumps(recipe.manifest(images)).encode()
    key = digest_of(
        [np.ascontiguousarray(images), labels, np.frombuffer(text, "uint8")]
    )
    return Path(folder or cache.home()) / f"classifier-{name}-{key}.keras"


def _train_once(
    path: Path,
    train: tuple[np.ndarray, np.ndarray],
    test: tuple[np.ndarray, np.ndarray],
    recipe: _Recipe,
) -> None:
    """Writes the classifier and its accuracy, unless they are there."""
    notes = path.with_suffix(".json")
    path.parent.mkdir(parents=True, exist_ok=True)
    # two that trained at once would have different features
    with held(path.parent, f"{path.stem}.lock"):
        if path.exists() and notes.exists():
            return
        model = _train(train, max(train[1].max(), test[1].max()) + 1, recipe, path)
        accuracy = _accuracy(model, *test)
        # another set's may be written now
        with held(path.parent, "classifiers.lock"):
            serialization.save_model(path, model)
            content = {"accuracy": accuracy, **recipe.manifest(train[0])}
            files.write_json(notes, content)


def network(shape: tuple[int, ...], classes: int, width: int = 32) -> keras.Model:
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


def _block(x: Any, channels: int) -> Any:
    x = layers.Conv2D(channels, 3, padding="same", use_bias=False)(x)
    return layers.ReLU()(layers.BatchNormalization(momentum=0.9)(x))


class _LabeledBatches(Batches):
    """Batches of images, shifted by up to an eighth of the side and, where they are
    colored, mirrored at random; with their labels.
    """

    def __init__(
        self, images: np.ndarray, labels: np.ndarray, batch_size: int, seed: int
    ):
        super().__init__(np.arange(len(images)), batch_size, seed)
        self.images, self.labels = images, labels

    def __getitem__(self, index: int) -> tuple[np.ndarray, ...]:
        rows = super().__getitem__(index)[0]
        generator = np.random.default_rng((self.seed, self.epoch, index, 1))
        images = _shifted(self.images[rows], generator)
        if images.shape[-1] == 3:
            mirrored = generator.random(len(rows)) < 0.5
            images[mirrored] = images[mirrored, :, ::-1]
        return images, self.labels[rows]


def _shifted(images: np.ndarray, generator: np.random.Generator) -> np.ndarray:
    """Each image (n, height, width, channels) moved at random, zeros around it."""
    _, height, width, channels = images.shape
    reach = height // 8 if channels == 3 else height // 14
    padded = np.pad(images, ((0, 0), (reach, reach), (reach, reach), (0, 0)))
    shifts = generator.integers(0, 2 * reach + 1, (len(images), 2))
    moved = [
        image[top : top + height, left : left + width]
        for image, (top, left) in zip(padded, shifts, strict=True)
    ]
    return np.stack(moved)


def _train(
    train: tuple[np.ndarray, np.ndarray], classes: int, recipe: _Recipe, path: Path
) -> keras.Model:
    """The trained classifier; `path`: its file, beside which a backup is kept."""
    keras.utils.set_random_seed(recipe.seed)
    model: Any = network(train[0].shape[1:], int(classes), recipe.width)
    batches = _LabeledBatches(*train, recipe.batch_size, recipe.seed)
    rate: Any = keras.optimizers.schedules.CosineDecay(
        1e-4,
        recipe.epochs * len(batches),
        0.0,
        warmup_target=MAX_LEARNING_RATE,
        warmup_steps=2 * len(batches),
    )
    model.compile(
        keras.optimizers.AdamW(rate, weight_decay=0.02),
        keras.losses.SparseCategoricalCrossentropy(from_logits=True),
        metrics=["accuracy"],
        jit_compile=jit_compile(),
    )
    # an interrupted training resumes
    backup = keras.callbacks.BackupAndRestore(path.with_suffix(""))
    with _EpochLogger() as shown:
        model.fit(
            batches.feed(),
            epochs=recipe.epochs,
            shuffle=False,
            verbose=0,
            callbacks=[batches.follow_epochs(), backup, shown],
        )
    return model


class _EpochLogger(keras.callbacks.Callback):
    """Logs the accuracy of each epoch; on a terminal with a bar of the running one.
    Leaving its context removes the bar.
    """

    async_safe = True

    def __enter__(self) -> Self:
        from tqdm.auto import tqdm

        logger.info("training a classifier, once: its features measure the distances")
        self._bar = tqdm(desc="classifier", unit="step", leave=False, disable=None)
        return self

    def __exit__(self, *_: object) -> None:
        self._bar.close()

    def on_epoch_begin(self, epoch: int, logs: dict[str, float] | None = None) -> None:
        self._bar.reset((self.params or {})["steps"])

    def on_train_batch_end(
        self, batch: int, logs: dict[str, float] | None = None
    ) -> None:
        self._bar.update()

    def on_epoch_end(self, epoch: int, logs: dict[str, float] | None = None) -> None:
        epochs = (self.params or {})["epochs"]
        accuracy = (logs or {})["accuracy"]
        logger.info(
            "classifier, epoch %d/%d: accuracy %.4f", epoch + 1, epochs, accuracy
        )


def _accuracy(
    model: keras.Model, images: np.ndarray, labels: np.ndarray, batch_size: int = 500
) -> float:
    hits = []
    for i in range(0, len(images), batch_size):
        logits = model.predict_on_batch(images[i : i + batch_size])
        hits.append(logits.argmax(-1) == labels[i : i + batch_size])
    return float(np.concatenate(hits).mean())
