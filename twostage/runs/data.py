"""The images that a run was trained on."""

from twostage.data import loading
from twostage.system.provenance import fingerprint


def training_images(first):
    """The training images of a stage 1, no others than it was trained on."""
    images = loading.load_for(first.saved_config())[0]
    first.check_data(fingerprint(images))
    return images
