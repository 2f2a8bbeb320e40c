"""Free bits: no pressure on latents whose KL is small already."""

import math
from typing import Any, Self

import keras

from .contract import check_variable, number, restore_config


@keras.saving.register_keras_serializable("callbacks")
class FreeBits(keras.callbacks.Callback):
    """Grants each latent `nats` of KL for free while it trains, so that none is pruned
    before it has found a use.

    The KL of latent i, averaged over the minibatch, enters the loss as max(KL_i, nats)
    (Kingma et al. 2016, IAF, equation 15). A callback
    cannot do that from outside: the model's loss must read a variable
    `model.free_bits`. A `twostage.VAE` does.

    Args:
        nats: Per latent, more than 0.

    Example:

    ```python
    vae.fit(images, callbacks=[FreeBits(0.1)])
    ```

    Requires: a variable `model.free_bits` in nats per latent, 0 while inactive. It is
    set within the epochs alone, so that weights which another callback keeps at an
    epoch's end (put it after this one) have 0. Adds `logs["free_bits"]`.

    Raises:
        ValueError: bad arguments; when training begins, a model without that variable.
    """

    def __init__(self, nats: float):
        super().__init__()
        if not 0 < nats < math.inf:
            raise ValueError(f"received nats={nats}, expected a number of more than 0")
        self.nats = nats

    def on_train_begin(self, logs: dict[str, float] | None = None) -> None:
        check_variable(
            self.model,
            "free_bits",
            "the loss reads: max(KL of a latent, averaged over the minibatch,"
            " free_bits)",
            value="zeros",
        )

    def on_epoch_begin(self, epoch: int, logs: dict[str, float] | None = None) -> None:
        self.model.free_bits.assign(self.nats)

    def on_epoch_end(self, epoch: int, logs: dict[str, float] | None = None) -> None:
        if logs is not None:
            logs["free_bits"] = number(self.model.free_bits)
        self.model.free_bits.assign(0.0)

    def on_train_end(self, logs: dict[str, float] | None = None) -> None:
        self.model.free_bits.assign(
            0.0
        )  # weights of an epoch's midst may have been brought back

    def get_config(self) -> dict[str, Any]:
        return {"nats": self.nats}

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> Self:
        return cls(**restore_config(config))
