"""Which feature extractor fits a data set."""

from __future__ import annotations

import dataclasses
import logging
from pathlib import Path

import numpy as np

from twostage.config import Stage1Config
from twostage.data import loading
from twostage.data.splits import undivided
from twostage.errors import InputError
from twostage.features import EXTRACTORS, inception
from twostage.features.classifier import BATCH as CLASSIFIER_BATCH
from twostage.features.classifier import classifier
from twostage.features.efficientnet import efficientnet_lite0, is_installed
from twostage.features.extractor import Extractor
from twostage.features.fidelity import fid_inception
from twostage.features.random_network import random_network

logger = logging.getLogger(__name__)

UNTRAINED = ("test", "validation")  # splits that images are compared with
FROM_FILES = ("inception", "inception2015", "keras")  # that take `weights`


@dataclasses.dataclass(frozen=True)
class LabeledImages:
    """Images of one split, with their classes.

    Args:
        images: uint8 (N, height, width, channels).
        labels: Integers (N,), or None.
    """

    images: np.ndarray
    labels: np.ndarray | None = None


@dataclasses.dataclass(frozen=True)
class LabeledData:
    """Images of a data set, and what a classifier is trained on.

    Args:
        name: Of the data set.
        train: Its training split.
        test: Its test split.
        held_out: The images of the training split that a run holds out; None: there
            are none, or they take the place of the test split.
    """

    name: str
    train: LabeledImages
    test: LabeledImages
    held_out: LabeledImages | None = None

    @property
    def can_be_classified(self) -> bool:
        """Whether there are labels, and enough images for a classifier."""
        labeled = self.train.labels is not None and self.test.labels is not None
        parts = [part for part in (self.train, self.held_out) if part is not None]
        count = sum(len(part.images) for part in parts)
        return labeled and count >= CLASSIFIER_BATCH

    def whole_training_split(self) -> tuple[np.ndarray, np.ndarray | None]:
        """The images, with those that the run holds out, and their labels: the same for
        every run, so that runs that hold out others, or none, share a classifier.
        """
        train, held_out = self.train, self.held_out
        if held_out is None or train.labels is None or held_out.labels is None:
            return train.images, train.labels
        images = undivided(train.images, held_out.images)
        return images, undivided(train.labels, held_out.labels)


def load_labeled(config: Stage1Config) -> LabeledData:
    """The images of a config with their labels. Without a test split the held-out
    images replace it, with a warning.

    Raises:
        InputError: they cannot be read, or all of them were trained on.
    """
    dataset = loading.dataset_for(config)
    test = next((name for name in UNTRAINED if name in dataset.splits()), None)
    if test is None:
        raise InputError(
            f"{config.data}, which has no test split",
            "images to compare with that were not trained on",
            "put some in a folder test beside the one for training",
        )
    if test != "test":
        logger.warning(
            "%s has no test split: the held-out images replace it. With `patience` or"
            " `sampling='auto'` the training has used them, so distances are a little"
            " too small",
            config.data,
        )
    parts = {name: LabeledImages(*dataset.read(name)) for name in ("train", test)}
    held_out = None
    if test == "test" and _is_divided(config):
        held_out = LabeledImages(*dataset.read("validation"))
    return LabeledData(Path(config.data).name, parts["train"], parts[test], held_out)


def _is_divided(config: Stage1Config) -> bool:
    """Whether a run holds out part of the training split."""
    if not config.held_out:
        return False
    undivided = dataclasses.replace(config, held_out=0.0, patience=0)
    return "validation" not in loading.dataset_for(undivided).splits()


def check_extractor(name: str | None, weights: str | Path | None) -> None:
    """Raises `InputError` unless a name is known, and comes with weights where it needs
    them, and only there.
    """
    if name is not None and name not in EXTRACTORS:
        raise InputError(f"`extractor={name!r}`", f"one of {', '.join(EXTRACTORS)}")
    if name == "inception2015" and not weights:
        raise InputError(
            f"`extractor={name!r}` without `weights`", "the file to read it from"
        )
    if weights and name not in FROM_FILES:
        extractor = f"`extractor={name!r}`" if name else "no `extractor`"
        raise InputError(
            f"`weights={str(weights)!r}` for {extractor}, which reads none",
            " or ".join(f"`extractor={inception!r}`" for inception in FROM_FILES),
        )


def chosen_extractor(
    data: LabeledData | None,
    name: str | None = None,
    weights: str | Path | None = None,
    *,
    resize: str = "tf1",
) -> Extractor:
    """The `Extractor` of a name.

    Args:
        data: What a classifier is trained on; the other extractors need none.
        name: One of `twostage.features.EXTRACTORS`; None: a classifier of the data
            where they have labels and enough images for one; else EfficientNet-Lite0
            where they have colors and it is installed; else the random network.
        weights: File of an Inception; None: fetched, but for `"inception2015"`.
        resize: `"tf1"` or `"antialiased"`, of the Inception of 2015.

    Raises:
        InputError: weights without an Inception, an Inception without weights, none of
            which can be fetched, or a classifier of data without labels.
    """
    check_extractor(name, weights)
    if name == "inception2015" and weights:
        return inception.inception_2015(weights, resize=resize)
    if name == "inception":
        return fid_inception(weights)
    if name == "keras":
        return inception.keras_inception(weights)
    if name == "imagenet":
        return efficientnet_lite0()
    if name == "random":
        return random_network()
    if data is None:
        raise InputError("no data", "labeled images for a classifier")
    if name is None and not data.can_be_classified:
        return unlabeled_extractor(data.train.images)
    return classifier(
        data.name,
        data.whole_training_split(),
        test=(data.test.images, data.test.labels),
    )


def unlabeled_extractor(images: np.ndarray) -> Extractor:
    """EfficientNet-Lite0 for images (N, height, width, 3) where it is installed, as
    ImageNet's photographs are in color; else the random network.
    """
    in_color = images.shape[-1] == 3
    return efficientnet_lite0() if in_color and is_installed() else random_network()
