"""The number of latents in use, epoch by epoch."""

import keras

from .contract import check_posterior, find_posterior, random_subset, restore_config
from .statistics import count_active


@keras.saving.register_keras_serializable("callbacks")
class ActiveLatents(keras.callbacks.Callback):
    """Logs how many latents carry information, by three tests.

    Adds `logs["active_latents"]`: E[sigma^2] < threshold (Asperti & Trentin call the others inactive);
    `logs["active_latents_mu"]`: Var[mu] > 0.01; `logs["active_latents_kl"]`: KL > 0.01 nats. Where gamma^2 is below the true
    error (rules `minimum`, `ratchet`), a latent that carries nothing settles at E[sigma^2] of about 0.8, the usual threshold:
    look at the histogram beside the count.

    Args:
        data: Array of examples (N, ...), as the model is fitted on.
        posterior: `posterior(model, x)` -> (mean, log_var), each (batch, k). `None`: the model's own, see the package's docstring.
        max_samples: Rows looked at, a fixed random subset.
        freq: Epochs from one look to the next; the keys hold NaN between.
        threshold: On E[sigma^2], between 0 and 1.

    Example:

    ```python
    vae.fit(images, callbacks=[ActiveLatents(images, freq=5)])
    ```

    Raises:
        ValueError: bad arguments; when training begins, a model without a posterior to look at.
    """

    def __init__(self, data, posterior=None, max_samples=10_000, freq=1, threshold=0.8):
        super().__init__()
        if max_samples < 2 or freq < 1 or not 0 < threshold <= 1:
            raise ValueError(
                f"received max_samples={max_samples}, freq={freq}, threshold={threshold}, expected at least 2, at least 1, and in (0, 1]"
            )
        self.data, self.posterior, self.max_samples, self.freq = random_subset(data, max_samples), posterior, max_samples, freq
        self.threshold = threshold

    def on_train_begin(self, logs=None):
        check_posterior(self.model, self.posterior)

    def on_epoch_end(self, epoch, logs=None):
        counts = [float("nan")] * 3
        if (epoch + 1) % self.freq == 0:
            counts = count_active(*find_posterior(self.model, self.data, self.posterior), self.threshold)
        if logs is not None:
            logs.update(zip(("active_latents", "active_latents_mu", "active_latents_kl"), map(float, counts)))

    def get_config(self):
        config = {"data": self.data, "posterior": self.posterior, "max_samples": self.max_samples, "freq": self.freq}
        return {**config, "threshold": self.threshold}

    @classmethod
    def from_config(cls, config):
        return cls(**restore_config(config))
