"""The KL weight, raised step by step."""

import math
from typing import Any

import keras

from .arguments import real, text
from .contract import check_single_steps, check_variable, find_variable, number
from .model_callback import ModelCallback
from .training_progress import TrainingProgress
from .variable_use import VariableUse


@keras.saving.register_keras_serializable("callbacks")
class KLWarmup(ModelCallback):
    """Raises the weight of the KL divergence linearly from `start` to `end` over the
    first `steps` training steps, then holds it.

    Steps are the optimizer's, so a resumed fit continues the ramp; where
    `model.optimizer` counts none, batches are counted. With gamma computed or learned
    the warm-up changes rate against a calibrated distortion; the loss is no bound on
    the evidence until the weight is 1.

    Args:
        steps: Steps of the ramp, at least 1.
        start, end: Weights before and after it, at least 0.
        attribute: The model's variable that holds the weight.

    Example:

    ```python
    vae.fit(images, epochs=20, callbacks=[KLWarmup(steps=5000)])
    ```

    Requires: a variable `model.kl_weight` that the loss multiplies the KL with; warns
    once where the loss does not read it. Adds `logs["kl_weight"]`, or the name of
    another `attribute`: of the epoch's last step.

    Raises:
        ValueError: bad arguments; when training begins, a model without that variable,
            or `steps_per_execution` above 1.
    """

    def __init__(
        self,
        steps: int,
        start: float = 0.0,
        end: float = 1.0,
        attribute: str = "kl_weight",
    ):
        super().__init__()
        self.steps = real(
            "steps", steps, lambda v: 1 <= v < math.inf, "a number of at least 1"
        )
        self.start = real("start", start, _is_weight, "a weight of at least 0")
        self.end = real("end", end, _is_weight, "a weight of at least 0")
        self.attribute = text("attribute", attribute)
        self.progress = TrainingProgress()
        self.use = VariableUse(attribute, "kl_weight")

    def on_train_begin(self, logs: dict[str, float] | None = None) -> None:
        model = self.model
        check_variable(model, self.attribute, "kl_weight")
        check_single_steps(model, "every step has a weight of its own")
        self.progress.begin(model)

    def on_epoch_begin(self, epoch: int, logs: dict[str, float] | None = None) -> None:
        self.progress.resume(self.model, epoch, self.steps_per_epoch)

    def on_train_batch_begin(
        self, batch: int, logs: dict[str, float] | None = None
    ) -> None:
        model = self.model
        done = min(self.progress.steps(model) / self.steps, 1.0)
        weight = self.start + done * (self.end - self.start)
        variable = find_variable(model, self.attribute)
        variable.assign(weight)
        self.use.begin(model, variable)

    def on_train_batch_end(
        self, batch: int, logs: dict[str, float] | None = None
    ) -> None:
        self.use.end(self._model)
        self.progress.count()

    def on_epoch_end(self, epoch: int, logs: dict[str, float] | None = None) -> None:
        self.check_loop()
        if logs is not None:
            logs[self.attribute] = number(find_variable(self.model, self.attribute))

    def get_config(self) -> dict[str, Any]:
        names = ("steps", "start", "end", "attribute")
        return {name: getattr(self, name) for name in names}


def _is_weight(number: Any) -> bool:
    return 0 <= number < math.inf
