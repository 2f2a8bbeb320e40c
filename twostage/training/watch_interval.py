"""How often the diagnostics measure a training."""

import math
from collections.abc import Sequence
from typing import Any

import keras


class WatchInterval(keras.callbacks.Callback):
    """Sets the epochs between two measurements of the diagnostics; the last epoch
    always has one. Goes before them, and after `Pace`.

    Seconds become epochs once, by the time of the second epoch of the process that
    trains: the first one compiles. Checkpoints keep that time, so that a resumed
    training measures in the same epochs. Until it is known every epoch is measured. The
    measurements change no number of the training itself.

    Args:
        watchers: The diagnostics, callbacks with an attribute `freq`.
        epochs: Length of the training.
        every: Epochs between measurements; 0: as `seconds` says.
        seconds: Least time between measurements.
    """

    def __init__(
        self, watchers: Sequence[Any], epochs: int, every: int, seconds: float
    ):
        super().__init__()
        self.watchers, self.epochs = watchers, epochs
        self.every, self.seconds = every, seconds
        self.epoch_seconds: float | None = None
        self._compiled = False

    def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
        if self.epoch_seconds is None and self._compiled:
            steps = (self.params or {})["steps"]
            self.epoch_seconds = (logs or {})["seconds_per_step"] * steps
        self._compiled = True
        freq = 1 if epoch + 1 == self.epochs else self._epochs_between()
        for watcher in self.watchers:
            watcher.freq = freq

    def _epochs_between(self) -> int:
        if self.every or self.epoch_seconds is None:
            return self.every or 1
        return max(1, math.ceil(self.seconds / self.epoch_seconds))

    def get_state(self) -> dict[str, Any]:
        """What a resumed training must know, in JSON's types."""
        return {} if self.every else {"epoch_seconds": self.epoch_seconds}

    def set_state(self, state: dict[str, Any]) -> None:
        """Resumes from `get_state()`."""
        self.epoch_seconds = state.get("epoch_seconds")
