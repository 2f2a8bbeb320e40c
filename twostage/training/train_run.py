"""The trainings of a run folder: on the data that its config names."""

import functools
import logging

from twostage.config import Stage1Config, Stage2Config
from twostage.data import loading, summary
from twostage.runs.data import training_images
from twostage.runs.run import StageRun, finished_stage1
from twostage.training.image_checks import check_sizes, warn_without_test
from twostage.training.train import TrainedStage, train_stage1, train_stage2

logger = logging.getLogger(__name__)


def train_stage1_run(
    config: Stage1Config, stage: StageRun, *, dry_run: bool = False
) -> TrainedStage | None:
    """Loads the images of a config, and trains stage 1 on them.

    Args:
        config: Its settings; relative paths are made absolute in what is saved.
        stage: The folder to write to.
        dry_run: Whether to stop once the networks are built; None is returned then.
    """
    splits = loading.load_splits(config, functools.partial(check_sizes, config))
    warn_without_test(config.data, splits)
    images, labels = splits["train"]
    lines = [config.data, *summary.lines(images, labels)]
    logger.info("\n".join(lines))
    return train_stage1(
        images, loading.with_absolute_paths(config), stage, dry_run=dry_run
    )


def train_stage2_run(
    config: Stage2Config, stage: StageRun, *, dry_run: bool = False
) -> TrainedStage | None:
    """Trains stage 2 on the images of its run's stage 1; see `train_stage1_run`."""
    first = finished_stage1(stage.run)
    images = training_images(first)
    return train_stage2(first, images, config, stage, dry_run=dry_run)
