"""The learning rate of an optimizer that follows a schedule, in the logs."""

from typing import Any

import keras

from twostage.models.tensors import to_numpy


class LearningRateLog(keras.callbacks.Callback):
    """Logs the learning rate of an epoch's last step."""

    def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
        logs["learning_rate"] = float(to_numpy(self.model.optimizer.learning_rate))
