"""Free bits: no pressure on latents whose KL is small already."""

import keras

from .contract import check_variable, number, restore_config


@keras.saving.register_keras_serializable("callbacks")
class FreeBits(keras.callbacks.Callback):
    """Grants each latent `nats` of KL for free while it trains, so that none is pruned before it has found a use.

    The KL of latent i, averaged over the minibatch, enters the loss as max(KL_i, nats) (Kingma et al. 2016, IAF, equation 15). A callback
    cannot do that from outside: the model's loss must read a variable `model.free_bits`. A `twostage.VAE` does.

    Args:
        nats: Per latent, more than 0.

    Example:

    ```python
    vae.fit(images, callbacks=[FreeBits(0.1)])
    ```

    Requires: a variable `model.free_bits` in nats a latent. It is set when training begins and back to what it was at the end. Adds
    `logs["free_bits"]`.

    Raises:
        ValueError: bad arguments; when training begins, a model without that variable.
    """

    def __init__(self, nats):
        super().__init__()
        if not nats > 0:
            raise ValueError(f"received nats={nats}, expected more than 0")
        self.nats = nats

    def on_train_begin(self, logs=None):
        check_variable(self.model, "free_bits", "the loss reads: max(KL of a latent, averaged over the minibatch, free_bits)", value="zeros")
        self._before = number(self.model.free_bits)
        self.model.free_bits.assign(self.nats)

    def on_epoch_end(self, epoch, logs=None):
        if logs is not None:
            logs["free_bits"] = number(self.model.free_bits)

    def on_train_end(self, logs=None):
        self.model.free_bits.assign(self._before)

    def get_state(self):
        """What a fit in its midst has to remember beside the model's weights, in JSON's types."""
        return {"before": self._before}

    def set_state(self, state):
        """Goes on from `get_state()`; after `on_train_begin`, which starts afresh."""
        self._before = state["before"]

    def get_config(self):
        return {"nats": self.nats}

    @classmethod
    def from_config(cls, config):
        return cls(**restore_config(config))
