"""Gamma as a given function of the step: replays a recorded curve."""

import math
from collections.abc import Callable, Sequence
from typing import Any

import keras
import numpy as np

from .arguments import is_number, text
from .contract import (
    check_gamma,
    check_single_steps,
    find_rule,
    find_variable,
    get_gamma,
    number,
    set_gamma,
)
from .model_callback import ModelCallback
from .training_progress import TrainingProgress
from .variable_use import VariableUse


@keras.saving.register_keras_serializable("callbacks")
class GammaSchedule(ModelCallback):
    """Sets the decoder's standard deviation gamma to a given curve (the scheduled F-VAE
    of Berger & Sebag, appendix A.2).

    Steps are the optimizer's, so a resumed fit continues the curve; where
    `model.optimizer` counts none, batches are counted. Epochs are counted over all
    fits.

    Args:
        curve: `curve(position)` -> gamma > 0, or a sequence of gammas, of which the
            last one stays.
        unit: What a position is: `"step"` (0 for the first training step) or `"epoch"`.
        attribute: The model's variable that holds gamma.

    Example:

    ```python
    history = numpy.genfromtxt("history.csv", delimiter=",", names=True)
    recorded = history["gamma"]  # LS-VAE's, one per epoch
    schedule = GammaSchedule(recorded, unit="epoch")
    vae.fit(images, epochs=len(recorded), callbacks=[schedule])
    ```

    Requires: a variable `model.gamma`, or a `twostage.VAE`; warns once where the loss
    does not read the variable. Adds `logs["gamma"]`, or the name of another
    `attribute`: the value of the epoch's last step.

    Raises:
        ValueError: bad arguments; when training begins, a model without gamma to set,
            or per-step values under `steps_per_execution` above 1; a curve that gives
            no positive number.
    """

    def __init__(
        self,
        curve: Callable[[int], float] | Sequence[float],
        unit: str = "step",
        attribute: str = "gamma",
    ):
        super().__init__()
        if unit not in ("step", "epoch"):
            raise ValueError(f"received unit {unit!r}, expected 'step' or 'epoch'")
        if not callable(curve) and not _is_sequence(curve):
            raise ValueError(
                f"received {curve!r:.80} as curve, expected a function or a sequence of"
                " standard deviations"
            )
        if not callable(curve):
            for position, gamma in enumerate(curve):  # now, not after hours
                _check_gamma(gamma, unit, position)
        self.curve, self.unit = curve, unit
        self.attribute = text("attribute", attribute)
        self.progress = TrainingProgress()
        self.use = VariableUse(attribute, "gamma")

    def on_train_begin(self, logs: dict[str, float] | None = None) -> None:
        model = self.model
        check_gamma(model, self.attribute)
        if self.unit == "step":
            check_single_steps(model, "every step has a gamma (or unit='epoch')")
        self.progress.begin(model)
        self._watch_use = find_rule(model) is None

    def on_epoch_begin(self, epoch: int, logs: dict[str, float] | None = None) -> None:
        self.progress.resume(self.model, epoch, self.steps_per_epoch)
        number_of_epoch = self.progress.epoch(epoch)
        if self.unit == "epoch":
            self._set(number_of_epoch)

    def on_train_batch_begin(
        self, batch: int, logs: dict[str, float] | None = None
    ) -> None:
        if self.unit == "step":
            self._set(self.progress.steps(self.model))
        if self._watch_use:
            model = self.model
            self.use.begin(model, find_variable(model, self.attribute))

    def on_train_batch_end(
        self, batch: int, logs: dict[str, float] | None = None
    ) -> None:
        if self._watch_use:
            self.use.end(self.model)
            self._watch_use = False
        self.progress.count()

    def on_epoch_end(self, epoch: int, logs: dict[str, float] | None = None) -> None:
        self.check_loop()
        if logs is not None:
            logs[self.attribute] = get_gamma(self.model, self.attribute)

    def get_config(self) -> dict[str, Any]:
        curve = self.curve if callable(self.curve) else [float(v) for v in self.curve]
        return {"curve": curve, "unit": self.unit, "attribute": self.attribute}

    def _set(self, position: int) -> None:
        likelihood = find_rule(self.model)
        if likelihood is not None and number(likelihood.decay) < 1:
            raise ValueError(
                "both ComputedGamma and GammaSchedule set gamma: use one of them"
            )
        if callable(self.curve):
            gamma = self.curve(position)
            _check_gamma(gamma, self.unit, position)
        else:
            gamma = self.curve[min(position, len(self.curve) - 1)]
        set_gamma(self.model, float(gamma), self.attribute)


def _check_gamma(gamma: Any, unit: str, position: int) -> None:
    if not (is_number(gamma) and 0 < gamma < math.inf):
        raise ValueError(
            f"the curve gave {gamma} at {unit} {position}, expected a positive standard"
            " deviation"
        )


def _is_sequence(curve: Callable[[int], float] | Sequence[float]) -> bool:
    try:
        values = np.asarray(curve)
    except ValueError:  # rows of different length
        return False
    return values.ndim == 1 and values.size > 0 and values.dtype.kind in "fiu"
