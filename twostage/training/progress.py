"""What a training reports while it runs."""

import logging
import time
from typing import Any

import keras

from twostage.models.tensors import to_numpy

logger = logging.getLogger(__name__)


class Pace(keras.callbacks.Callback):
    """Logs `seconds_per_step` of the steps done since this process began the epoch,
    without the other callbacks' work at its end: goes first in the list.
    """

    def __init__(self):
        super().__init__()
        self.start = 0.0

    def on_epoch_begin(self, epoch: int, logs: Any = None) -> None:
        self.start = time.perf_counter()

    def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
        seconds = time.perf_counter() - self.start
        logs["seconds_per_step"] = seconds / self.params["steps"]


class LearningRateLog(keras.callbacks.Callback):
    """Logs the learning rate of an epoch's last step, for optimizers that follow a
    schedule.
    """

    def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
        logs["learning_rate"] = float(to_numpy(self.model.optimizer.learning_rate))


class OneLine(keras.callbacks.Callback):
    """One line per epoch, where there is no terminal for a bar.

    Args:
        epochs: Length of the training.
    """

    def __init__(self, epochs: int):
        super().__init__()
        self.epochs = epochs

    def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
        values = [
            f"{name} {value:.4g}"
            for name, value in logs.items()
            if name != "learning_rate" and value == value
        ]
        logger.info("epoch %d/%d: %s", epoch + 1, self.epochs, ", ".join(values))
