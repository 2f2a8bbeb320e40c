"""The number of latents in use, epoch by epoch."""

from collections.abc import Callable
from typing import Any

import keras
import numpy as np

from .posterior_watcher import PosteriorWatcher
from .statistics import count_active


@keras.saving.register_keras_serializable("callbacks")
class ActiveLatents(PosteriorWatcher):
    """Logs how many latents carry information, by three tests.

    Adds `logs["active_latents"]`: E[sigma^2] < threshold (Asperti & Trentin call the
    others inactive); `logs["active_latents_mu"]`: Var[mu] > 0.01;
    `logs["active_latents_kl"]`: KL > 0.01 nats. Where gamma^2 is below the true error
    (rules `minimum`, `ratchet`), a latent that carries nothing settles at E[sigma^2] of
    about 0.8, the usual threshold: look at the histogram beside the count.

    Args:
        data: Array of examples (N, ...), as the model is fitted on.
        posterior: `posterior(model, x)` -> (mean, log_var), each (batch, k). `None`:
            the model's own, see the package's docstring.
        max_samples: Rows looked at, a fixed random subset.
        freq: Looks after the first epoch and after every one that `freq` divides; the
            keys hold NaN between.
        threshold: On E[sigma^2], between 0 and 1.

    Example:

    ```python
    vae.fit(images, callbacks=[ActiveLatents(images, freq=5)])
    ```

    Raises:
        ValueError: bad arguments; when training begins, a model without a posterior to
            look at.
    """

    keys = ("active_latents", "active_latents_mu", "active_latents_kl")

    def __init__(
        self,
        data: Any,
        posterior: Callable | None = None,
        max_samples: int = 10_000,
        freq: int = 1,
        threshold: float = 0.8,
    ):
        super().__init__(data, posterior, max_samples, freq)
        if not 0 < threshold <= 1:
            raise ValueError(
                f"received threshold={threshold}, expected a number in (0, 1]"
            )
        self.threshold = threshold

    def figures(self, mean: np.ndarray, log_var: np.ndarray) -> dict[str, float]:
        return dict(
            zip(
                self.keys,
                map(float, count_active(mean, log_var, self.threshold)),
                strict=True,
            )
        )

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "threshold": self.threshold}
