"""How often the diagnostics look at a training."""

import math
from collections.abc import Sequence
from typing import Any

import keras


class WatchInterval(keras.callbacks.Callback):
    """Sets the epochs between two looks of the diagnostics; the last epoch always has
    one. Goes before them, and after `Pace`.

    A number of seconds becomes a number of epochs once, by the second epoch of the
    process that trains: the first one compiles. Checkpoints keep the number, so that a
    resumed training looks in the same epochs. Until it is known every epoch has a
    look. The looks change no number of the training itself.

    Args:
        watchers: The diagnostics, callbacks with an attribute `freq`.
        epochs: Length of the training.
        every: Epochs between looks; 0: as `seconds` says.
        seconds: Least time between looks.
    """

    def __init__(
        self, watchers: Sequence[Any], epochs: int, every: int, seconds: float
    ):
        super().__init__()
        self.watchers, self.epochs = watchers, epochs
        self.every, self.seconds = every, seconds
        self.measured: int | None = None  # epochs that `seconds` are
        self._compiled = False

    def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
        if self.measured is None and self._compiled:
            seconds = (logs or {})["seconds_per_step"] * (self.params or {})["steps"]
            self.measured = max(1, math.ceil(self.seconds / seconds))
        self._compiled = True
        last = epoch + 1 == self.epochs
        for watcher in self.watchers:
            watcher.freq = 1 if last else self.every or self.measured or 1

    def get_state(self) -> dict[str, Any]:
        """What a resumed training must know, in JSON's types."""
        return {} if self.every else {"measured": self.measured}

    def set_state(self, state: dict[str, Any]) -> None:
        """Resumes from `get_state()`."""
        self.measured = state.get("measured")
