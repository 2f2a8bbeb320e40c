"""Checkpoints: everything that a run needs to go on as if it had never stopped, in one
file.
"""

import contextlib
import io
import json
import math
import signal
import sys
import time
import zipfile

import keras
import numpy as np

from twostage.errors import DivergedError, InputError, Interrupted
from twostage.system import files

CHECKPOINTS_KEPT = 2  # the newest checkpoints stay
# epochs done, and steps done of the next one: the order of names is that of time
CHECKPOINT_NAME = "epoch-{epoch:05d}-step-{step:06d}.npz"


class Checkpoint(keras.callbacks.Callback):
    """Saves at each epoch's end, every so many seconds within it, and on SIGTERM or
    SIGINT; restores what it saved.

    A checkpoint holds the weights, seeds, metrics and optimiser, the history, and the
    state of the other callbacks. Goes last in the list, after the callbacks whose
    figures and state it keeps. It also writes the whole history into history.csv, epoch
    by epoch.

    Args:
        stage: The `Stage` whose folder gets the files.
        others: The callbacks beside it. Those with `get_state()` -> JSON's types and
            `set_state(state)` have their state carried.
        every: Seconds from one save to the next within an epoch; 0: at the epochs' ends
            only.
        obeys: Whether a first signal stops the training. Of several processes that
            train as one the first alone obeys: the others must make the steps with
            which it completes what it saves, and end when it does.

    The attributes `epoch` (epochs done), `step` (steps done of the next epoch) and
    `rows` (the history, a dict an epoch) say where
    training stands. Keras starts no `fit` within an epoch; where `step` is not 0 the
    rest of that epoch is a `fit` of its own.
    """

    def __init__(self, stage, others=(), every=0.0, obeys=True):
        super().__init__()
        self.stage, self.every, self.folder = stage, every, stage.path / "checkpoints"
        self.others = {
            type(other).__name__: other
            for other in others
            if hasattr(other, "get_state")
        }
        self.epoch, self.step, self.rows, self.states, self.metrics = 0, 0, [], {}, []
        self.obeys, self._signal = obeys, None

    def restore(self, model):
        """Loads the newest whole checkpoint into a compiled model; damaged ones are
        named and set aside.
        """
        model.optimizer.build(model.trainable_variables)
        damaged = 0
        for path in sorted(self.folder.glob("epoch-*.npz"), reverse=True):
            try:
                with np.load(path, allow_pickle=False) as arrays:
                    state = {
                        name: arrays[name] for name in arrays.files
                    }  # reading checks each array's checksum
                progress = json.loads(str(state.pop("progress")))
            except (
                OSError,
                ValueError,
                KeyError,
                EOFError,
                zipfile.BadZipFile,
            ) as error:
                aside = path.rename(path.with_name(f"damaged-{path.name}"))
                print(
                    f"{path} is damaged ({error}): kept as {aside.name}, the checkpoint"
                    " before it is used",
                    file=sys.stderr,
                )
                damaged += 1
                continue
            variables = _variables(model)
            if {name: v.shape for name, v in variables.items()} != {
                name: a.shape for name, a in state.items()
            }:
                raise InputError(
                    f"{path} holds the weights of another network: it was written by"
                    " another version; start another run"
                )
            for name, variable in variables.items():
                variable.assign(state[name])
            self.epoch, self.step, self.rows, self.states = (
                progress[name] for name in ("epoch", "step", "rows", "callbacks")
            )
            self.metrics = [
                state[name] for name, _ in _numbered("metric", model.metrics_variables)
            ]
            return
        if damaged:
            print(
                "no whole checkpoint is left: training starts from the beginning",
                file=sys.stderr,
            )

    @contextlib.contextmanager
    def signals(self):
        """Within: the first SIGTERM or SIGINT is obeyed after the step at work, once
        all is saved; a second one at once.
        """
        numbers = (signal.SIGTERM, signal.SIGINT)

        def note(number, frame):
            self._signal = number if self.obeys else None
            for n in numbers:
                signal.signal(n, before[n])

        before = {number: signal.signal(number, note) for number in numbers}
        try:
            yield
        finally:
            for number in numbers:
                signal.signal(number, before[number])
        if self._signal:  # it came after the last save
            raise self._stopped()

    def on_train_begin(self, logs=None):
        for name, state in self.states.items():
            self.others[name].set_state(state)
        self._due = time.monotonic() + self.every

    def on_epoch_begin(self, epoch, logs=None):
        self._first = self.step
        if self.step:  # Keras has just reset the metrics
            for variable, value in zip(
                self.model.metrics_variables, self.metrics, strict=True
            ):
                variable.assign(value)

    def on_train_batch_begin(
        self, batch, logs=None
    ):  # not `_end`: on JAX that would make every step wait for its figures
        due = self._signal or (self.every and time.monotonic() >= self._due)
        if (
            due and batch and math.isfinite(self.model.get_metrics_result()["loss"])
        ):  # a broken state is not worth it
            self.step = self._first + batch
            self._save()

    def on_epoch_end(self, epoch, logs=None):
        if not math.isfinite(logs["loss"]):
            raise self._diverged(f"the loss of epoch {epoch + 1} is {logs['loss']}")
        self.epoch, self.step = epoch + 1, 0
        self.rows.append(
            {
                "epoch": epoch + 1,
                **{name: float(value) for name, value in (logs or {}).items()},
            }
        )
        self._save()

    def _save(self):
        self.states = {name: other.get_state() for name, other in self.others.items()}
        progress = {
            "epoch": self.epoch,
            "step": self.step,
            "rows": self.rows,
            "callbacks": self.states,
        }
        state = {
            name: keras.ops.convert_to_numpy(variable)
            for name, variable in _variables(self.model).items()
        }
        if not all(
            np.isfinite(values).all()
            for name, values in state.items()
            if name.startswith("model") and values.dtype.kind == "f"
        ):
            raise self._diverged(
                f"the weights of epoch {self.epoch + bool(self.step)} are not finite"
            )
        buffer = io.BytesIO()
        np.savez(buffer, progress=json.dumps(progress), **state)
        path = self.folder / CHECKPOINT_NAME.format(epoch=self.epoch, step=self.step)
        files.write(path, buffer.getbuffer())
        for old in sorted(self.folder.glob("epoch-*.npz"))[:-CHECKPOINTS_KEPT]:
            old.unlink()
        if self.rows and not self.step:
            files.write(self.stage.path / "history.csv", _csv(self.rows))
        if self._signal:
            raise self._stopped()
        self._due = time.monotonic() + self.every

    def _diverged(self, what):
        kept = (
            f"{self.folder} keeps the last good checkpoint"
            if any(self.folder.glob("epoch-*.npz"))
            else "there is no checkpoint yet"
        )
        return DivergedError(
            f"{what}; {kept}: start another run, with a smaller --learning-rate or a"
            " larger --gamma-floor"
        )

    def _stopped(self):
        where = f"{self.epoch} epochs" + (
            f" and {self.step} steps of the next" if self.step else ""
        )
        text = (
            f"stopped by {signal.Signals(self._signal).name} after {where}; all is"
            f" saved in {self.folder}"
        )
        return Interrupted(text, self._signal, f"`{self.stage.command} --resume`")


def _variables(model):
    """All state of a training run, numbered: Keras's names depend on the process. Seeds
    are among the model's variables.
    """
    return dict(
        [
            *_numbered("model", model.variables),
            *_numbered("metric", model.metrics_variables),
            *_numbered("optimizer", model.optimizer.variables),
        ]
    )


def _numbered(kind, variables):
    return [(f"{kind}-{i:04d}", variable) for i, variable in enumerate(variables)]


def _csv(rows):
    names = list(rows[-1])
    return (
        "\n".join(
            [
                ",".join(names),
                *(",".join(str(row.get(name, "")) for name in names) for row in rows),
            ]
        )
        + "\n"
    )
