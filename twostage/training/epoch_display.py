"""The display of a training: a bar for the running epoch, a line per epoch done."""

import logging
import shutil
import sys
import threading
import time
from typing import Any, Self

import keras

from twostage.training import epoch_line
from twostage.training.epoch_line import duration_text
from twostage.training.time_left import TimeLeft

logger = logging.getLogger(__name__)

SECONDS_BETWEEN_UPDATES = 0.5
RECENT = 2  # measurements in the steps that time left is judged by
LEAST_BAR = 8  # characters
ECHO = 3  # columns that stay free for the ^C that a terminal shows


class EpochDisplay(keras.callbacks.Callback):
    """On a terminal and in a notebook a bar of the running epoch, and one line for each
    that is done; elsewhere the lines are logged.

    Time left is that of the whole training, by the recent pace. Goes after the
    callbacks whose metrics it shows. Leaving its context removes the bar, however
    the training ends.

    Args:
        epochs: Length of the training.
        steps: Of a whole epoch.
        bar: Whether there is a bar; None: where somebody can see it.
        every: Epochs between measurements of the diagnostics.
    """

    # Keras need not wait for each step's metrics; they may come late, from threads and
    # out of order
    async_safe = True

    def __init__(
        self, epochs: int, steps: int, bar: bool | None = None, every: int = 1
    ):
        super().__init__()
        self.epochs, self.steps = epochs, steps
        self.disable = None if bar is None else not bar
        self.time_left = TimeLeft(RECENT * every * steps)
        self._lock = threading.Lock()
        self._bar: Any = None
        self._earlier = 0  # steps of this process in earlier epochs

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        with self._lock:
            if self._bar is not None and not self._bar.disable:
                self._bar.close()
                _erase_row()

    def on_train_begin(self, logs: Any = None) -> None:
        model: Any = self.model
        self._latents = model.decoder.input_shape[-1]

    def on_epoch_begin(self, epoch: int, logs: Any = None) -> None:
        # the rest of an epoch that was stopped has fewer steps
        self._begin(epoch, self.steps - self._steps_here())
        with self._lock:
            self.time_left.begin_epoch()
        if self._bar is None:
            self._bar = self._new_bar()
        self._set("" if self._earlier else "the first step compiles")
        self._bar.refresh()

    def on_train_batch_end(self, batch: int, logs: Any = None) -> None:
        with self._lock:
            self._done = max(self._done, batch + 1)
            self.time_left.count(self._earlier + self._done)
            now = time.perf_counter()
            if self._bar.disable or now - self._drawn < SECONDS_BETWEEN_UPDATES:
                return
            self._drawn = now
            self._set(self._state(logs or {}))
            self._bar.refresh()

    def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
        self._earlier += self._steps_here()
        tail = [duration_text(time.perf_counter() - self._begun)]
        left = self.time_left.seconds((self.epochs - epoch - 1) * self.steps)
        if left:
            tail.append(f"left {duration_text(left)}")
        width = None if self._bar.disable else _columns()
        shown = epoch_line.metrics(logs or {}, self._latents)
        self._report(epoch_line.line([self._head()], shown, tail, width))

    def _report(self, line: str) -> None:
        """Prints or logs the line of an epoch; the bar becomes that of the next."""
        if self._bar.disable:
            logger.info("%s", line)
            return
        if self._epoch + 1 < self.epochs:
            self._begin(self._epoch + 1)
            self._set("")
        else:
            self._bar.n = self.steps  # in a notebook another number means a failure
            self._bar.close()
        _erase_row()
        self._bar.write(line, file=sys.stdout)
        sys.stdout.flush()

    def _begin(self, epoch: int, first: int = 0) -> None:
        self._epoch, self._first, self._done = epoch, first, 0
        self._begun = self._drawn = time.perf_counter()

    def _new_bar(self) -> Any:
        from tqdm.auto import tqdm

        return tqdm(
            total=self.steps,
            bar_format=self._head(),
            file=sys.stdout,
            leave=False,
            disable=self.disable,
        )

    def _set(self, text: str) -> None:
        """What the bar shows from now on."""
        form = f"{self._head()} |{{bar}}| {{n_fmt}}/{{total_fmt}}  {text}"
        self._bar.bar_format, self._bar.ncols = form, _columns()
        self._bar.n = self._first + self._done

    def _state(self, logs: dict[str, float]) -> str:
        """Figures and times left, within an epoch, as wide as there is room."""
        ahead = self.steps - self._first - self._done
        later = (self.epochs - self._epoch - 1) * self.steps
        tail = []
        left, whole = (self.time_left.seconds(n) for n in (ahead, ahead + later))
        if left is not None and whole is not None:
            tail.append(f"left {duration_text(left)}")
            tail.extend([f"in all {duration_text(whole)}"] if later else [])
        names = epoch_line.METRICS_OF_BAR
        shown = epoch_line.metrics(logs, self._latents, names)
        around = len(f"{self._head()} || {self.steps}/{self.steps}  ")
        return epoch_line.line([], shown, tail, _columns() - around - LEAST_BAR)

    def _head(self) -> str:
        return f"epoch {self._epoch + 1}/{self.epochs}"

    def _steps_here(self) -> int:
        return (self.params or {})["steps"]


def _erase_row() -> None:
    """Of the bar and of a ^C right of it."""
    if sys.stdout.isatty():
        blank = " " * (_columns() + ECHO - 1)
        sys.stdout.write(f"\r{blank}\r")
        sys.stdout.flush()


def _columns() -> int:
    """Columns of the terminal that may be used."""
    return shutil.get_terminal_size().columns - ECHO
