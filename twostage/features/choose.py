"""Which feature extractor fits a data set."""

import functools
from pathlib import Path

from twostage.data import loading
from twostage.errors import InputError
from twostage.features import inception
from twostage.features.classifier import BATCH as CLASSIFIER_BATCH
from twostage.features.classifier import classifier
from twostage.features.random_network import random_network

_split = functools.lru_cache(2)(
    loading.load_for
)  # extractor and evaluation need the same


INCEPTIONS = ("inception2015", "keras")  # extractors that are read from a file


def check_extractor(name, weights):
    """Raises `InputError` unless a name comes with weights where it needs them, and
    only there.
    """
    if name in INCEPTIONS and not weights:
        raise InputError(
            f"received --extractor {name} without --weights, expected the file to read"
            " it from"
        )
    if weights and name not in INCEPTIONS:
        raise InputError(
            f"received --weights {weights} for"
            f" {f'--extractor {name}' if name else 'no --extractor'}, which reads none:"
            f" add --extractor {' or '.join(INCEPTIONS)}"
        )


def chosen_extractor(config, name=None, weights=None, resize="tf1"):
    """The `Extractor` of a name, for the data of a `Stage1Config`. None: a classifier
    of the data where they have labels and enough images for one, else the random
    network.
    """
    check_extractor(name, weights)
    if name == "inception2015":
        return inception.inception_2015(weights, resize)
    if name == "keras":
        return inception.keras_inception(weights)
    if name == "random":
        return random_network()
    train, test = _split(config, "train"), _split(config, "test")
    if name is None and (
        train[1] is None or test[1] is None or len(train[0]) < CLASSIFIER_BATCH
    ):
        return random_network()
    return classifier(Path(config.data).name, train, test)
