"""How long a training step takes on this machine."""

import dataclasses
import time
from collections.abc import Sequence
from typing import Any

import keras
import numpy as np

from twostage.config import Stage1Config
from twostage.data.batches import Batches
from twostage.models import build
from twostage.training.fit import compile_vae
from twostage.training.settings import training_settings

ROUNDS, STEPS = 3, 3  # of each config


def seconds_per_step(configs: Sequence[Any], example: np.ndarray) -> list[float]:
    """The median seconds of a step of a new model by each config. They are interleaved,
    so that another program that starts meanwhile slows all of them.

    Args:
        configs: Of one stage. Each step is timed alone, whatever their
            `steps_per_execution`.
        example: An example of the data.
    """
    trainings = [_Training(config, example) for config in configs]
    for training in trainings:
        training.round()  # compiles
    taken = [
        [training.round() for training in trainings] for _ in range(ROUNDS)
    ]  # (rounds, configs, steps)
    return np.median(taken, axis=(0, 2)).tolist()


class _Training:
    """A model and the batches that it is timed with."""

    def __init__(self, config: Any, example: np.ndarray):
        self.config = dataclasses.replace(config, steps_per_execution=1)
        data = np.stack([example] * config.batch_size * (STEPS + 1))
        with training_settings(self.config):
            self.vae = _model(config, example.shape)
            self.batches = Batches(data, config.batch_size, config.seed)
            compile_vae(self.config, self.vae, len(self.batches))

    def round(self) -> np.ndarray:
        """Seconds between the ends of the steps, (STEPS,)."""
        clock = _Clock()
        with training_settings(self.config):
            self.vae.fit(self.batches, verbose=0, callbacks=[clock])
        return np.diff(clock.times)


def _model(config: Any, shape: Any) -> Any:
    if isinstance(config, Stage1Config):
        return build.build_stage1(config, shape)
    return build.build_stage2(config, shape[-1])


class _Clock(keras.callbacks.Callback):
    """When each step ended."""

    def __init__(self):
        super().__init__()
        self.times: list[float] = []

    def on_train_batch_end(self, batch: int, logs: Any = None) -> None:
        self.times.append(time.perf_counter())
