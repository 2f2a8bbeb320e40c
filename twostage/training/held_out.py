"""Held-out losses in the logs."""

from typing import Any

import keras
import numpy as np

from twostage.models.held_out_loss import held_out_loss


class HeldOut(keras.callbacks.Callback):
    """Logs `val_loss`, `val_mse` and `val_kl` (see `held_out_loss`) at the end of the
    first epoch, the last one, and each that `every` divides.

    Args:
        data: (N, ...), as `fit` takes them, of examples that are not trained on.
        epochs: Length of the training.
        every: Epochs between measurements.
        seed: Of the noise on z.
    """

    def __init__(self, data: np.ndarray, epochs: int, every: int = 1, seed: int = 0):
        super().__init__()
        self.data, self.epochs, self.every, self.seed = data, epochs, every, seed

    def figures(self) -> dict[str, float]:
        """The figures at present."""
        return held_out_loss(self.model, self.data, self.seed)

    def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
        if epoch + 1 in (1, self.epochs) or (epoch + 1) % self.every == 0:
            logs.update(self.figures())
