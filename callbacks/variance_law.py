"""The variance law of the latents, epoch by epoch."""

import keras

from .contract import check_posterior, find_posterior, random_subset, restore_config
from .statistics import variance_law, variance_law_sd


@keras.saving.register_keras_serializable("callbacks")
class VarianceLaw(keras.callbacks.Callback):
    """Logs the mean over latents of Var[mu] + E[sigma^2], which is 1 where the aggregate posterior matches the prior.

    Args:
        data: Array of examples (N, ...), as the model is fitted on.
        posterior: `posterior(model, x)` -> (mean, log_var), each (batch, k). `None`: the model's own, see the package's docstring.
        max_samples: Rows looked at, a fixed random subset.
        freq: Epochs from one look to the next; the keys hold NaN between.

    Adds `logs["variance_law"]`, and `logs["variance_law_sd"]`: the version with E[sigma] that the papers' released code printed.

    Example:

    ```python
    vae.fit(images, callbacks=[VarianceLaw(images), keras.callbacks.CSVLogger("history.csv")])
    ```

    Raises:
        ValueError: bad arguments; when training begins, a model without a posterior to look at.
    """

    def __init__(self, data, posterior=None, max_samples=10_000, freq=1):
        super().__init__()
        if max_samples < 2 or freq < 1:
            raise ValueError(f"received max_samples={max_samples} and freq={freq}, expected at least 2 and 1")
        self.data, self.posterior, self.max_samples, self.freq = random_subset(data, max_samples), posterior, max_samples, freq

    def on_train_begin(self, logs=None):
        check_posterior(self.model, self.posterior)

    def on_epoch_end(self, epoch, logs=None):
        law = law_sd = float("nan")
        if (epoch + 1) % self.freq == 0:
            moments = find_posterior(self.model, self.data, self.posterior)
            law, law_sd = float(variance_law(*moments).mean()), float(variance_law_sd(*moments).mean())
        if logs is not None:
            logs.update(variance_law=law, variance_law_sd=law_sd)

    def get_config(self):
        return {"data": self.data, "posterior": self.posterior, "max_samples": self.max_samples, "freq": self.freq}

    @classmethod
    def from_config(cls, config):
        return cls(**restore_config(config))
