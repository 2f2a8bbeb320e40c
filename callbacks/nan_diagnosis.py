"""Stops on a loss that is not finite and reports why; warns of an exploding KL."""

import logging
import math
import os
from typing import Any

import keras
import numpy as np
from keras import ops

from .examples import random_subset
from .model_callback import ModelCallback
from .model_calls import to_numpy
from .posterior import check_posterior, check_scale, find_posterior
from .training_progress import TrainingProgress, batches_per_step

MAX_DESCRIBED = 10_000  # examples whose range is reported
KL_NAMES = ("kl", "kl_loss")  # keys of the logs
EXPLODED = 1e6  # nats of KL per example, mean over an epoch: far above any real KL


@keras.saving.register_keras_serializable("callbacks")
class NaNDiagnosis(ModelCallback):
    """Stops training where a step's loss is NaN or infinite, and reports which terms,
    which step, and the range of the inputs.

    It knows the terms that the model reports as metrics: a term is named where its
    value is not finite. Weights that are no longer finite are named too, and stop the
    training at the end of an epoch even where its losses were finite (the last step's
    gradient was not). At the end of each epoch that went well the weights are kept in
    `path`; they stay as the last good ones.

    Args:
        path: A `.weights.h5` file for the last good weights; its folder is made.
            `None`: none are kept, nor of a model that Keras has not built.
        data: Examples whose range is reported, of which a fixed random part is kept;
            see `examples.random_subset`. They may hold NaN. `None`: none are
            described, for a callback does not see the batch.

    An epoch whose `logs["kl"]` or `logs["kl_loss"]` is above 1e6 nats is warned about:
    it had a step with an enormous gradient, and Adam, whose second moments remember it
    for some 50,000 steps, hardly moves what the gradient touched. Such a run seems to
    train and learns little.
    With `data` and a posterior the message names the largest log variance, the usual
    cause, or the largest mean where its square is larger than any variance.

    Example:

    ```python
    vae.fit(images, callbacks=[NaNDiagnosis("last_good.weights.h5", images)])
    ```

    Adds nothing to `logs`. The attribute `diagnosis` holds the text, None while all is
    well; it is logged as an error. With `steps_per_execution` above 1 the step is known
    to within that many.

    Raises:
        ValueError: a path of another kind.
    """

    def __init__(self, path: str | os.PathLike | None = None, data: Any = None):
        super().__init__()
        if path is not None and not (
            isinstance(path, (str, os.PathLike)) and str(path).endswith(".weights.h5")
        ):
            raise ValueError(
                f"received path {path!r:.80}, expected a name that ends in .weights.h5"
            )
        self.path = None if path is None else str(path)
        self.progress = TrainingProgress()
        self._warned = False
        self.data = None
        if data is not None:
            self.data = random_subset(data, MAX_DESCRIBED, finite=False)

    # Keras need not wait for each step's metrics; they may come late, from threads and
    # out of order
    async_safe = True

    def on_train_begin(self, logs: dict[str, float] | None = None) -> None:
        self.diagnosis, self._trained, self._kept = None, self.model, False
        self._bad: dict[int, list[str]] = {}
        self._last = self._before = 0
        if not self.progress.begin(self.model):
            self._warned = False
        if self.path:
            os.makedirs(os.path.dirname(self.path) or ".", exist_ok=True)

    def on_epoch_begin(self, epoch: int, logs: dict[str, float] | None = None) -> None:
        model, self._bad, self._last = self.model, {}, 0
        self.progress.resume(model, epoch, self.steps_per_epoch)
        self._before = self.progress.steps(model) * batches_per_step(model)

    def on_train_batch_end(
        self, batch: int, logs: dict[str, float] | None = None
    ) -> None:
        self._last = max(self._last, batch)
        bad = [
            name
            for name, value in (logs or {}).items()
            if not np.isfinite(to_numpy(value)).all()
        ]
        if bad:
            self._bad[batch] = bad
            self._trained.stop_training = True

    def on_epoch_end(self, epoch: int, logs: dict[str, float] | None = None) -> None:
        self.progress.count(self._last + 1)
        broken = [w.path for w in getattr(self.model, "weights", []) if not _finite(w)]
        if self._bad or broken:
            step = min(self._bad, default=self._last)
            self.diagnosis = self._diagnose(
                self._before + step + 1, self._bad.get(step), broken
            )
            logging.getLogger(__name__).error("%s", self.diagnosis)
            self._trained.stop_training = True
            return
        logs = logs or {}
        kl = max(float(np.max(to_numpy(logs.get(name, 0)))) for name in KL_NAMES)
        if kl > EXPLODED:
            text = (
                "epoch %d: mean KL %.3g nats%s: a step exploded, and Adam will"
                " hardly move the encoder for many epochs; start again with a smaller"
                " learning rate%s"
            )
            cause, remedy = self._widest()
            cause = f", {cause}" if cause else ""
            logging.getLogger(__name__).warning(text, epoch + 1, kl, cause, remedy)
        if self.path:
            self._keep_weights(self.path)

    def _keep_weights(self, path: str) -> None:
        """Writes the weights, whole or not at all."""
        model = self.model
        if model.built:
            aside = path.replace(".weights.h5", ".part.weights.h5")
            # not the model's method, which may be its own
            keras.saving.save_weights(model, aside)
            os.replace(aside, path)
            self._kept = True
        elif not self._warned:
            self._warned = True
            logging.getLogger(__name__).warning(
                "Keras has not built %s, so %s is not written: %scall it once on a"
                " batch before fit",
                type(model).__name__,
                path,
                "" if _has_call(model) else "give the model a call(), and ",
            )

    def _diagnose(self, step: int, bad: list[str] | None, broken: list[str]) -> str:
        lines = [
            (
                f"step {step}: not finite: {', '.join(sorted(bad))}"
                if bad
                else (
                    f"step {step}: the losses are finite, what the epoch's last steps"
                    " made of the weights is not"
                )
            )
        ]
        lines.append(
            "weights no longer finite:"
            f" {', '.join(broken[:5])}{' ...' if len(broken) > 5 else ''}"
            if broken
            else "all weights are finite"
        )
        if self.data is not None:
            lines.extend(map(_describe, keras.tree.flatten(self.data)))
        lines.extend(filter(None, [self._widest()[0]]))
        if self.path and self._kept:
            lines.append(f"the last good weights are in {self.path}")
        return "; ".join(lines)

    def _widest(self) -> tuple[str, str]:
        """The largest log variance of the data, or the largest mean where that is the
        larger part of the KL, and a remedy beside a smaller rate; "" where the model
        has no posterior of which it is known what is what.
        """
        bound = ", or a bounded head of the log variance"
        if self.data is None:
            return "", bound
        try:
            check_posterior(self.model, None, self.data)
            check_scale(self.model, None, self.data, trained=True)
            mean, log_var = find_posterior(self.model, self.data)
        except Exception:  # whatever the model does: the diagnosis matters more
            return "", bound
        largest = log_var.reshape(len(log_var), -1).max(axis=0)  # NaN where one is
        if np.isnan(largest).any():
            broken = np.isnan(largest).sum()
            return f"the log variance of {broken} latents is NaN", bound
        means = np.abs(mean).reshape(len(mean), -1).max(axis=0)
        latent, of_mean = int(largest.argmax()), int(means.argmax())
        standard_deviation = math.exp(min(largest[latent], 700) / 2)
        if means[of_mean] > standard_deviation:
            return f"the largest mean is {means[of_mean]:.4g}, of latent {of_mean}", ""
        log_var = f"{largest[latent]:.4g}, of latent {latent}"
        return f"the largest log variance is {log_var}", bound

    def get_config(self) -> dict[str, Any]:
        return {"path": self.path, "data": self.data}


def _finite(weight: Any) -> bool:
    values = ops.convert_to_numpy(weight)
    return bool(
        np.isfinite(
            values.astype("float64") if values.dtype.kind not in "fiub" else values
        ).all()
    )  # numpy knows no bfloat16


def _describe(array: np.ndarray) -> str:
    """Type, range and bad values of some inputs."""
    values = array.astype("float64")
    finite = values[np.isfinite(values)]
    span = "no finite value"
    if finite.size:
        span = f"from {finite.min():.4g} to {finite.max():.4g}"
    bad = f"{np.isnan(values).sum()} NaN"
    if np.isinf(values).any():
        bad += f", {np.isinf(values).sum()} infinite"
    return f"inputs: {array.dtype}, {span}, {bad}"


def _has_call(model: keras.Model) -> bool:
    return type(model).call is not keras.Model.call
