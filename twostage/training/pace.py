"""The seconds of a training step, in the history."""

import time
from typing import Any

import keras


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
