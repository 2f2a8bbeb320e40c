"""Warns when latents collapse or blow up."""

import json
import logging
import os
from collections.abc import Callable
from typing import Any

import keras
import numpy as np

from . import files
from .arguments import real, variance_threshold
from .posterior_watcher import PosteriorWatcher
from .statistics import mean_variance, variance_law

MESSAGES = {
    "died": (
        "collapsed: a smaller KL weight, a KL warm-up or free bits usually help; too"
        " large a gamma prunes latents, too"
    ),
    "blew up": (
        "exploded: a smaller learning rate usually helps, or a floor for gamma; a"
        " variance law far above 1 spoils samples from N(0, I)"
    ),
}


@keras.saving.register_keras_serializable("callbacks")
class CollapseAlarm(PosteriorWatcher):
    """Warns, by number, of latents that died (collapsed) or blew up since the last
    measured epoch, with what usually helps.

    A latent has died where E[sigma^2] has risen to `threshold` or above and was below
    it in an earlier epoch of this training; latents that never carried anything are
    not reported. It has blown up where Var[mu] + E[sigma^2] is above `limit`, or NaN.

    Adds `logs["latents_died"]` and `logs["latents_blown_up"]`: how many are so now. To
    monitor: `mode="min"`.

    Args:
        data: Examples as `fit` gets them; see `PosteriorWatcher`.
        posterior: `posterior(model, x)` -> (mean, log_var), each (batch, k). `None`:
            the model's own, see the package's docstring.
        max_samples: Most examples that are encoded, a fixed random subset.
        freq: Measures after the first epoch of a fit and after every one that `freq`
            divides.
        threshold: On E[sigma^2], in (0, 1].
        limit: On the variance law, above 1.
        prefix: Put before the keys, such as "val_" for held-out data.
        path: A `.json` file that keeps which latents were active, for a training that
            another process resumes (`BackupAndRestore`). Without it a resumed
            training counts as active those that are active when it resumes.

    Example:

    ```python
    vae.fit(images, callbacks=[CollapseAlarm(images)])
    ```

    Raises:
        ValueError: bad arguments; when training begins, a model without a usable
            posterior.
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
        prefix: str = "",
        path: str | os.PathLike | None = None,
    ):
        super().__init__(data, posterior, max_samples, freq, prefix)
        self.threshold = variance_threshold(threshold)
        self.limit = real("limit", limit, lambda v: v > 1, "a number above 1")
        self.path = None if path is None else os.fspath(path)
        self.reset()

    def reset(self) -> None:
        self._were_active: set[int] = set()
        self._reported: dict[str, set[int]] = {what: set() for what in MESSAGES}

    def recall(self) -> None:
        if self.path and os.path.exists(self.path):
            with open(self.path, encoding="utf-8") as file:
                self._remember(json.load(file))
        else:
            self._were_active = self._active(mean_variance(self.moments()[1]))

    def measure(self, mean: np.ndarray, log_var: np.ndarray) -> dict[str, float]:
        variance = mean_variance(log_var)
        self._were_active |= self._active(variance)
        law = variance_law(mean, log_var)
        blown_up = set(np.flatnonzero(~(law <= self.limit)).tolist())  # NaN, too
        inactive = set(np.flatnonzero(variance >= self.threshold).tolist())
        died = (self._were_active & inactive) - blown_up
        now = {"died": died, "blew up": blown_up}
        for what, latents in now.items():
            self._report(what, sorted(latents - self._reported[what]))
        self._reported = now
        if self.path:
            files.write(self.path, json.dumps(self._memory()).encode())
        return {
            "latents_died": float(len(died)),
            "latents_blown_up": len(blown_up) * 1.0,
        }

    def get_state(self) -> dict[str, Any]:
        return {**super().get_state(), **self._memory()}

    def set_state(self, state: dict[str, Any]) -> None:
        super().set_state(state)
        self._remember(state)

    def get_config(self) -> dict[str, Any]:
        names = ("threshold", "limit", "path")
        return {**super().get_config(), **{name: getattr(self, name) for name in names}}

    def _active(self, variance: np.ndarray) -> set[int]:
        return set(np.flatnonzero(variance < self.threshold).tolist())

    def _report(self, what: str, latents: list[int]) -> None:
        if latents:
            numbers = ", ".join(map(str, latents))
            logging.getLogger(__name__).warning(
                "%slatents %s %s", self.prefix, numbers, MESSAGES[what]
            )

    def _memory(self) -> dict[str, Any]:
        reported = {what: sorted(latents) for what, latents in self._reported.items()}
        return {"were_active": sorted(self._were_active), "reported": reported}

    def _remember(self, memory: dict[str, Any]) -> None:
        self._were_active = set(memory["were_active"])
        self._reported = {what: set(memory["reported"][what]) for what in MESSAGES}
