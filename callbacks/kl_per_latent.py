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
    `logs["kl_latent_max"]`. The attribute `values` holds the KL of each latent after
    the last measured epoch, (k,).

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
    kl = KLPerLatent(images)
    vae.fit(images, callbacks=[kl])
    print(sorted(kl.values))
    ```

    Raises:
        ValueError: bad arguments; when training begins, a model without a usable
            posterior.
    """

    keys = ("kl_latent_min", "kl_latent_median", "kl_latent_max")

    def measure(self, mean: np.ndarray, log_var: np.ndarray) -> dict[str, float]:
        self.values = kl_per_latent(mean, log_var)
        chosen = (np.min, np.median, np.max)
        figures = (float(choose(self.values)) for choose in chosen)
        return dict(zip(self.keys, figures, strict=True))
