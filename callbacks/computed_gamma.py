"""Gamma computed from the minibatches' mean squared error."""

import logging
import math
from typing import Any, Self

import keras

from .contract import (
    check_gamma,
    check_modes,
    check_variable,
    find_mse,
    find_rule,
    number,
    set_gamma,
)

RULES = {
    "minimum": (0.0, True),
    "ratchet": (0.99, True),
    "ema": (0.99, False),
    "batch": (0.0, False),
}  # decay, monotone


@keras.saving.register_keras_serializable("callbacks")
class ComputedGamma(keras.callbacks.Callback):
    """Sets the decoder's standard deviation gamma from the minibatches' mean squared
    error.

    With g = gamma^2 and b the mean squared error of a minibatch (over batch, pixels and
    channels, in the training mode), after
    every step: candidate = decay g + (1 - decay) b, then g <- min(g, candidate) if the
    rule is monotone, else candidate; the next step uses it.

    | rule      | decay | monotone | |
    |-----------|-------|----------|-|
    | `minimum` | 0     | yes | running minimum of minibatch mse (Asperti & Trentin's
    text); ends below the true error, see docs |
    | `ratchet` | 0.99  | yes | their released code |
    | `ema`     | 0.99  | no  | moving average, without bias |
    | `batch`   | 0     | no  | the last minibatch |

    In a `twostage.VAE` the rule is part of the compiled step; the callback arms it when
    training begins, disarms it at the end and is exact in every mode. In any other
    model it reads the minibatch's error at each batch's end: from a variable
    `model.batch_mse` that the step assigns (exact), else from the Mean metric "mse"
    (within 2e-7 times the steps of the epoch, where no minibatch's squared error is far
    below the others').

    Args:
        rule: One of the above.
        decay: Replaces the rule's own, 0 <= decay < 1.
        floor: Least gamma. `None`: the model's own floor where its likelihood states
            one, else 0.0011, the rounding of 8-bit images in [0, 1]. The first epoch in
            which it binds is logged as a warning.

    Example:

    ```python
    vae.fit(images, callbacks=[ComputedGamma(rule="minimum")])
    ```

    Requires: see the package's docstring. Adds `logs["gamma"]`, the value in force
    after the epoch, not a mean.

    Raises:
        ValueError: an unknown rule or a bad decay or floor; when training begins, a
            model that lacks what is needed, or `steps_per_execution` above 1 in a model
            without the rule inside, or what Keras cannot do on several replicas.
    """

    def __init__(
        self,
        rule: str = "minimum",
        decay: float | None = None,
        floor: float | None = None,
    ):
        super().__init__()
        if rule not in RULES:
            raise ValueError(
                f"received rule {rule!r}, expected one of {', '.join(RULES)}"
            )
        if decay is not None and not 0 <= decay < 1:
            raise ValueError(
                f"received decay {decay}, expected 0 <= decay < 1 (1 would never move"
                " gamma)"
            )
        if floor is not None and not 0 < floor < math.inf:
            raise ValueError(
                f"received floor {floor}, expected a positive standard deviation, or"
                " None"
            )
        self.rule, self.decay, self.floor = rule, decay, floor
        self._start()

    def _start(self) -> None:
        self._total = self._count = 0.0
        self._floor_seen, self._set = False, None

    def on_train_begin(self, logs: dict[str, float] | None = None) -> None:
        self._start()
        self._step_rule = None  # set where the rule runs here and not in the step
        likelihood, (decay, monotone) = find_rule(self.model), RULES[self.rule]
        decay = decay if self.decay is None else self.decay
        check_gamma(self.model)
        check_modes(self.model)
        if likelihood is None:
            if hasattr(self.model, "batch_mse"):
                check_variable(
                    self.model,
                    "batch_mse",
                    "the training step assigns: each minibatch's mean squared error",
                )
            else:
                find_mse(self.model)
            if self.model.steps_per_execution > 1:
                raise ValueError(
                    f"received steps_per_execution={self.model.steps_per_execution},"
                    " expected 1: this model's batches are seen at their end only, and"
                    " Keras calls a callback once for them all. Compile with"
                    " steps_per_execution=1"
                )
            self._step_rule, self._least = (
                (decay, monotone),
                (self.floor or 0.0011) ** 2,
            )
            return
        likelihood.floor_squared.assign((self.floor or likelihood.floor) ** 2)
        likelihood.decay.assign(decay)
        likelihood.monotone.assign(float(monotone))

    def on_train_batch_end(
        self, batch: int, logs: dict[str, float] | None = None
    ) -> None:
        if self._step_rule is None:
            # before any look at the model: on JAX that would bring all its weights
            # back, at every step
            return
        model = self.model
        if hasattr(model, "batch_mse"):
            error = number(model.batch_mse)
        # batch-end logs are means since the epoch began; the metric's sums give the
        # batch's own value
        else:
            metric = find_mse(model, trained=True)
            total, count = number(metric.total), number(metric.count)
            if count <= self._count:  # reset by a new epoch
                self._total = self._count = 0.0
            if not count > self._count:
                raise ValueError(
                    "the metric 'mse' got nothing in this step, expected the"
                    " minibatch's error: call self.mse.update_state(mse) in it"
                )
            error = (total - self._total) / (count - self._count)
            self._total, self._count = total, count
        decay, monotone = self._step_rule
        gamma = number(model.gamma)
        if self._set is not None and not math.isclose(gamma, self._set, rel_tol=1e-5):
            raise ValueError(
                f"gamma is {gamma:.6g} and was set to {self._set:.6g} a step ago,"
                " expected nothing else to move it: drop the other callback that"
                " sets it"
            )
        g = gamma**2
        candidate = decay * g + (1 - decay) * error
        self._set = (
            max(min(g, candidate) if monotone else candidate, self._least) ** 0.5
        )
        set_gamma(model, self._set)

    def on_epoch_end(self, epoch: int, logs: dict[str, float] | None = None) -> None:
        likelihood = find_rule(self.model)
        if likelihood is not None:
            # The last batch of the epoch waits for a next step that may not come: use
            # it now, and mark it as used.
            likelihood.apply_rule()
            likelihood.batch_mse.assign(
                number(likelihood.gamma_squared)
            )  # a copied number: on JAX two weights may not share a buffer
            self._least = number(likelihood.floor_squared)
        else:
            self._total = self._count = 0.0
        gamma = number(self.model.gamma)
        if gamma <= self._least**0.5 * (1 + 1e-6) and not self._floor_seen:
            self._floor_seen = True
            logging.getLogger(__name__).warning(
                "epoch %d: gamma has reached its floor %.4g", epoch + 1, gamma
            )
        if logs is not None:
            logs["gamma"] = gamma

    def on_train_end(self, logs: dict[str, float] | None = None) -> None:
        likelihood = find_rule(self.model)
        if likelihood is not None:
            likelihood.decay.assign(1.0)

    def get_state(self) -> dict[str, Any]:
        """What a fit in its midst has to remember beside the model's weights, in JSON's
        types.
        """
        return {
            "floor_seen": self._floor_seen,
            "total": self._total,
            "count": self._count,
        }

    def set_state(self, state: dict[str, Any]) -> None:
        """Goes on from `get_state()`; after `on_train_begin`, which starts afresh."""
        self._floor_seen, self._total, self._count = (
            state["floor_seen"],
            state["total"],
            state["count"],
        )

    def get_config(self) -> dict[str, Any]:
        return {"rule": self.rule, "decay": self.decay, "floor": self.floor}

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> Self:
        return cls(**config)
