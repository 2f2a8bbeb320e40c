"""The variance law of the latents, epoch by epoch."""

import keras
import numpy as np

from .posterior_watcher import PosteriorWatcher
from .statistics import variance_law, variance_law_sd


@keras.saving.register_keras_serializable("callbacks")
class VarianceLaw(PosteriorWatcher):
    """Logs the mean over latents of Var[mu] + E[sigma^2], which is 1 where the
    aggregate posterior matches the prior.

    Adds `logs["variance_law"]`; `logs["variance_law_error"]`, the mean over latents of
    |Var[mu] + E[sigma^2] - 1|, to monitor with `mode="min"`; and
    `logs["variance_law_sd"]`: the version with E[sigma] that the papers' released code
    printed.

    Args:
        data: Examples as `fit` gets them; see `PosteriorWatcher`.
        posterior: `posterior(model, x)` -> (mean, log_var), each (batch, k). `None`:
            the model's own, see the package's docstring.
        max_samples: Most examples that are encoded, a fixed random subset.
        freq: Measures after the first epoch of a fit and after every one that `freq`
            divides.
        prefix: Put before the keys, such as "val_" for held-out data.

    Example:

    ```python
    csv = keras.callbacks.CSVLogger("history.csv")
    vae.fit(images, callbacks=[VarianceLaw(images), csv])
    ```

    Raises:
        ValueError: bad arguments; when training begins, a model without a usable
            posterior.
    """

    keys = ("variance_law", "variance_law_sd", "variance_law_error")

    def measure(self, mean: np.ndarray, log_var: np.ndarray) -> dict[str, float]:
        law = variance_law(mean, log_var)
        return {
            "variance_law": float(law.mean()),
            "variance_law_sd": float(variance_law_sd(mean, log_var).mean()),
            "variance_law_error": float(np.abs(law - 1).mean()),
        }
