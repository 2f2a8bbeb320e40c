"""The number of active latents, epoch by epoch."""

from collections.abc import Callable
from typing import Any

import keras
import numpy as np

from .arguments import variance_threshold
from .posterior_watcher import PosteriorWatcher
from .statistics import count_active


@keras.saving.register_keras_serializable("callbacks")
class ActiveLatents(PosteriorWatcher):
    """Logs how many latents carry information, by three tests.

    Adds `logs["active_latents"]`: E[sigma^2] < threshold (Asperti & Trentin call the
    others inactive); `logs["active_latents_mu"]`: Var[mu] > 0.01;
    `logs["active_latents_kl"]`: KL > 0.01 nats. While the learning rate is high,
    latents that carry nothing may have an E[sigma^2] below 0.8, the usual threshold:
    read the histogram beside the count. To monitor: `mode="max"`.

    Args:
        data: Examples as `fit` gets them; see `PosteriorWatcher`.
        posterior: `posterior(model, x)` -> (mean, log_var), each (batch, k). `None`:
            the model's own, see the package's docstring.
        max_samples: Most examples that are encoded, a fixed random subset.
        freq: Measures after the first epoch of a fit and after every one that `freq`
            divides.
        threshold: On E[sigma^2], in (0, 1].
        prefix: Put before the keys, such as "val_" for held-out data.

    Example:

    ```python
    vae.fit(images, callbacks=[ActiveLatents(images, freq=5)])
    ```

    Raises:
        ValueError: bad arguments; when training begins, a model without a usable
            posterior.
    """

    keys = ("active_latents", "active_latents_mu", "active_latents_kl")

    def __init__(
        self,
        data: Any,
        posterior: Callable | None = None,
        max_samples: int = 10_000,
        freq: int = 1,
        threshold: float = 0.8,
        prefix: str = "",
    ):
        super().__init__(data, posterior, max_samples, freq, prefix)
        self.threshold = variance_threshold(threshold)

    def measure(self, mean: np.ndarray, log_var: np.ndarray) -> dict[str, float]:
        counts = count_active(mean, log_var, self.threshold)
        return dict(zip(self.keys, map(float, counts), strict=True))

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "threshold": self.threshold}
