"""What the callbacks that look at the posterior have in common."""

from collections.abc import Callable
from typing import Any, Self

import keras

from .contract import check_posterior, find_posterior, random_subset, restore_config


class PosteriorWatcher(keras.callbacks.Callback):
    """Abstract: at an epoch's end encodes a fixed random subset of the data, and puts
    `figures` of its posterior into `logs`.

    A subclass names its `keys`, and computes `figures(mean, log_var)` -> {key: float}
    from two float64 arrays (N, k).

    Args:
        data: Array of examples (N, ...), as the model is fitted on.
        posterior: `posterior(model, x)` -> (mean, log_var), each (batch, k). `None`:
            the model's own, see the package's docstring.
        max_samples: Rows looked at, a fixed random subset.
        freq: Looks after the first epoch and after every one that `freq` divides; the
            keys hold NaN between.
    """

    keys = ()

    def __init__(
        self,
        data: Any,
        posterior: Callable | None = None,
        max_samples: int = 10_000,
        freq: int = 1,
    ):
        super().__init__()
        if max_samples < 2 or freq < 1:
            raise ValueError(
                f"received max_samples={max_samples} and freq={freq}, expected at least"
                " 2 and 1"
            )
        self.data, self.posterior, self.max_samples, self.freq = (
            random_subset(data, max_samples),
            posterior,
            max_samples,
            freq,
        )

    def on_train_begin(self, logs: dict[str, float] | None = None) -> None:
        check_posterior(self.model, self.posterior, self.data)

    def on_epoch_end(self, epoch: int, logs: dict[str, float] | None = None) -> None:
        found = dict.fromkeys(self.keys, float("nan"))
        if (
            epoch == 0 or (epoch + 1) % self.freq == 0
        ):  # a first NaN would stay the best of all that compares with it
            found = self.figures(*find_posterior(self.model, self.data, self.posterior))
        if logs is not None:
            logs.update(found)

    def get_config(self) -> dict[str, Any]:
        return {
            "data": self.data,
            "posterior": self.posterior,
            "max_samples": self.max_samples,
            "freq": self.freq,
        }

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> Self:
        return cls(**restore_config(config))
