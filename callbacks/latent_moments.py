"""Mean and variance of the aggregate posterior, latent by latent, through training."""

import io
import os
from collections.abc import Callable
from typing import Any

import keras
import numpy as np

from . import files
from .arguments import whole
from .posterior_watcher import PosteriorWatcher
from .statistics import mean_variance


@keras.saving.register_keras_serializable("callbacks")
class LatentMoments(PosteriorWatcher):
    """Records for each latent E[mu], Var[mu] and E[sigma^2] through training (Asperti &
    Trentin, Figures 5 to 7).

    The attribute `records` holds a row per measurement: `step` (T,), the training steps
    done, and `mean`, `variance_of_mean`, `mean_variance`, each (T, k). Adds
    `logs["posterior_variance_min"]`, `logs["posterior_variance_mean"]` and
    `logs["posterior_variance_max"]`: of E[sigma^2] over the latents.

    A further `fit` of the same model adds to the records. So does a training that
    another process resumes, if `path` is the same.

    Args:
        data: Examples as `fit` gets them; see `PosteriorWatcher`.
        posterior: `posterior(model, x)` -> (mean, log_var), each (batch, k). `None`:
            the model's own, see the package's docstring.
        max_samples: Most examples that are encoded, a fixed random subset.
        freq: Measures after the first epoch of a fit and after every one that `freq`
            divides.
        every_steps: Also measures within epochs, every so many batches. With gradient
            accumulation several batches make one step; with `steps_per_execution` it
            measures at the end of the execution. 0: at the end of epochs only.
        path: An `.npz` file that gets the records whenever there are new ones.
        prefix: Put before the keys, such as "val_" for held-out data.

    Example:

    ```python
    moments = LatentMoments(images, max_samples=2000, every_steps=10)
    vae.fit(images, callbacks=[moments])
    moments.records["mean_variance"]  # (T, k): which latents leave 1, and when
    ```

    Raises:
        ValueError: bad arguments; when training begins, a model without a usable
            posterior.
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
        prefix: str = "",
    ):
        super().__init__(data, posterior, max_samples, freq, prefix)
        self.every_steps = whole("every_steps", every_steps, 0)
        self.path = None if path is None else os.fspath(path)
        self.records: dict[str, np.ndarray] = {}

    def reset(self) -> None:
        self.records = {}

    def recall(self) -> None:
        if self.path and os.path.exists(self.path):
            with np.load(self.path) as file:
                known = file["step"] <= (self.progress.steps(self.model) or np.inf)
                self.records = {name: file[name][known] for name in file.files}

    def on_train_begin(self, logs: dict[str, float] | None = None) -> None:
        super().on_train_begin(logs)
        self._done = 0

    def on_epoch_begin(self, epoch: int, logs: dict[str, float] | None = None) -> None:
        super().on_epoch_begin(epoch, logs)
        self._done = 0  # batches of this epoch

    def on_train_batch_end(
        self, batch: int, logs: dict[str, float] | None = None
    ) -> None:
        # a loop without `fit` may number its batches through
        batches = batch + 1 - self._done if self.params else 1
        before, self._done = self._done, self._done + batches
        self.progress.count(batches)  # several in one execution
        every = self.every_steps
        if every and self._done // every > before // every:
            self.measure(*self.moments())

    def measure(self, mean: np.ndarray, log_var: np.ndarray) -> dict[str, float]:
        variance = mean_variance(log_var)
        self._append(
            {
                "step": float(self.progress.steps(self.model)),
                "mean": mean.mean(0),
                "variance_of_mean": mean.var(0),
                "mean_variance": variance,
            }
        )
        figures = (float(choose(variance)) for choose in (np.min, np.mean, np.max))
        return dict(zip(self.keys, figures, strict=True))

    def get_state(self) -> dict[str, Any]:
        records = {key: values.tolist() for key, values in self.records.items()}
        return {**super().get_state(), "records": records}

    def set_state(self, state: dict[str, Any]) -> None:
        super().set_state(state)
        records = state["records"].items()
        self.records = {key: np.array(values) for key, values in records}

    def get_config(self) -> dict[str, Any]:
        own = {"every_steps": self.every_steps, "path": self.path}
        return {**super().get_config(), **own}

    def _append(self, row: dict[str, Any]) -> None:
        """Adds a row; one of the same step, at an epoch's end, replaces it."""
        steps = self.records.get("step", np.empty(0))
        kept = len(steps) - bool(len(steps) and steps[-1] == row["step"])
        for key, value in row.items():
            earlier = self.records.get(key, np.empty((0, *np.shape(value))))[:kept]
            self.records[key] = np.append(earlier, [value], axis=0)
        if self.path:
            buffer = io.BytesIO()
            np.savez(buffer, allow_pickle=False, **self.records)
            files.write(self.path, buffer.getvalue())
