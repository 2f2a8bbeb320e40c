"""The trainings of a run folder: on the data that its config names."""

import dataclasses
import functools
import logging

from twostage.config import Stage1Config, Stage2Config
from twostage.data import loading, summary
from twostage.data.datasets import ImageFileDataset
from twostage.presets import AUTO
from twostage.runs.data import held_out_images, held_out_of, training_images
from twostage.runs.run import StageRun, finished_stage1
from twostage.training import auto
from twostage.training.held_out_settings import without_held_out
from twostage.training.image_checks import check_sizes, warn_without_test
from twostage.training.train import TrainedStage, train_stage1, train_stage2
from twostage.training.unused_settings import warn_of_unused

logger = logging.getLogger(__name__)


def train_stage1_run(
    config: Stage1Config, stage: StageRun, *, dry_run: bool = False
) -> TrainedStage | None:
    """Loads the images of a config, and trains stage 1 on them.

    Args:
        config: Its settings; relative paths are made absolute in what is saved. Those
            of the preset `"auto"` that were not given are chosen.
        stage: The folder to write to.
        dry_run: Whether to stop once the networks are built; None is returned then.
    """
    if _chooses(stage):
        # a `fit` may be given without the side, which is chosen here
        dataset = loading.dataset_for(dataclasses.replace(config, fit="stretch"))
        config = auto.with_size(config, stage.given, dataset)
    if not stage.exists:
        config = _with_channels(config)
    splits = loading.load_splits(config, functools.partial(check_sizes, config))
    warn_without_test(config.data, splits)
    images, labels = splits["train"]
    lines = [config.data, *summary.lines(summary.describe(images, labels))]
    logger.info("\n".join(lines))
    if _chooses(stage):
        config = auto.auto_stage1(config, stage.given, images)
    warn_of_unused(config, stage.given)
    return train_stage1(
        images,
        loading.with_absolute_paths(config),
        stage,
        held_out=held_out_of(splits) if config.held_out else None,
        dry_run=dry_run,
    )


def train_stage2_run(
    config: Stage2Config, stage: StageRun, *, dry_run: bool = False
) -> TrainedStage | None:
    """Trains stage 2 on the images of its run's stage 1; see `train_stage1_run`."""
    first = finished_stage1(stage.run)
    images = training_images(first)
    if _chooses(stage):
        saved = first.saved_config()
        config = auto.auto_stage2(config, stage.given, saved, len(images))
    held_out = held_out_images(first)
    if held_out is None:
        config = without_held_out(config, stage.given)
    warn_of_unused(config, stage.given)
    return train_stage2(
        first,
        images,
        config,
        stage,
        held_out=held_out,
        dry_run=dry_run,
    )


def _with_channels(config: Stage1Config) -> Stage1Config:
    """The config with the channels that image files have: images that are added later,
    such as a test split in color, become like those.
    """
    dataset = loading.dataset_for(config)
    if config.channels or not isinstance(dataset, ImageFileDataset):
        return config
    return dataclasses.replace(config, channels=dataset.sizes.channels)


def _chooses(stage: StageRun) -> bool:
    """Whether settings are to be chosen: a resumed run has its own."""
    return stage.preset == AUTO and not stage.exists
