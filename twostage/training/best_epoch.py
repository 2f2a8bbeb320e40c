"""Keeps the epoch with the lowest held-out loss."""

import logging
import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import keras
import numpy as np

from twostage.errors import InputError, first_line
from twostage.models.tensors import to_numpy
from twostage.runs.checkpoint_folder import CHECKPOINTS_KEPT
from twostage.system import files
from twostage.training.held_out import HeldOut

logger = logging.getLogger(__name__)


class BestEpoch(keras.callbacks.Callback):
    """Keeps the weights of the epoch with the lowest `val_loss`, and stops the training
    once there was none for so many epochs. The weights before the first epoch, epoch 0,
    count too. Goes after `HeldOut` in the list.

    Args:
        held_out: Measures epoch 0.
        patience: Epochs without a lower loss after which the training stops.
        folder: Gets the weights, `best-EPOCH.npz`, so that another process can resume;
            None: they stay in memory.

    The attribute `epoch` is the number of the best epoch, `loss` its loss in nats per
    example.
    """

    def __init__(self, held_out: HeldOut, patience: int, folder: Path | None = None):
        super().__init__()
        self.held_out, self.patience, self.folder = held_out, patience, folder
        self.loss = float("inf")
        self.done = 0  # epochs
        self._kept: list[int] = []  # the last best epochs
        self._weights: list[np.ndarray] = []

    @property
    def epoch(self) -> int:
        return self._kept[-1]

    @property
    def is_exhausted(self) -> bool:
        """Whether patience has ended."""
        return bool(self._kept) and self.done - self.epoch >= self.patience

    def on_train_begin(self, logs: Any = None) -> None:
        if not int(to_numpy(self.model.optimizer.iterations)):
            loss = self.held_out.measure()["val_loss"]
            self._keep(0, loss if math.isfinite(loss) else math.inf)

    def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
        self.done = epoch + 1
        loss = logs.get("val_loss", float("inf"))
        if loss < self.loss:
            self._keep(epoch + 1, loss)
        elif self.is_exhausted and "val_loss" in logs:
            self.model.stop_training = True

    def restore(
        self, model: keras.Model, rows: Sequence[dict[str, float]]
    ) -> dict[str, float]:
        """Gives a model the best epoch's weights.

        Args:
            model: What was trained.
            rows: The history, a dict per epoch.

        Returns:
            The row of the best epoch; of epoch 0 its held-out loss alone.
        """
        variables = model.variables
        for variable, value in zip(variables, self._read(), strict=True):
            variable.assign(value)
        if self.loss == math.inf:
            logger.warning(
                "no epoch has a finite held-out loss, so the weights of the start are"
                " kept: train without `patience`, or find out why"
            )
        kept = f"epoch {self.epoch}" if self.epoch else "the weights of the start"
        logger.info(
            "kept %s: the lowest held-out loss of %d epochs, %.5g nats",
            kept,
            self.done,
            self.loss,
        )
        if self.is_exhausted:
            logger.info(
                "stopped by patience %d; to train longer, resume with a higher"
                " `patience`",
                self.patience,
            )
        if not self.epoch:
            return {"epoch": 0, "val_loss": self.loss}
        return rows[self.epoch - 1]

    def get_state(self) -> dict[str, Any]:
        """For a resumed training, in JSON's types."""
        return {"kept": self._kept, "loss": self.loss, "done": self.done}

    def set_state(self, state: dict[str, Any]) -> None:
        """Resumes from `get_state()`.

        Raises:
            InputError: the best epoch's weights are missing or damaged.
        """
        self._kept, self.loss, self.done = state["kept"], state["loss"], state["done"]
        if self._kept and self.folder is not None:
            self._read()  # now, and not after the last epoch

    def _keep(self, epoch: int, loss: float) -> None:
        # each of the checkpoints, and the epoch that comes, may need another
        self._kept = [*self._kept[-CHECKPOINTS_KEPT:], epoch]
        self.loss = loss
        weights = [np.array(to_numpy(each)) for each in self.model.variables]
        if self.folder is None:
            self._weights = weights
            return
        named = {f"weight-{i:04d}": weight for i, weight in enumerate(weights)}
        files.write_npz(self._path(epoch), named)
        needed = [self._path(epoch) for epoch in self._kept]
        for path in self.folder.glob("best-*.npz"):
            if path not in needed:
                path.unlink()

    def _read(self) -> list[np.ndarray]:
        if self.folder is None:
            return self._weights
        path = self._path(self.epoch)
        try:
            with np.load(path) as saved:
                return [saved[name] for name in sorted(saved.files)]
        except (OSError, *files.NPZ_DAMAGE) as error:
            raise InputError(
                f"{path}, which cannot be read ({first_line(error)})",
                f"the weights of the best epoch, {self.epoch}",
                f"bring it back, or remove {path.parent.parent} to train this stage"
                " from the beginning",
            ) from error

    def _path(self, epoch: int) -> Path:
        assert self.folder is not None
        return self.folder / f"best-{epoch:05d}.npz"
