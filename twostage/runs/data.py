"""The images that a run was trained on."""

import contextlib
from collections.abc import Iterator, Mapping

import numpy as np

from twostage.config import Stage1Config
from twostage.data import loading
from twostage.data.datasets import Images
from twostage.data.splits import MAX_HELD_OUT, limited
from twostage.errors import InputError
from twostage.runs.run import StageRun
from twostage.system.provenance import fingerprint


def training_images(first: StageRun) -> np.ndarray:
    """The training images of a stage 1, no others than it was trained on: uint8
    (N, height, width, channels).

    Raises:
        InputError: they are not there any more, were changed, or came from an array.
    """
    config = config_with_data(first)
    with _as_then(first):
        images = loading.load_for(config)[0]
    first.check_data(fingerprint(images))
    return images


@contextlib.contextmanager
def _as_then(first: StageRun) -> Iterator[None]:
    """Within, an error of the data says that they are not what a stage 1 was trained
    on; its settings cannot be changed any more.
    """
    try:
        yield
    except InputError as error:
        raise InputError(
            f"the data of {first.run} are not as they were when it was trained:"
            f" {error.problem}. Bring those back, or start another run"
        ) from error


def config_with_data(first: StageRun) -> Stage1Config:
    """The config of a stage 1 whose data are there to be read.

    Raises:
        InputError: they are not, or it was trained on an array.
    """
    config = first.saved_config()
    if not config.data:
        raise InputError(
            f"{first.run} was trained on an array, not on a named data set: load it by"
            " `twostage.load`, and give its methods the images"
        )
    if not loading.is_there(config):
        raise InputError(
            f"{first.run} was trained on {config.data}, which is not there any more:"
            f" bring it back, or give its new place once by"
            f" `train_stage1(run={str(first.run)!r}, resume=True, data='PLACE')`"
        )
    return config


def held_out_images(first: StageRun) -> np.ndarray | None:
    """The held-out images of a stage 1, no others than it had; None where it has none.

    Raises:
        InputError: as for `training_images`.
    """
    config = first.saved_config()
    if not config.held_out:
        return None
    with _as_then(first):
        images = held_out_of({"validation": loading.load_for(config, "validation")})
    first.check_held_out(fingerprint(images))
    return images


def held_out_of(splits: Mapping[str, Images]) -> np.ndarray:
    """The images that held-out metrics are measured on: of the validation split at most
    2,000.
    """
    images, _ = splits["validation"]
    return images[limited(len(images), min(len(images), MAX_HELD_OUT))]


def validation_images(config: Stage1Config) -> np.ndarray | None:
    """The images of the validation split; None where the data have none."""
    if "validation" not in loading.splits_for(config):
        return None
    return loading.load_for(config, "validation")[0]
