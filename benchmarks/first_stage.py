"""A first stage as a training begins it, for benchmarks that train by themselves."""

import callbacks
from twostage.models import build
from twostage.models.mean_start import initialize_at_mean

EXAMPLES = 2_000  # images that the mean color is taken of


def new_stage1(config, images):
    """The VAE of a config; at the mean color of the images where the config says so."""
    vae = build.build_stage1(config, images.shape[1:])
    if config.initialization == "mean":
        examples = callbacks.examples.random_subset(images, EXAMPLES, config.seed)
        initialize_at_mean(vae, examples)
    return vae
