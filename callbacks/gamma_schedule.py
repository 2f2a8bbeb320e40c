"""Gamma as a given function of the step: replays a recorded curve."""

import math
from collections.abc import Callable, Sequence
from typing import Any, Self

import keras
import numpy as np

from .contract import (
    check_counted,
    check_gamma,
    find_rule,
    number,
    restore_config,
    set_gamma,
)


@keras.saving.register_keras_serializable("callbacks")
class GammaSchedule(keras.callbacks.Callback):
    """Sets the decoder's standard deviation gamma to a given curve (the scheduled F-VAE
    of Berger & Sebag, appendix A.2).

    The step counted is the optimiser's, so a resumed fit goes on where the curve was.

    Args:
        curve: `curve(position)` -> gamma > 0, or a sequence of gammas, of which the
            last one stays.
        unit: What a position is: `"step"` (0 for the first training step) or `"epoch"`.

    Example:

    ```python
    history = numpy.genfromtxt("history.csv", delimiter=",", names=True)
    recorded = history["gamma"]  # LS-VAE's, one per epoch
    schedule = GammaSchedule(recorded, unit="epoch")
    vae.fit(images, epochs=len(recorded), callbacks=[schedule])
    ```

    Requires: a variable `model.gamma`, or a `twostage.VAE`. Adds `logs["gamma"]`, the
    value of the epoch's last step.

    Raises:
        ValueError: bad arguments; when training begins, a model without gamma to set,
            or per-step values under `steps_per_execution` above 1; a curve that gives
            no positive number.
    """

    def __init__(
        self, curve: Callable[[int], float] | Sequence[float], unit: str = "step"
    ):
        super().__init__()
        if unit not in ("step", "epoch"):
            raise ValueError(f"received unit {unit!r}, expected 'step' or 'epoch'")
        if not callable(curve) and not _is_sequence(curve):
            raise ValueError(
                f"received {curve!r:.80} as curve, expected a function or a sequence of"
                " standard deviations"
            )
        self.curve, self.unit = curve, unit

    def on_train_begin(self, logs: dict[str, float] | None = None) -> None:
        model = self.model
        check_gamma(model)
        if self.unit == "step" and model.steps_per_execution > 1:
            raise ValueError(
                f"received steps_per_execution={model.steps_per_execution}, expected 1"
                " for a value a step: compile with steps_per_execution=1, or give one"
                " value an epoch (unit='epoch')"
            )

    def on_epoch_begin(self, epoch: int, logs: dict[str, float] | None = None) -> None:
        if self.unit == "epoch":
            self._set(epoch)

    def on_train_batch_begin(
        self, batch: int, logs: dict[str, float] | None = None
    ) -> None:
        if self.unit == "step":
            self._set(int(number(self.model.optimizer.iterations)))

    def on_epoch_end(self, epoch: int, logs: dict[str, float] | None = None) -> None:
        if self.unit == "step":
            check_counted(self.model)
        if logs is not None:
            logs["gamma"] = number(self.model.gamma)

    def _set(self, position: int) -> None:
        likelihood = find_rule(self.model)
        if likelihood is not None and number(likelihood.decay) < 1:
            raise ValueError(
                "both ComputedGamma and GammaSchedule set gamma: use one of them"
            )
        gamma = (
            self.curve(position)
            if callable(self.curve)
            else self.curve[min(position, len(self.curve) - 1)]
        )
        if not (
            np.ndim(gamma) == 0
            and np.asarray(gamma).dtype.kind in "fiu"
            and 0 < gamma < math.inf
        ):
            raise ValueError(
                f"the curve gave {gamma} at {self.unit} {position}, expected a positive"
                " standard deviation"
            )
        set_gamma(self.model, float(gamma))

    def get_config(self) -> dict[str, Any]:
        return {
            "curve": (
                self.curve if callable(self.curve) else [float(v) for v in self.curve]
            ),
            "unit": self.unit,
        }

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> Self:
        return cls(**restore_config(config))


def _is_sequence(curve: Callable[[int], float] | Sequence[float]) -> bool:
    try:
        return (
            np.ndim(curve) == 1
            and np.size(curve) > 0
            and np.asarray(curve).dtype.kind in "fiu"
        )
    except ValueError:  # lines of several lengths
        return False
