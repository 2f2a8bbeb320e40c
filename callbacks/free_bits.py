"""Free bits: no pressure on latents whose KL is small already."""

import math
from typing import Any

import keras

from .arguments import real, text
from .contract import check_variable, find_variable, number
from .model_callback import ModelCallback
from .variable_use import VariableUse


@keras.saving.register_keras_serializable("callbacks")
class FreeBits(ModelCallback):
    """Grants each latent `nats` of KL for free while it trains, so that none is pruned
    before it has found a use.

    The KL of latent i, averaged over the minibatch, enters the loss as max(KL_i, nats)
    (Kingma et al. 2016, IAF, equation 15). A callback cannot do that from outside: the
    model's loss must read a variable `model.free_bits`. A `twostage.VAE` does.

    Args:
        nats: Per latent, more than 0.
        attribute: The model's variable that the loss reads.

    Example:

    ```python
    vae.fit(images, callbacks=[FreeBits(0.1)])
    ```

    Requires: a variable `model.free_bits` in nats per latent, 0 while inactive; warns
    once where the loss does not read it. It is nonzero only within an epoch: weights
    that another callback saves at an epoch's end have 0 if it comes after this one.
    Validation within `fit` is within an epoch, so `val_loss` has the free bits, too.
    Adds `logs["free_bits"]`, or the name of another `attribute`.

    Raises:
        ValueError: bad arguments; when training begins, a model without that variable.
    """

    def __init__(self, nats: float, attribute: str = "free_bits"):
        super().__init__()
        self.nats = real(
            "nats", nats, lambda v: 0 < v < math.inf, "a number of more than 0"
        )
        self.attribute = text("attribute", attribute)
        self.use = VariableUse(attribute, "free_bits")

    def on_train_begin(self, logs: dict[str, float] | None = None) -> None:
        check_variable(self.model, self.attribute, "free_bits")
        self._first = True

    def on_epoch_begin(self, epoch: int, logs: dict[str, float] | None = None) -> None:
        self._assign(self.nats)

    def on_train_batch_begin(
        self, batch: int, logs: dict[str, float] | None = None
    ) -> None:
        if self._first:  # `self.model` costs time on JAX
            model = self.model
            self.use.begin(model, find_variable(model, self.attribute))

    def on_train_batch_end(
        self, batch: int, logs: dict[str, float] | None = None
    ) -> None:
        if self._first:
            self.use.end(self.model)
            self._first = False

    def on_epoch_end(self, epoch: int, logs: dict[str, float] | None = None) -> None:
        self.check_loop()
        if logs is not None:
            logs[self.attribute] = number(find_variable(self.model, self.attribute))
        self._assign(0.0)

    def on_train_end(self, logs: dict[str, float] | None = None) -> None:
        self._assign(0.0)  # another callback may have restored an epoch's weights

    def get_config(self) -> dict[str, Any]:
        return {"nats": self.nats, "attribute": self.attribute}

    def _assign(self, nats: float) -> None:
        find_variable(self.model, self.attribute).assign(nats)
