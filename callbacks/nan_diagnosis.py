"""Stops when the loss is no number any more, and says where it came from; warns where it all but was none."""

import logging
import math
import os

import keras
import numpy as np
from keras import ops

from .contract import number, restore_config

EXPLODED = 1e6  # nats of KL an example, on average over an epoch: no code is that long


@keras.saving.register_keras_serializable("callbacks")
class NaNDiagnosis(keras.callbacks.Callback):
    """Stops training where a step's loss is NaN or infinite, and says which terms, which step, and what the inputs look like.

    It knows the terms that the model reports as metrics: a term is named where its figure is no finite number. Weights that are no longer
    finite are named too. At the end of each epoch that went well the weights are kept in `path`; they stay as the last good ones.

    Args:
        path: A `.weights.h5` file for the last good weights; `None`: none are kept.
        data: Array of examples whose range is told; `None`: inputs are not described, for a callback does not see the batch.

    An epoch whose `logs["kl"]` is above 1e6 nats is warned about: it had a step with an enormous gradient, and Adam, whose second moments remember it for some 50,000 steps,
    hardly moves what the gradient touched. Such a run looks alive and learns little.

    Example:

    ```python
    vae.fit(images, callbacks=[NaNDiagnosis("last_good.weights.h5", images)])
    ```

    Adds nothing to `logs`. The attribute `diagnosis` holds the text, None while all is well; it is logged as an error. With
    `steps_per_execution` above 1 the step is known to within that many.

    Raises:
        ValueError: a path of another kind.
    """

    def __init__(self, path=None, data=None):
        super().__init__()
        if path is not None and not str(path).endswith(".weights.h5"):
            raise ValueError(f"received path {path!r}, expected a name that ends in .weights.h5")
        self.path, self.data = None if path is None else str(path), data

    async_safe = True  # Keras need not wait for each step's figures; they may come late, from threads and out of order

    def on_train_begin(self, logs=None):
        self.diagnosis, self._trained = None, self.model

    def on_epoch_begin(self, epoch, logs=None):
        optimizer, self._bad = self.model.optimizer, {}
        self._before = int(number(optimizer.iterations)) * (optimizer.gradient_accumulation_steps or 1)

    def on_train_batch_end(self, batch, logs=None):
        bad = [name for name, value in (logs or {}).items() if not math.isfinite(float(value))]
        if bad:
            self._bad[batch] = bad
            self._trained.stop_training = True

    def on_epoch_end(self, epoch, logs=None):
        if self._bad:
            first = min(self._bad)
            self.diagnosis = self._diagnose(self._before + first + 1, self._bad[first])
            logging.getLogger(__name__).error("%s", self.diagnosis)
            return
        if (logs or {}).get("kl", 0) > EXPLODED:
            text = "epoch %d: kl %.3g nats on average: a step exploded, and Adam will hardly move the encoder for many epochs; start anew with a smaller learning rate"
            logging.getLogger(__name__).warning(text, epoch + 1, logs["kl"])
        if self.path:
            aside = self.path.replace(".weights.h5", ".part.weights.h5")
            self.model.save_weights(aside)
            os.replace(aside, self.path)

    def _diagnose(self, step, bad):
        model = self.model
        broken = [w.path for w in model.weights if not np.isfinite(ops.convert_to_numpy(w).astype("float64")).all()]
        lines = [f"step {step}: not finite: {', '.join(sorted(bad))}"]
        lines.append(f"weights no longer finite: {', '.join(broken[:5])}{' ...' if len(broken) > 5 else ''}" if broken else "all weights are finite")
        if self.data is not None:
            sample = np.asarray(self.data[: min(len(self.data), 10_000)], "float64")
            lines.append(f"inputs: {np.asarray(self.data).dtype}, from {np.nanmin(sample):.4g} to {np.nanmax(sample):.4g}, {np.isnan(sample).sum()} NaN")
        if self.path and os.path.exists(self.path):
            lines.append(f"the last good weights are in {self.path}")
        return "; ".join(lines)

    def get_config(self):
        return {"path": self.path, "data": self.data}

    @classmethod
    def from_config(cls, config):
        return cls(**restore_config(config))
