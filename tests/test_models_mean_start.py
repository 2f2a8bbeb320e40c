"""The decoder begins at the mean color of its images."""

import numpy as np
import pytest

from twostage import InputError, presets
from twostage.config import Stage1Config
from twostage.models import build
from twostage.models.mean_start import initialize_at_mean
from twostage.models.tensors import to_numpy
from twostage.training import auto
from twostage.training.train import train_stage1

SMALL = {"num_scale": 2, "base_dim": 4, "fc_dim": 16, "latent_dim": 4}


def nearly_white(count=60):
    """Strokes on white paper, pink at the left, (N, 16, 16, 3)."""
    images = np.full((count, 16, 16, 3), 250, "uint8")
    images[:, :, :2, 1] = 128
    rows = np.random.default_rng(0).integers(0, 16, (count, 2))
    for image, (row, column) in zip(images, rows, strict=True):
        image[row], image[:, column] = 0, 0
    return images


@pytest.mark.parametrize("likelihood", ["gaussian", "diagonal"])
def test_the_first_images_have_the_mean_color(likelihood):
    images = nearly_white()
    config = Stage1Config(likelihood=likelihood, **SMALL)
    vae = build.build_stage1(config, images.shape[1:])
    initialize_at_mean(vae, images)
    decoded = to_numpy(vae.decode(np.zeros((1, 4), "float32")))
    expected = images.mean((0, 1, 2)) / 255
    np.testing.assert_allclose(decoded.mean((0, 1, 2)), expected, atol=0.02)


def test_all_white_keeps_a_gradient():
    vae = build.build_stage1(Stage1Config(**SMALL), (16, 16, 3))
    initialize_at_mean(vae, np.full((4, 16, 16, 3), 255, "uint8"))
    decoded = to_numpy(vae.decode(np.zeros((1, 4), "float32")))
    assert 0.98 < decoded.mean() < 0.995


def test_a_training_begins_there():
    config = Stage1Config(
        initialization="mean", epochs=1, learning_rate=1e-6, **SMALL, batch_size=20
    )
    trained = train_stage1(nearly_white(), config, bar=False)
    assert trained is not None
    mean = to_numpy(trained.model.decode(np.zeros((1, 4), "float32"))).mean()
    assert mean == pytest.approx(nearly_white().mean() / 255, abs=0.02)


def test_auto_does_so_and_other_networks_are_refused():
    config = presets.resolve(1, "auto")
    choices = auto.stage1_choices(config, (), 900, (32, 32, 3))
    assert ("initialization", "mean") in [choice[:2] for choice in choices]
    other = presets.resolve(1, "auto", network="rae")
    choices = auto.stage1_choices(other, ("network",), 900, (32, 32, 3))
    assert "initialization" not in [choice.name for choice in choices]
    with pytest.raises(
        InputError, match="`initialization='mean'` with `network='rae'`"
    ):
        Stage1Config(initialization="mean", network="rae")
