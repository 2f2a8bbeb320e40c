"""The images that a run was trained on."""

import numpy as np

from twostage.config import Stage1Config
from twostage.data import loading
from twostage.runs.run import Stage
from twostage.system.provenance import fingerprint


def training_images(first: Stage) -> np.ndarray:
    """The training images of a stage 1, no others than it was trained on."""
    images = loading.load_for(first.saved_config())[0]
    first.check_data(fingerprint(images))
    return images


def validation_images(config: Stage1Config) -> np.ndarray | None:
    """The images of the validation split; None where the data have none."""
    if "validation" not in loading.splits_for(config):
        return None
    return loading.load_for(config, "validation")[0]
