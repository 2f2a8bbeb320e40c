"""Tells when latents die or blow up."""

import logging
from collections.abc import Callable
from typing import Any

import keras
import numpy as np

from .posterior_watcher import PosteriorWatcher
from .statistics import mean_variance, variance_law

ADVICE = {
    "died": (
        "a smaller KL weight, a KL warm-up or free bits usually help; a gamma that is"
        " too large prunes latents too"
    ),
    "blew up": (
        "a smaller learning rate usually helps, or a floor for gamma; a variance law"
        " far above 1 spoils samples from N(0, I)"
    ),
}


@keras.saving.register_keras_serializable("callbacks")
class CollapseAlarm(PosteriorWatcher):
    """Warns, by name, of latents that died or blew up since the last look, and says
    what usually helps.

    A latent has died where E[sigma^2] has come to `threshold` or above and was below it
    at an earlier look of this fit; latents that never carried anything are no news. It
    has blown up where Var[mu] + E[sigma^2] is above `limit`, or no number.

    Adds `logs["latents_died"]` and `logs["latents_blown_up"]`: how many are so at this
    look.

    Args:
        data: Array of examples (N, ...), as the model is fitted on.
        posterior: `posterior(model, x)` -> (mean, log_var), each (batch, k). `None`:
            the model's own, see the package's docstring.
        max_samples: Rows looked at, a fixed random subset.
        freq: Looks after the first epoch and after every one that `freq` divides; the
            keys hold NaN between.
        threshold: On E[sigma^2], between 0 and 1.
        limit: On the variance law, above 1.

    Example:

    ```python
    vae.fit(images, callbacks=[CollapseAlarm(images)])
    ```

    Raises:
        ValueError: bad arguments; when training begins, a model without a posterior to
            look at.
    """

    keys = ("latents_died", "latents_blown_up")

    def __init__(
        self,
        data: Any,
        posterior: Callable | None = None,
        max_samples: int = 10_000,
        freq: int = 1,
        threshold: float = 0.8,
        limit: float = 4.0,
    ):
        super().__init__(data, posterior, max_samples, freq)
        if not (0 < threshold <= 1 < limit):
            raise ValueError(
                f"received threshold={threshold} and limit={limit}, expected a"
                " threshold in (0, 1] and a limit above 1"
            )
        self.threshold, self.limit = threshold, limit
        self._start()

    def _start(self) -> None:
        self._were_active, self._told = set(), {"died": set(), "blew up": set()}

    def on_train_begin(self, logs: dict[str, float] | None = None) -> None:
        super().on_train_begin(logs)
        self._start()

    def figures(self, mean: np.ndarray, log_var: np.ndarray) -> dict[str, float]:
        variance = mean_variance(log_var)
        self._were_active |= set(np.flatnonzero(variance < self.threshold).tolist())
        blown_up = set(
            np.flatnonzero(~(variance_law(mean, log_var) <= self.limit)).tolist()
        )  # NaN is no death
        now = {
            "died": (
                {i for i in self._were_active if variance[i] >= self.threshold}
                - blown_up
            ),
            "blew up": blown_up,
        }
        for what, latents in now.items():
            news = sorted(latents - self._told[what])
            if news:
                logging.getLogger(__name__).warning(
                    "latents %s %s: %s", ", ".join(map(str, news)), what, ADVICE[what]
                )
        self._told = now
        return dict(
            zip(
                self.keys,
                (float(len(now["died"])), float(len(now["blew up"]))),
                strict=True,
            )
        )

    def get_state(self) -> dict[str, Any]:
        """What a later look has to know of the earlier ones, in JSON's types."""
        return {
            "were_active": sorted(self._were_active),
            "told": {what: sorted(latents) for what, latents in self._told.items()},
        }

    def set_state(self, state: dict[str, Any]) -> None:
        """Goes on from `get_state()`; after `on_train_begin`, which starts afresh."""
        self._were_active = set(state["were_active"])
        self._told = {what: set(latents) for what, latents in state["told"].items()}

    def get_config(self) -> dict[str, Any]:
        return {
            **super().get_config(),
            "threshold": self.threshold,
            "limit": self.limit,
        }
