"""A first stage as a training begins it, for benchmarks that train by themselves."""

import callbacks
from twostage.models import build
from twostage.models.mean_start import initialize_at_mean
from twostage.training.default_callbacks import MAX_WATCHED


def new_stage1(config, images):
    """The VAE of a config; at the mean color of the images where the config says so."""
    vae = build.build_stage1(config, images.shape[1:])
    if config.initialization == "mean":
        examples = callbacks.examples.random_subset(images, MAX_WATCHED, config.seed)
        initialize_at_mean(vae, examples)
    return vae
