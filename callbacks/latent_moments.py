"""Mean and variance of the aggregate posterior, latent by latent, through training."""

import io
import os
from collections.abc import Callable
from typing import Any

import keras
import numpy as np

from .contract import check_counted, find_posterior, number
from .posterior_watcher import PosteriorWatcher
from .statistics import mean_variance


@keras.saving.register_keras_serializable("callbacks")
class LatentMoments(PosteriorWatcher):
    """Records for each latent E[mu], Var[mu] and E[sigma^2] through training (Asperti &
    Trentin, Figures 5 to 7).

    The attribute `records` holds one row a look: `step` (T,), the optimiser's steps
    done, and `mean`, `variance_of_mean`, `mean_variance`, each (T, k). Adds
    `logs["posterior_variance_min"]`, `logs["posterior_variance_mean"]` and
    `logs["posterior_variance_max"]`: of E[sigma^2] over the latents.

    Args:
        data: Array of examples (N, ...), as the model is fitted on.
        posterior: `posterior(model, x)` -> (mean, log_var), each (batch, k). `None`:
            the model's own, see the package's docstring.
        max_samples: Rows looked at, a fixed random subset.
        freq: Looks after the first epoch and after every one that `freq` divides; the
            keys hold NaN between.
        every_steps: Also looks within the epochs, after every so many steps (with
            `steps_per_execution`, at the end of the execution that holds the step). 0:
            at their ends only.
        path: An `.npz` file that gets the records whenever there are new ones.

    Example:

    ```python
    moments = LatentMoments(images, max_samples=2000, every_steps=10)
    vae.fit(images, callbacks=[moments])
    moments.records["mean_variance"]  # (T, k): which latents leave 1, and when
    ```

    Raises:
        ValueError: bad arguments; when training begins, a model without a posterior to
            look at.
    """

    keys = (
        "posterior_variance_min",
        "posterior_variance_mean",
        "posterior_variance_max",
    )

    def __init__(
        self,
        data: Any,
        posterior: Callable | None = None,
        max_samples: int = 10_000,
        freq: int = 1,
        every_steps: int = 0,
        path: str | os.PathLike | None = None,
    ):
        super().__init__(data, posterior, max_samples, freq)
        if every_steps < 0 or every_steps != int(every_steps):
            raise ValueError(
                f"received every_steps={every_steps}, expected 0 (epochs' ends only) or"
                " a whole number of more"
            )
        self.every_steps, self.path = (
            int(every_steps),
            None if path is None else os.fspath(path),
        )
        self.records = {}

    def on_train_begin(self, logs: dict[str, float] | None = None) -> None:
        super().on_train_begin(logs)
        self.records = {}
        if self.path:
            os.makedirs(os.path.dirname(self.path) or ".", exist_ok=True)

    def on_epoch_begin(self, epoch: int, logs: dict[str, float] | None = None) -> None:
        self._steps = 0  # done in this epoch

    def on_train_batch_end(
        self, batch: int, logs: dict[str, float] | None = None
    ) -> None:
        before, self._steps = (
            self._steps,
            batch + 1,
        )  # several at once with steps_per_execution
        if (
            self.every_steps
            and self._steps // self.every_steps > before // self.every_steps
        ):
            self.figures(*find_posterior(self.model, self.data, self.posterior))

    def on_epoch_end(self, epoch: int, logs: dict[str, float] | None = None) -> None:
        check_counted(self.model)
        super().on_epoch_end(epoch, logs)

    def figures(self, mean: np.ndarray, log_var: np.ndarray) -> dict[str, float]:
        variance = mean_variance(log_var)
        row = {
            "step": number(self.model.optimizer.iterations),
            "mean": mean.mean(0),
            "variance_of_mean": mean.var(0),
            "mean_variance": variance,
        }
        if (
            len(self.records.get("step", ()))
            and self.records["step"][-1] == row["step"]
        ):  # the epoch ends with a step that was looked at
            self.records = {key: values[:-1] for key, values in self.records.items()}
        self.records = {
            key: np.append(
                self.records.get(key, np.empty((0, *np.shape(v)))), [v], axis=0
            )
            for key, v in row.items()
        }
        if self.path:
            buffer = io.BytesIO()
            np.savez(buffer, **self.records)
            with open(f"{self.path}.part", "wb") as file:
                file.write(buffer.getbuffer())
            os.replace(f"{self.path}.part", self.path)
        return dict(
            zip(
                self.keys,
                (float(f(variance)) for f in (np.min, np.mean, np.max)),
                strict=True,
            )
        )

    def get_state(self) -> dict[str, Any]:
        """The records, in JSON's types."""
        return {key: values.tolist() for key, values in self.records.items()}

    def set_state(self, state: dict[str, Any]) -> None:
        """Goes on from `get_state()`."""
        self.records = {key: np.array(values) for key, values in state.items()}

    def get_config(self) -> dict[str, Any]:
        return {
            **super().get_config(),
            "every_steps": self.every_steps,
            "path": self.path,
        }
