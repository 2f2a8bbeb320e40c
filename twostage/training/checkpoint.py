"""The callback that makes a training resume as if it had never stopped."""

import contextlib
import math
import time
from collections.abc import Iterator, Sequence
from typing import Any

import keras
import numpy as np

from twostage.errors import InputError, Interrupted
from twostage.runs.checkpoint_folder import CheckpointFolder, Progress
from twostage.runs.run import StageRun
from twostage.training.divergence import check_weights
from twostage.training.history import row_of, write_history
from twostage.training.interruption import SignalWatch


class Checkpoint(keras.callbacks.Callback):
    """Saves at each epoch's end, every so many seconds within it, and on SIGTERM or
    SIGINT; restores what it saved.

    A checkpoint holds the weights, seeds, metrics and optimizer, the history, and the
    state of the other callbacks. Goes last in the list, after the callbacks whose
    metrics and state it keeps. It also writes the whole history into history.csv, epoch
    by epoch.

    The attributes `epoch` (epochs done), `step` (steps done of the next epoch) and
    `rows` (the history, a dict per epoch) say where training stands. Keras starts no
    `fit` within an epoch; where `step` is not 0 the rest of that epoch is a `fit` of
    its own.

    Args:
        stage: The `StageRun` whose folder gets the files.
        others: The other callbacks. The state of those with `get_state()` -> JSON's
            types and `set_state(state)` is saved.
        every: Seconds between saves within an epoch; 0: at the epochs' ends only.
        obeys: Whether a first signal stops the training, see `SignalWatch`.
    """

    def __init__(
        self,
        stage: StageRun,
        others: Sequence[keras.callbacks.Callback] = (),
        *,
        every: float = 0.0,
        obeys: bool = True,
    ):
        super().__init__()
        self.stage, self.every = stage, every
        self.folder = CheckpointFolder(stage.path / "checkpoints")
        self.others = {
            type(other).__name__: other
            for other in others
            if hasattr(other, "get_state")
        }
        self.watch = SignalWatch(obeys)
        self.epoch, self.step = 0, 0
        self.rows: list[dict[str, float]] = []
        self.states: dict[str, Any] = {}
        self.metrics: list[np.ndarray] = []
        self._first_step, self._due = 0, math.inf

    def restore(self, model: keras.Model) -> None:
        """Loads the newest whole checkpoint into a compiled model, where there is one.

        Raises:
            InputError: it holds the weights of another network.
        """
        model.optimizer.build(model.trainable_variables)
        newest = self.folder.newest()
        if newest is None:
            return
        path, progress, arrays = newest
        variables = _variables(model)
        for name in _metric_names(model):
            if name not in arrays:  # of an earlier version; it begins at 0
                del variables[name]
        if _shapes(variables) != _shapes(arrays):
            raise InputError(
                f"{path} holds the weights of another network: it was written by"
                " another version; start another run"
            )
        for name, variable in variables.items():
            variable.assign(arrays[name])
        self.epoch, self.step = progress.epoch, progress.step
        self.rows, self.states = progress.rows, progress.callbacks
        self.metrics = [arrays[name] for name in _metric_names(model) if name in arrays]

    @contextlib.contextmanager
    def signals(self) -> Iterator[None]:
        """Within: the first SIGTERM or SIGINT stops the training after the current
        step, once everything is saved; a second one at once.
        """
        with self.watch.watching():
            yield
        if self.watch.received:  # it came after the last save
            raise self._interrupted()

    def on_train_begin(self, logs=None):
        for name, state in self.states.items():
            if name in self.others:  # an earlier version may have had more of them
                self.others[name].set_state(state)  # pyright: ignore
        self._due = time.monotonic() + self.every

    def on_epoch_begin(self, epoch, logs=None):
        self._first_step = self.step
        if self.step:  # Keras has just reset the metrics
            for variable, value in zip(
                self.model.metrics_variables, self.metrics, strict=False
            ):  # the last may be missing, see `restore`
                variable.assign(value)

    def on_train_batch_begin(self, batch, logs=None):
        # Not `on_train_batch_end`: on JAX that would make every step wait for its
        # metrics.
        timed = self.every and time.monotonic() >= self._due
        if not batch or not (self.watch.received or timed):
            return
        # a broken state is not worth saving
        if math.isfinite(self.model.get_metrics_result()["loss"]):
            self.step = self._first_step + batch
            self._save()

    def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
        self.epoch, self.step = epoch + 1, 0
        self.rows.append(row_of(epoch, logs))
        self._save()

    def _save(self) -> None:
        self.states = {
            name: other.get_state()  # pyright: ignore
            for name, other in self.others.items()
        }
        arrays = {
            name: keras.ops.convert_to_numpy(variable)
            for name, variable in _variables(self.model).items()
        }
        weights = {
            name: values for name, values in arrays.items() if name.startswith("model")
        }
        check_weights(self.epoch + bool(self.step), weights, self.folder.path)
        progress = Progress(self.epoch, self.step, self.rows, self.states)
        self.folder.save(progress, arrays)
        if self.rows and not self.step:
            write_history(self.stage.path / "history.csv", self.rows)
        if self.watch.received:
            raise self._interrupted()
        self._due = time.monotonic() + self.every

    def _interrupted(self) -> Interrupted:
        where = f"{self.epoch} epochs"
        if self.step:
            where += f" and {self.step} steps of the next"
        assert self.watch.received is not None
        return Interrupted(
            f"stopped by {self.watch.name} after {where}; all is saved in"
            f" {self.folder.path}",
            self.watch.received,
            f"`{self.stage.call(resume=True)}`",
        )


def _variables(model: keras.Model) -> dict[str, Any]:
    """All state of a training, numbered: Keras's names depend on the process. Seeds are
    among the model's variables.
    """
    return dict(
        [
            *_numbered("model", model.variables),
            *_numbered("metric", model.metrics_variables),
            *_numbered("optimizer", model.optimizer.variables),
        ]
    )


def _numbered(kind: str, variables: Sequence[Any]) -> list[tuple[str, Any]]:
    return [(f"{kind}-{i:04d}", variable) for i, variable in enumerate(variables)]


def _metric_names(model: keras.Model) -> list[str]:
    return [name for name, _ in _numbered("metric", model.metrics_variables)]


def _shapes(arrays: dict[str, Any]) -> dict[str, tuple[int, ...]]:
    return {name: tuple(array.shape) for name, array in arrays.items()}
