"""What the callbacks that measure the posterior have in common."""

import logging
from abc import ABC, abstractmethod
from collections.abc import Callable
from typing import Any

import keras
import numpy as np

from .arguments import posterior_function, text, whole
from .examples import random_subset
from .model_callback import ModelCallback
from .posterior import check_posterior, check_scale, find_posterior
from .statistics import variance_law
from .training_progress import TrainingProgress

MAX_LAW = 25.0  # no posterior that is learning is so wide
LARGE, LAW_OF_LARGE = 10.0, 4.0  # of data that look as if they were not scaled


class PosteriorWatcher(ModelCallback, ABC):
    """Abstract: at an epoch's end encodes a fixed random subset of the data, and puts
    metrics of its posterior into `logs`.

    A subclass names its `keys`, and computes `measure(mean, log_var)` -> {key: float}
    from two float64 arrays (N, k). What it remembers of earlier epochs it drops in
    `reset()`, and gives and takes in `get_state()` and `set_state()`.

    Args:
        data: Examples as `fit` gets them: an array (N, ...), a list or dict of
            arrays, a DataFrame, or batches that can be counted; see
            `examples.random_subset`.
        posterior: `posterior(model, x)` -> (mean, log_var), each (batch, k). `None`:
            the model's own, see the package's docstring.
        max_samples: Most examples that are encoded, a fixed random subset.
        freq: Measures after the first epoch of a fit and after every one that `freq`
            divides. Other epochs do not get the keys.
        prefix: Put before the keys, such as "val_" for held-out data.
    """

    keys: tuple[str, ...] = ()

    def __init__(
        self,
        data: Any,
        posterior: Callable | None = None,
        max_samples: int = 10_000,
        freq: int = 1,
        prefix: str = "",
    ):
        super().__init__()
        self.max_samples = whole("max_samples", max_samples, 2)
        self.freq = whole("freq", freq, 1)
        self.data = random_subset(data, self.max_samples)
        self.posterior = posterior_function(posterior)
        self.prefix = text("prefix", prefix)
        self.progress = TrainingProgress()
        self._measured = False  # in this fit
        self._warned = self._wide = False

    @abstractmethod
    def measure(self, mean: np.ndarray, log_var: np.ndarray) -> dict[str, float]:
        """The metrics of a posterior, by key."""

    def reset(self) -> None:
        """Drops earlier epochs: another training begins."""

    def recall(self) -> None:
        """Restores what another process saved: this training is resumed."""

    def on_train_begin(self, logs: dict[str, float] | None = None) -> None:
        model = self.model
        check_posterior(model, self.posterior, self.data)
        self._scale_known = check_scale(model, self.posterior, self.data)
        self._measured = False
        self._new = not self.progress.begin(model)
        if self._new:
            self._warned = self._wide = False
            self.reset()

    def on_epoch_begin(self, epoch: int, logs: dict[str, float] | None = None) -> None:
        # not in on_train_begin: BackupAndRestore may come later in the list
        self.progress.resume(self.model, epoch, self.steps_per_epoch)
        if self._new and (epoch > 0 or self.progress.steps(self.model) > 0):
            self.recall()
        self._new = False

    def on_epoch_end(self, epoch: int, logs: dict[str, float] | None = None) -> None:
        due = (self.progress.epoch(epoch) + 1) % self.freq == 0
        # The first epoch has the keys, for CSVLogger takes its columns from there.
        if self._measured and not due:
            return
        self._measured = True
        if not self._scale_known:  # before training the scales may be too alike
            self._scale_known = check_scale(
                self.model, self.posterior, self.data, trained=True
            )
        mean, log_var = self.moments()
        self._check_units(mean, log_var)
        found = self.measure(mean, log_var)
        self.check_loop()
        if logs is not None:
            self._check_keys(logs)
            logs.update({self.prefix + key: value for key, value in found.items()})

    def moments(self) -> tuple[np.ndarray, np.ndarray]:
        """(mean, log_var) of the examples at present, float64, each (N, k)."""
        mean, log_var = find_posterior(self.model, self.data, self.posterior)
        return mean.reshape(len(mean), -1), log_var.reshape(len(mean), -1)

    def get_state(self) -> dict[str, Any]:
        """What a resumed training must know beside the weights, in JSON's types."""
        return {"measured": self._measured}

    def set_state(self, state: dict[str, Any]) -> None:
        """Resumes from `get_state()`. Call it after `on_train_begin`."""
        self._measured, self._new = state["measured"], False

    def get_config(self) -> dict[str, Any]:
        names = ("data", "posterior", "max_samples", "freq", "prefix")
        return {name: getattr(self, name) for name in names}

    def _check_units(self, mean: np.ndarray, log_var: np.ndarray) -> None:
        """Warns once of a posterior that is far too wide."""
        law = float(variance_law(mean, log_var).mean())
        arrays = keras.tree.flatten(self.data)
        large = max(np.abs(array).max() for array in arrays) > LARGE
        if self._wide or not law > (LAW_OF_LARGE if large else MAX_LAW):
            return
        self._wide = True
        logging.getLogger(__name__).warning(
            "Var[mu] + E[sigma^2] is %.3g, expected about 1. Either the posterior"
            " exploded, or the data of %s (from %g to %g) are in other units than those"
            " that the model is fitted on",
            law,
            type(self).__name__,
            min(array.min() for array in arrays),
            max(array.max() for array in arrays),
        )

    def _check_keys(self, logs: dict[str, float]) -> None:
        """Warns once where another callback has written the same keys."""
        taken = [self.prefix + key for key in self.keys if self.prefix + key in logs]
        if taken and not self._warned:
            self._warned = True
            logging.getLogger(__name__).warning(
                "logs[%r] is written twice: give one of the %s callbacks a prefix, such"
                " as prefix='val_'",
                taken[0],
                type(self).__name__,
            )
