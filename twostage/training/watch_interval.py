"""How often the diagnostics measure a training."""

from collections.abc import Sequence
from typing import Any

import keras

MEASUREMENTS = 20  # at least, in a training that has as many epochs
STEPS = 1_000  # at most, between two of them, where an epoch has no more


def epochs_between(epochs: int, steps: int) -> int:
    """Epochs from one measurement to the next: no clock decides, so that every machine
    measures the same ones.

    Args:
        epochs: Length of the training.
        steps: Of an epoch.

    Example:

    >>> epochs_between(120, 25), epochs_between(1400, 500), epochs_between(14, 900)
    (6, 2, 1)
    """
    return max(1, min(epochs // MEASUREMENTS, STEPS // steps))


def watch_every(config: Any, steps: int) -> int:
    """Epochs between measurements, as a stage's settings say, with so many steps of an
    epoch.
    """
    return config.watch_every or epochs_between(config.epochs, steps)


class WatchInterval(keras.callbacks.Callback):
    """Sets the epochs between two measurements of the diagnostics; the first epoch and
    the last one always have one. Goes before them, and after what ends the training.
    The measurements change no number of the training itself.

    Args:
        watchers: The diagnostics, callbacks with an attribute `freq`.
        epochs: Length of the training.
        every: Epochs between measurements.
    """

    def __init__(self, watchers: Sequence[Any], epochs: int, every: int):
        super().__init__()
        self.watchers, self.epochs, self.every = watchers, epochs, every

    def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
        model: Any = self.model
        at_ends = epoch + 1 in (1, self.epochs) or model.stop_training
        for watcher in self.watchers:
            watcher.freq = 1 if at_ends else self.every
