"""The KL divergence of each latent, epoch by epoch."""

import keras
import numpy as np

from .posterior_watcher import PosteriorWatcher
from .statistics import kl_per_latent


@keras.saving.register_keras_serializable("callbacks")
class KLPerLatent(PosteriorWatcher):
    """Logs the least, median and largest KL(q(z_i | x) || N(0, 1)) over the latents, in
    nats, averaged over the data.

    Adds `logs["kl_latent_min"]`, `logs["kl_latent_median"]` and
    `logs["kl_latent_max"]`. The attribute `values` holds all latents of the last look,
    (k,), in their own order.

    Args:
        data: Array of examples (N, ...), as the model is fitted on.
        posterior: `posterior(model, x)` -> (mean, log_var), each (batch, k). `None`:
            the model's own, see the package's docstring.
        max_samples: Rows looked at, a fixed random subset.
        freq: Looks after the first epoch and after every one that `freq` divides; the
            keys hold NaN between.

    Example:

    ```python
    kl = KLPerLatent(images)
    vae.fit(images, callbacks=[kl])
    print(sorted(kl.values))
    ```

    Raises:
        ValueError: bad arguments; when training begins, a model without a posterior to
            look at.
    """

    keys = ("kl_latent_min", "kl_latent_median", "kl_latent_max")

    def figures(self, mean: np.ndarray, log_var: np.ndarray) -> dict[str, float]:
        self.values = kl_per_latent(mean, log_var)
        return dict(
            zip(
                self.keys,
                (float(f(self.values)) for f in (np.min, np.median, np.max)),
                strict=True,
            )
        )
