"""Gamma computed from the minibatches' mean squared error."""

import logging
import math
from typing import Any

import keras
import numpy as np

from .arguments import real, text
from .batch_error import BatchError
from .contract import (
    check_gamma,
    check_modes,
    check_single_steps,
    check_start,
    find_rule,
    find_variable,
    get_gamma,
    number,
    set_gamma,
)
from .model_callback import ModelCallback
from .training_progress import optimizer_steps
from .variable_use import VariableUse

RULES = {
    "minimum": (0.0, True),
    "ratchet": (0.99, True),
    "ema": (0.99, False),
    "batch": (0.0, False),
}  # decay, monotone
# A last minibatch of fewer rows than this part of the others' moves no gamma. The error
# of few rows may be far below the data's, and a running minimum would keep it.
REMAINDER = 0.5
EIGHT_BIT_FLOOR = 0.0011  # the standard deviation of rounding to 8 bits, in [0, 1]


@keras.saving.register_keras_serializable("callbacks")
class ComputedGamma(ModelCallback):
    """Sets the decoder's standard deviation gamma from the minibatches' mean squared
    error.

    With g = gamma^2 and b the mean squared error of a minibatch (over batch, pixels and
    channels, in training mode), after every step: candidate = decay g + (1 - decay) b,
    then g <- min(g, candidate) if the rule is monotone, else candidate; the next step
    uses it.

    | rule      | decay | monotone | |
    |-----------|-------|----------|-|
    | `minimum` | 0     | yes | running minimum of minibatch mse (their text); biased |
    | `ratchet` | 0.99  | yes | their released code |
    | `ema`     | 0.99  | no  | moving average, without bias |
    | `batch`   | 0     | no  | the last minibatch |

    In a `twostage.VAE` the rule is part of the compiled step; the callback arms it when
    training begins, disarms it at the end and is exact in every mode. In any other
    model it reads the minibatch's error at each batch's end: from a variable
    `model.batch_mse` that the step assigns (exact), else from the Mean metric "mse",
    such as that of `compile(metrics=["mse"])` (relative error at most 2e-7 times the
    steps of the epoch, unless one minibatch's error is far below the others'). Where
    `fit` gets sample weights: `compile(weighted_metrics=["mse"])`, and a `batch_mse`
    that is the weighted mean.

    A remainder at the end of an epoch, of less than half as many rows as the other
    minibatches, moves no gamma. A variable `batch_mse`, or a metric that the step feeds
    with the mean alone, has no number of rows: a last minibatch with less than half of
    the error of all others is then followed, with a warning.

    Args:
        rule: One of the above.
        decay: Replaces the rule's own, 0 <= decay < 1.
        floor: Least gamma, in the data's unit. `None`: the model's own floor where its
            likelihood states one, else 0.0011, the rounding of 8-bit images in [0, 1].
            The first epoch in which it binds is logged as a warning.
        attribute: The model's variable that holds gamma.

    Example:

    ```python
    vae.fit(images, callbacks=[ComputedGamma(rule="minimum")])
    ```

    Requires: see the package's docstring. Adds `logs["gamma"]`, or the name of another
    `attribute`: the value in force after the epoch, not a mean. To monitor:
    `mode="min"`. An error that is not finite moves no gamma. In another model than a
    `twostage.VAE` it causes a warning, as does a loss that does not read the variable.

    Raises:
        ValueError: an unknown rule or a bad decay or floor; when training begins, a
            model that lacks what is needed, a gamma that is no standard deviation,
            `steps_per_execution` above 1 in a model without the rule inside, or what
            Keras cannot do on several replicas; within it, another callback that sets
            gamma, a second ComputedGamma, or a callback that evaluates the model
            between this one and the step.
    """

    def __init__(
        self,
        rule: str = "minimum",
        decay: float | None = None,
        floor: float | None = None,
        attribute: str = "gamma",
    ):
        super().__init__()
        if rule not in RULES:
            raise ValueError(
                f"received rule {rule!r}, expected one of {', '.join(RULES)}"
            )
        if decay is not None:
            expected = "0 <= decay < 1 (1 would never move gamma), or None"
            decay = real("decay", decay, lambda v: 0 <= v < 1, expected)
        if floor is not None:
            expected = "a positive standard deviation, or None"
            floor = real("floor", floor, lambda v: 0 < v < math.inf, expected)
        self.rule, self.decay, self.floor = rule, decay, floor
        self.attribute = text("attribute", attribute)
        self.use = VariableUse(attribute, "gamma")
        self._floor_seen = self._diverged = False

    def on_train_begin(self, logs: dict[str, float] | None = None) -> None:
        model = self.model
        check_gamma(model, self.attribute)
        check_modes(model)
        self._floor_seen = self._diverged = False
        self._in_step = find_rule(model) is not None
        decay, monotone = RULES[self.rule]
        decay = decay if self.decay is None else self.decay
        if self._in_step:
            likelihood = find_rule(model)
            likelihood.floor_squared.assign((self.floor or likelihood.floor) ** 2)
            likelihood.decay.assign(decay)
            likelihood.monotone.assign(float(monotone))
            return
        check_single_steps(model, "the error of each batch is read at its end")
        self._batch_error = BatchError(model)
        self._decay, self._monotone = decay, monotone
        self._least = (self.floor or EIGHT_BIT_FLOOR) ** 2
        self._set: float | None = None
        self._least_error = math.inf
        self._small_last = False
        self.on_epoch_begin(0)  # which a loop without `fit` may not call
        self._start = get_gamma(model, self.attribute)
        self._first = not optimizer_steps(model)

    def on_epoch_begin(self, epoch: int, logs: dict[str, float] | None = None) -> None:
        self._rows: list[float] = []  # of each minibatch, as the metric counts them
        self._errors: list[float] = []

    def on_train_batch_begin(
        self, batch: int, logs: dict[str, float] | None = None
    ) -> None:
        if self._in_step:
            # before `self.model`: on JAX that brings all weights back, at every step
            return
        model = self.model
        self.use.begin(model, find_variable(model, self.attribute))
        self._batch_error.begin(model)

    def on_train_batch_end(
        self, batch: int, logs: dict[str, float] | None = None
    ) -> None:
        if self._in_step:
            return
        model = self.model
        self.use.end(model)
        error, rows = self._batch_error.end(model)
        if rows == 0:
            return
        if not math.isfinite(error):
            self._warn_of(error)
            return
        gamma = get_gamma(model, self.attribute)
        if self._set is None:
            check_start(model, self.attribute, gamma, error)
        elif not math.isclose(gamma, self._set, rel_tol=1e-5):
            raise ValueError(
                f"gamma is {gamma:.6g} and was set to {self._set:.6g} a step ago,"
                " expected nothing else to move it: drop the other callback that"
                " sets it"
            )
        self._least_error = min(self._least_error, error)
        self._errors.append(error)
        remains = self._is_remainder(batch, rows)
        self._set = gamma if remains else self._next(gamma**2, error)
        set_gamma(model, self._set, self.attribute)

    def on_epoch_end(self, epoch: int, logs: dict[str, float] | None = None) -> None:
        model = self.model
        likelihood = find_rule(model)
        if likelihood is not None:
            # The last batch of the epoch waits for a next step that may not come: use
            # it now, and mark it as used.
            likelihood.apply_rule()
            likelihood.batch_mse.assign(
                number(likelihood.gamma_squared)
            )  # a copied number: on JAX two weights may not share a buffer
            self._least = number(likelihood.floor_squared)
        gamma = get_gamma(model, self.attribute)
        if gamma <= self._least**0.5 * (1 + 1e-6) and not self._floor_seen:
            self._floor_seen = True
            logging.getLogger(__name__).warning(
                "epoch %d: gamma has reached its floor %.4g", epoch + 1, gamma
            )
        if not self._in_step:
            self._name_output(logs or {})
            self._check_last(epoch, gamma)
            self._check_fall(gamma)
        self.check_loop()
        if logs is not None:
            logs[self.attribute] = gamma

    def on_train_end(self, logs: dict[str, float] | None = None) -> None:
        likelihood = find_rule(self.model)
        if likelihood is not None:
            likelihood.decay.assign(1.0)

    def get_state(self) -> dict[str, Any]:
        """What a resumed training must know beside the weights, in JSON's types."""
        return {"floor_seen": self._floor_seen}

    def set_state(self, state: dict[str, Any]) -> None:
        """Resumes from `get_state()`. Call it after `on_train_begin`."""
        self._floor_seen = state["floor_seen"]

    def get_config(self) -> dict[str, Any]:
        names = ("rule", "decay", "floor", "attribute")
        return {name: getattr(self, name) for name in names}

    def _is_remainder(self, batch: int, rows: float) -> bool:
        """Whether a minibatch has far fewer rows than the others, and is the last where
        it is known which one is.
        """
        others, self._rows = self._rows, [*self._rows, rows]
        steps = self.steps_per_epoch
        if not others or (steps and batch + 1 < steps):
            return False
        return rows < REMAINDER * float(np.median(others))

    def _warn_of(self, error: float) -> None:
        """Warns once in a fit of an error that gamma does not follow."""
        if self._diverged:
            return
        self._diverged = True
        logging.getLogger(__name__).warning(
            "a minibatch's mean squared error is %s, expected a finite number, so gamma"
            " does not follow it: the training has diverged, or the error overflows"
            " float16 (compute it in float32)",
            error,
        )

    def _name_output(self, logs: dict[str, float]) -> None:
        """Warns, after the first epoch of a training, where the error is that of one of
        several outputs: Keras then puts the output's name before the metric's.
        """
        if self._batch_error.assigned or not self._first or "mse" in logs:
            return
        found = [
            key for key in logs if key.endswith("_mse") and not key.startswith("val_")
        ]
        if found:
            logging.getLogger(__name__).warning(
                "gamma follows %s, the error of one of several outputs: if that is not"
                " the reconstruction, assign its error to a variable model.batch_mse",
                found[0],
            )

    def _check_last(self, epoch: int, gamma: float) -> None:
        """Warns once, after the first epoch of a training, where gamma can only fall
        and has followed a last minibatch that may be of few rows.
        """
        *others, last = self._errors or [math.nan]
        small = bool(others) and last < 0.5 * min(others) and gamma**2 <= last * 1.001
        if self._first or self._small_last or not (self._monotone and small):
            return
        self._small_last = True
        logging.getLogger(__name__).warning(
            "epoch %d: the last minibatch has a mean squared error of %.3g, all others"
            " %.3g or more, and gamma follows it for good: if it has fewer examples,"
            " leave it out (`drop_remainder=True`, or a batch size that divides the"
            " number of examples), or use rule='ema'",
            epoch + 1,
            last,
            min(others),
        )

    def _check_fall(self, gamma: float) -> None:
        """Warns, after the first epoch of a training, of a gamma that cannot fall."""
        first, self._first = self._first, False
        stuck = gamma == self._start and self._least_error > 2 * gamma**2
        if first and self._monotone and stuck:
            logging.getLogger(__name__).warning(
                "gamma is still %.4g, and the least root mean squared error of a"
                " minibatch is %.4g: under the rule '%s' gamma can only fall. Start it"
                " at the data's standard deviation or above",
                gamma,
                self._least_error**0.5,
                self.rule,
            )

    def _next(self, g: float, error: float) -> float:
        """Gamma after a minibatch of mean squared error `error`, from g = gamma^2."""
        candidate = self._decay * g + (1 - self._decay) * error
        chosen = min(g, candidate) if self._monotone else candidate
        return max(chosen, self._least) ** 0.5
