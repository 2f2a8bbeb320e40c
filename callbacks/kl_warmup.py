"""The KL weight, raised step by step."""

import math
from typing import Any, Self

import keras

from .contract import check_counted, check_variable, number, restore_config


@keras.saving.register_keras_serializable("callbacks")
class KLWarmup(keras.callbacks.Callback):
    """Raises the weight of the KL divergence linearly from `start` to `end` over the
    first `steps` training steps, then holds it.

    The step counted is the optimiser's, so a resumed fit goes on where the ramp was.
    With gamma computed or learned the warm-up changes rate against a calibrated
    distortion; the loss is no bound on the evidence until the weight is 1.

    Args:
        steps: Steps of the ramp, at least 1.
        start, end: Weights before and after it, at least 0.

    Example:

    ```python
    vae.fit(images, epochs=20, callbacks=[KLWarmup(steps=5000)])
    ```

    Requires: a variable `model.kl_weight` that the loss multiplies the KL with. Adds
    `logs["kl_weight"]`, of the epoch's last step.

    Raises:
        ValueError: bad arguments; when training begins, a model without that variable,
            or `steps_per_execution` above 1; at an epoch's end, an optimiser that has
            counted no step.
    """

    def __init__(self, steps: int, start: float = 0.0, end: float = 1.0):
        super().__init__()
        if not (
            1 <= steps < math.inf and 0 <= start < math.inf and 0 <= end < math.inf
        ):
            raise ValueError(
                f"received steps={steps}, start={start}, end={end}, expected numbers of"
                " at least 1, 0 and 0"
            )
        self.steps, self.start, self.end = steps, start, end

    def on_train_begin(self, logs: dict[str, float] | None = None) -> None:
        check_variable(self.model, "kl_weight", "the loss multiplies the KL with")
        if self.model.steps_per_execution > 1:
            raise ValueError(
                f"received steps_per_execution={self.model.steps_per_execution},"
                " expected 1, so that every step has its weight"
            )

    def on_train_batch_begin(
        self, batch: int, logs: dict[str, float] | None = None
    ) -> None:
        model = self.model
        done = min(number(model.optimizer.iterations) / self.steps, 1.0)
        model.kl_weight.assign(self.start + done * (self.end - self.start))

    def on_epoch_end(self, epoch: int, logs: dict[str, float] | None = None) -> None:
        check_counted(self.model)
        if logs is not None:
            logs["kl_weight"] = number(self.model.kl_weight)

    def get_config(self) -> dict[str, Any]:
        return {"steps": self.steps, "start": self.start, "end": self.end}

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> Self:
        return cls(**restore_config(config))
