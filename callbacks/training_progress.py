"""How far a model's training has come, over several calls of `fit`."""

import weakref
from typing import Any

import keras


class TrainingProgress:
    """Counts the epochs and steps of one model's training.

    Keras counts epochs from 0 in every `fit`, so that a loop of `fit(epochs=1)` has
    epoch 0 alone; and `model.optimizer` counts the steps that it applies itself, which
    is none where the training step has optimizers of its own. Both are counted here. A
    model whose optimizer counts less than before, as a new one does after `compile`,
    starts again.
    """

    def __init__(self) -> None:
        self._model = None
        self._epoch, self._start, self._batches, self._counted = -1, 0, 0, 0
        self._done = 0  # steps: a count that begins late does not lower them
        self._optimizer = None
        self._is_unknown = False  # whether this process has trained the model before

    def begin(self, model: Any) -> bool:
        """Call when training begins. Whether it continues a training counted before."""
        counted = optimizer_steps(model)
        self._is_unknown = self._model is None
        same = self._model is not None and self._model() is model
        continues = same and not self._is_new_optimizer(model)
        self._start = self.steps(model) if continues else counted or 0
        if not continues:
            self._epoch = -1
        self._model = weakref.ref(model)
        optimizer = getattr(model, "optimizer", None)
        self._optimizer = None if optimizer is None else weakref.ref(optimizer)
        self._batches, self._counted = 0, counted or 0
        self._done = self._start
        return continues

    def resume(self, model: Any, epoch: int, batches_per_epoch: int | None) -> None:
        """Call when an epoch begins. A training that another process began, and whose
        optimizers are its own, has no count of steps: its epochs give it.
        """
        if self._is_unknown and batches_per_epoch and not self.steps(model):
            batches = epoch * batches_per_epoch
            self._start = self._done = batches // batches_per_step(model)
        self._is_unknown = False

    def _is_new_optimizer(self, model: Any) -> bool:
        """Whether an optimizer took the place of another, or was set back."""
        counted = optimizer_steps(model) or 0
        optimizer = getattr(model, "optimizer", None)
        replaced = self._optimizer is not None and self._optimizer() is not optimizer
        return counted < (self._done if replaced else self._counted)

    def epoch(self, epoch: int) -> int:
        """An epoch's number over all fits, from Keras's own. Call it once per epoch."""
        self._epoch = epoch if epoch > self._epoch else self._epoch + 1
        return self._epoch

    def count(self, batches: int = 1) -> None:
        """Call when so many more batches are trained on."""
        self._batches += batches

    def steps(self, model: Any) -> int:
        """Steps done: the optimizer's, where it counts them, else the batches."""
        counted = optimizer_steps(model)
        uncounted = counted == self._counted and batches_per_step(model) == 1
        if counted is None or uncounted:
            counted = self._start + self._batches
        else:
            counted += self._start - self._counted
        self._done = max(self._done, counted)
        return self._done


def optimizer_steps(model: Any) -> int | None:
    """The steps that `model.optimizer` has applied; None if the model has none."""
    iterations = getattr(getattr(model, "optimizer", None), "iterations", None)
    if iterations is None:
        return None
    return int(keras.ops.convert_to_numpy(keras.ops.convert_to_tensor(iterations)))


def batches_per_step(model: Any) -> int:
    """The batches whose gradients make one step of the optimizer."""
    optimizer = getattr(model, "optimizer", None)
    # of loss scaling, which wraps another
    optimizer = getattr(optimizer, "inner_optimizer", optimizer)
    return getattr(optimizer, "gradient_accumulation_steps", None) or 1
