"""What a run tells while it trains."""

import time

import keras


class Pace(keras.callbacks.Callback):
    """Logs `seconds_per_step` of the steps done since this process began the epoch, the
    other callbacks' work at its end excluded: goes first in the list.
    """

    def on_epoch_begin(self, epoch, logs=None):
        self.start = time.perf_counter()

    def on_epoch_end(self, epoch, logs=None):
        logs["seconds_per_step"] = (time.perf_counter() - self.start) / self.params[
            "steps"
        ]


class OneLine(keras.callbacks.Callback):
    """One line an epoch, where the output is no terminal."""

    def __init__(self, epochs):
        super().__init__()
        self.epochs = epochs

    def on_epoch_end(self, epoch, logs=None):
        shown = [
            f"{name} {value:.4g}"
            for name, value in logs.items()
            if name != "learning_rate" and value == value
        ]
        print(f"epoch {epoch + 1}/{self.epochs}: {', '.join(shown)}", flush=True)
