"""A run finds its images again, and takes no others for them."""

import keras
import numpy as np
import pytest
from PIL import Image
from test_training_resume import SMALL

from twostage.cli.main import COMMANDS


@pytest.mark.slow
def test_images_may_move_and_not_change(tmp_path, capsys, monkeypatch):
    """A relative path is found from elsewhere; a new place is given by --resume --data;
    other images are refused by all that reads them.
    """
    here, images = (
        tmp_path / "here",
        np.random.default_rng(0).integers(0, 256, (120, 8, 8, 1), "uint8"),
    )
    here.mkdir()
    np.save(here / "x.npy", images)
    monkeypatch.chdir(here)
    run = ["--run", str(tmp_path / "run")]
    COMMANDS["train-stage1"](
        [*run, "--data", "x.npy", *SMALL, "--epochs", "1", "--batch-size", "20"]
    )
    monkeypatch.chdir(tmp_path)
    COMMANDS["train-stage1"]([*run, "--resume"])
    (here / "x.npy").rename(tmp_path / "moved.npy")
    for command in (COMMANDS["train-stage2"], COMMANDS["evaluate"]):
        capsys.readouterr()
        with pytest.raises(SystemExit):
            command(run)
        error = capsys.readouterr().err
        assert "x.npy, which is not there any more" in error
        assert "--resume --data PLACE" in error
    COMMANDS["train-stage1"]([*run, "--resume", "--data", "moved.npy"])
    np.save(tmp_path / "moved.npy", images ^ 1)
    capsys.readouterr()
    evaluate = [
        *run,
        "--extractor",
        "random",
        "--bound-images",
        "2",
        "--half-samples",
        "2",
    ]
    for command, arguments in (
        (COMMANDS["train-stage1"], [*run, "--resume"]),
        (COMMANDS["train-stage2"], run),
        (COMMANDS["evaluate"], evaluate),
        (COMMANDS["export"], [*run, "--mixture", "2"]),
    ):
        if command is COMMANDS["export"] and keras.backend.backend() != "tensorflow":
            continue
        with pytest.raises(SystemExit):
            command(arguments)
        assert "was started on other data" in capsys.readouterr().err


def write_noise(folder, shape):
    folder.mkdir(parents=True)
    noise = np.random.default_rng(0).integers(0, 256, shape, "uint8")
    for i, pixels in enumerate(noise):
        Image.fromarray(pixels).save(folder / f"{i:03d}.png")


@pytest.mark.slow
def test_a_test_split_in_color_is_added_to_a_run_of_gray_images(tmp_path, capsys):
    """The run keeps its one channel: the images that it was trained on are the same."""
    folder, run = tmp_path / "images", ["--run", str(tmp_path / "run")]
    options = [*SMALL, "--epochs", "1", "--batch-size", "20"]
    write_noise(folder / "train", (150, 8, 8))
    COMMANDS["train-stage1"]([*run, "--data", str(folder), *options])
    write_noise(folder / "test", (60, 8, 8, 3))
    few = ["--extractor", "random", "--bound-images", "2", "--half-samples", "2"]
    COMMANDS["evaluate"]([*run, *few, "--samples", "50"])
    said = capsys.readouterr()
    assert "60 of 210 images are in color, and become gray" in said.out + said.err
