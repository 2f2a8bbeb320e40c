"""The history of a training: a dict per epoch."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import keras

from twostage.system import files


class EpochRows(keras.callbacks.Callback):
    """Keeps what each epoch logs, in memory. Goes last in the list. `rows`: a dict per
    epoch.
    """

    def __init__(self):
        super().__init__()
        self.rows: list[dict[str, float]] = []

    def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
        self.rows.append(row_of(epoch, logs))


def row_of(epoch: int, logs: Any) -> dict[str, float]:
    """An epoch's logs as plain numbers, its number first, from 1."""
    values = {name: float(value) for name, value in (logs or {}).items()}
    return {"epoch": epoch + 1, **values}


def write_history(path: Path, rows: Sequence[dict[str, float]]) -> None:
    """Writes history.csv, whole or not at all. Epochs that were not measured leave a
    field empty.
    """
    names = _names(rows)
    lines = [",".join(names)]
    for row in rows:
        lines.append(",".join(str(row.get(name, "")) for name in names))
    files.write(path, "\n".join(lines) + "\n")


def keras_history(rows: Sequence[dict[str, float]]) -> keras.callbacks.History:
    """The `History` that one unbroken `fit` would have returned."""
    history = keras.callbacks.History()
    history.epoch = [int(row["epoch"]) - 1 for row in rows]
    history.history = {
        name: [row[name] for row in rows if name in row]
        for name in _names(rows)
        if name != "epoch"
    }
    return history


def _names(rows: Sequence[dict[str, float]]) -> list[str]:
    """What any epoch has logged, in order."""
    return list(dict.fromkeys(name for row in rows for name in row))
