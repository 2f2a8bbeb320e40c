"""Held-out losses in the logs."""

from typing import Any

import keras
import numpy as np

from twostage.models.held_out_loss import held_out_loss


class HeldOut(keras.callbacks.Callback):
    """Logs `val_loss`, `val_mse` and `val_kl` (see `held_out_loss`) at the end of the
    first epoch, and of each that `freq` divides.

    Args:
        data: (N, ...), as `fit` takes them, of examples that are not trained on.
        seed: Of the noise on z.
        freq: Epochs between measurements.
        fit_gamma: Whether the loss is that of the best gamma for these examples.
    """

    def __init__(
        self,
        data: np.ndarray,
        seed: int = 0,
        freq: int = 1,
        *,
        fit_gamma: bool = False,
    ):
        super().__init__()
        self.data, self.seed, self.freq = data, seed, freq
        self.fit_gamma = fit_gamma

    def measure(self) -> dict[str, float]:
        """The metrics at present."""
        return held_out_loss(self.model, self.data, self.seed, fit_gamma=self.fit_gamma)

    def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
        if epoch == 0 or (epoch + 1) % self.freq == 0:
            logs.update(self.measure())
