"""Checkpoints: everything that a run needs to go on, one file an epoch."""

import io
import json
import sys
import zipfile

import keras
import numpy as np

from twostage.errors import InputError
from twostage.runs import write_whole


class Checkpoint(keras.callbacks.Callback):
    """After each epoch: weights, optimiser, seeds and history into `checkpoints/`, and the whole history into history.csv.

    Goes last in the list, after the callbacks whose figures it keeps. The two newest checkpoints stay.
    """

    def __init__(self, stage, rows):
        super().__init__()
        self.stage, self.rows = stage, list(rows)

    def on_epoch_end(self, epoch, logs=None):
        self.rows.append({"epoch": epoch + 1, **{name: float(value) for name, value in (logs or {}).items()}})
        state = {name: keras.ops.convert_to_numpy(v) for name, v in _variables(self.model).items()}
        buffer = io.BytesIO()
        np.savez(buffer, progress=json.dumps({"epoch": epoch + 1, "rows": self.rows}), **state)
        folder = self.stage.path / "checkpoints"
        write_whole(folder / f"epoch-{epoch + 1:05d}.npz", buffer.getbuffer())
        for old in sorted(folder.glob("epoch-*.npz"))[:-2]:
            old.unlink()
        write_whole(self.stage.path / "history.csv", _csv(self.rows))


def restore(stage, model):
    """Loads the newest whole checkpoint into a compiled model. Returns (epochs done, history rows); (0, []) without one."""
    model.optimizer.build(model.trainable_variables)
    for path in sorted((stage.path / "checkpoints").glob("epoch-*.npz"), reverse=True):
        try:
            with np.load(path, allow_pickle=False) as arrays:
                state = {name: arrays[name] for name in arrays.files}  # reading checks each array's checksum
            progress = json.loads(str(state.pop("progress")))
        except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile) as error:
            print(f"{path} is damaged ({error}); the checkpoint before it is used", file=sys.stderr)
            continue
        variables = _variables(model)
        if {name: v.shape for name, v in variables.items()} != {name: a.shape for name, a in state.items()}:
            raise InputError(f"{path} holds the weights of another network: it was written by another version; start another run")
        for name, variable in variables.items():
            variable.assign(state[name])
        return progress["epoch"], progress["rows"]
    return 0, []


def _variables(model):
    """All state of a training run: weights and seeds of the model, then the optimiser's, numbered: Keras's names depend on the process."""
    return {f"{i:04d}": variable for i, variable in enumerate([*model.variables, *model.optimizer.variables])}


def _csv(rows):
    names = list(rows[-1])
    return "\n".join([",".join(names), *(",".join(str(row.get(name, "")) for name in names) for row in rows)]) + "\n"
