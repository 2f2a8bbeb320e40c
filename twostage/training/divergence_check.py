"""The callback that stops a training that diverges."""

import logging
import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import keras
import numpy as np

from twostage.own_callbacks import callbacks
from twostage.training.divergence import diverged

logger = logging.getLogger(__name__)

TIMES = 2


class DivergenceCheck(keras.callbacks.Callback):
    """Raises `DivergedError` at the end of an epoch that diverged:

    - its loss is not finite;
    - its KL is above a million nats. That comes from a step that exploded. The loss may
      recover, but Adam's second moments then hold the encoder still for tens of
      thousands of steps. An autoencoder has no KL, and no variance that could explode;
    - its squared error is more than twice the data's variance, which their mean image
      has for an error, and more than twice that of the best epoch before it. A decoder
      that has not begun to learn has the first, one whose KL weight grows the second.

    At the end it warns where the error is still above the variance. Goes after the
    callbacks that show an epoch, and before those that keep it.

    Args:
        examples: Of the training data: uint8 images (N, ...) or float32 latents (N, k).
        checkpoints: Their folder; None: there are none.
    """

    def __init__(self, examples: np.ndarray, checkpoints: Path | None = None):
        super().__init__()
        scale = 255 if examples.dtype == np.uint8 else 1
        self.variance = float(np.var(examples / scale, axis=0).mean())
        self.checkpoints = checkpoints
        self.least = self.last = math.inf

    def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
        logs = logs or {}
        self._check_loss(epoch + 1, logs)
        self._check_error(epoch + 1, float(logs.get("mse", math.nan)))

    def _check_loss(self, epoch: int, logs: Mapping[str, float]) -> None:
        loss, kl = logs.get("loss", 0.0), logs.get("kl", 0.0)
        if not math.isfinite(loss):
            raise diverged(f"the loss of epoch {epoch} is {loss}", self.checkpoints)
        exploded = kl > callbacks.nan_diagnosis.EXPLODED
        if exploded and self.model.posterior_std is None:
            what = f"the KL of epoch {epoch} is {kl:.3g} nats: a step exploded"
            raise diverged(what, self.checkpoints)

    def _check_error(self, epoch: int, error: float) -> None:
        if error > TIMES * max(self.variance, self.least):
            raise diverged(
                f"the squared error of epoch {epoch} is {error:.3g}, that of the"
                f" mean of the data {self.variance:.3g} and of an earlier epoch"
                f" {self.least:.3g}: the decoder diverged",
                self.checkpoints,
            )
        self.least, self.last = min(self.least, error), error

    def on_train_end(self, logs: Any = None) -> None:
        if math.isfinite(self.last) and self.last > self.variance:
            logger.warning(
                "the squared error ended at %.3g, above that of the mean of the data,"
                " %.3g: the decoder has learned nothing; train longer, or start"
                " another run with a smaller `learning_rate`",
                self.last,
                self.variance,
            )

    def get_state(self) -> dict[str, float | None]:
        """What a checkpoint keeps, in JSON's types."""
        return {"least": self.least if math.isfinite(self.least) else None}

    def set_state(self, state: dict[str, float | None]) -> None:
        """Resumes from `get_state()`."""
        least = state["least"]
        self.least = math.inf if least is None else least
