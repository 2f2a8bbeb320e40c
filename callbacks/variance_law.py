"""The variance law of the latents, epoch by epoch."""

import keras
import numpy as np

from .posterior_watcher import PosteriorWatcher
from .statistics import variance_law, variance_law_sd


@keras.saving.register_keras_serializable("callbacks")
class VarianceLaw(PosteriorWatcher):
    """Logs the mean over latents of Var[mu] + E[sigma^2], which is 1 where the
    aggregate posterior matches the prior.

    Adds `logs["variance_law"]`, and `logs["variance_law_sd"]`: the version with
    E[sigma] that the papers' released code printed.

    Args:
        data: Array of examples (N, ...), as the model is fitted on.
        posterior: `posterior(model, x)` -> (mean, log_var), each (batch, k). `None`:
            the model's own, see the package's docstring.
        max_samples: Rows looked at, a fixed random subset.
        freq: Looks after the first epoch and after every one that `freq` divides; the
            keys hold NaN between.

    Example:

    ```python
    csv = keras.callbacks.CSVLogger("history.csv")
    vae.fit(images, callbacks=[VarianceLaw(images), csv])
    ```

    Raises:
        ValueError: bad arguments; when training begins, a model without a posterior to
            look at.
    """

    keys = ("variance_law", "variance_law_sd")

    def figures(self, mean: np.ndarray, log_var: np.ndarray) -> dict[str, float]:
        return dict(
            zip(
                self.keys,
                (
                    float(variance_law(mean, log_var).mean()),
                    float(variance_law_sd(mean, log_var).mean()),
                ),
                strict=True,
            )
        )
