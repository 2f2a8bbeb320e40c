"""The one place that looks at a model's attributes, and says what is missing."""

from collections.abc import Callable
from typing import Any

import keras
import numpy as np
from keras import ops

BATCH = 250  # examples that go through the encoder at once


def find_rule(model: Any) -> Any:
    """The likelihood that holds the computed-gamma rule inside the training step, or
    None in a model that knows nothing of it.
    """
    likelihood = getattr(model, "likelihood", None)
    if all(
        hasattr(likelihood, name)
        for name in (
            "gamma_squared",
            "batch_mse",
            "decay",
            "monotone",
            "floor_squared",
            "floor",
        )
    ):
        return likelihood
    return None


def number(variable: Any) -> float:
    """A scalar variable's or tensor's value, on any backend, under any strategy."""
    return float(ops.convert_to_numpy(ops.convert_to_tensor(variable)))


def check_variable(model: Any, name: str, purpose: str, value: str = "ones") -> None:
    """Raises ValueError unless `model.name` is a variable of shape ()."""
    if not hasattr(getattr(model, name, None), "assign"):
        raise ValueError(
            f"{type(model).__name__}.{name} is {_kind(getattr(model, name, None))},"
            f" expected a variable that {purpose}. Add to __init__: "
            f'self.{name} = self.add_weight(name="{name}", shape=(),'
            f' initializer="{value}", trainable=False)'
        )
    if tuple(getattr(model, name).shape):
        raise ValueError(
            f"{type(model).__name__}.{name} has shape"
            f" {tuple(getattr(model, name).shape)}, expected one number: build it with"
            " shape=()"
        )


def check_counted(model: Any) -> None:
    """Raises ValueError where an epoch was trained and `model.optimizer` has counted no
    step.
    """
    if (
        number(model.optimizer.iterations) == 0
        and not model.optimizer.gradient_accumulation_steps
    ):
        raise ValueError(
            f"{type(model).__name__}.optimizer has counted no step in this epoch,"
            " expected the one that the training step applies: the steps are counted"
            " by it"
        )


def check_gamma(model: Any) -> None:
    """Raises ValueError unless gamma can be set: a variable `model.gamma`, or a
    likelihood that holds the rule and does not learn.
    """
    if find_rule(model) is None:
        check_variable(model, "gamma", "the loss reads")
        if any(model.gamma is weight for weight in model.trainable_variables):
            raise ValueError(
                f"{type(model).__name__}.gamma is a trainable weight, which the"
                " optimizer moves too: build it with trainable=False, or drop the"
                " callback"
            )
    elif getattr(model.likelihood, "learned", False):
        raise ValueError(
            "the likelihood learns gamma, so it cannot be set too: build it with"
            " learned=False, or drop the callback"
        )


def check_modes(model: Any) -> None:
    """Raises ValueError where a step on several replicas (tf.distribute) is asked for
    what Keras cannot do there.
    """
    replicas = getattr(
        getattr(model, "distribute_strategy", None), "num_replicas_in_sync", 1
    )
    modes = {
        "steps_per_execution": model.steps_per_execution,
        "gradient_accumulation_steps": model.optimizer.gradient_accumulation_steps,
    }
    for name, value in modes.items():
        if replicas > 1 and (value or 1) > 1:
            raise ValueError(
                f"received {name}={value} on {replicas} replicas, expected 1: Keras"
                f" itself fails there. Compile with {name}=1"
            )


def set_gamma(model: Any, gamma: float) -> None:
    """Sets the decoder's standard deviation."""
    likelihood = find_rule(model)
    if likelihood is None:
        model.gamma.assign(gamma)
    else:
        likelihood.gamma_squared.assign(gamma**2)
        likelihood.batch_mse.assign(gamma**2)  # nothing pending


def find_mse(model: Any, trained: bool = False) -> keras.metrics.Mean | None:
    """The Mean metric named "mse", one of the model's own or a compiled one. None where
    compiled ones are yet to be built: Keras may do that in the first step, so not once
    a step was `trained`.
    """
    metrics = [
        m for metric in model.metrics for m in [metric, *getattr(metric, "metrics", [])]
    ]
    found = next((metric for metric in metrics if metric.name == "mse"), None)
    if (
        found is None
        and not trained
        and not all(getattr(metric, "built", True) for metric in model.metrics)
    ):
        return None
    if not isinstance(found, keras.metrics.Mean):
        has = "no metric" if found is None else f"{_kind(found)} as metric"
        if isinstance(getattr(model, "mse", None), keras.metrics.Mean):
            raise ValueError(
                f"{type(model).__name__}.metrics leaves out self.mse, or that is not"
                ' named "mse", expected it among them: add self.mse to what the'
                " property returns"
            )
        raise ValueError(
            f"{type(model).__name__} has {has} 'mse', expected a keras.metrics.Mean fed"
            " each minibatch's mean squared error. Add to __init__: self.mse ="
            ' keras.metrics.Mean(name="mse"), and to the training step:'
            " self.mse.update_state(mse)"
        )
    return found


def check_posterior(model: Any, posterior: Callable | None, data: Any) -> np.ndarray:
    """Raises ValueError unless there is a way from data to (mean, log_var); the float32
    means (2, k) of the first two rows.
    """
    if (
        posterior is None
        and not callable(getattr(model, "posterior", None))
        and not callable(getattr(model, "encoder", None))
    ):
        raise ValueError(
            f"{type(model).__name__} has no encoder to look at. Set self.encoder to a"
            " model whose outputs begin with mean and log_var, or give the callback"
            " posterior=lambda model, x: (mean, log_var)"
        )
    if posterior is not None and not callable(posterior):
        raise ValueError(
            f"received posterior={posterior!r:.80}, expected a function of (model, x)"
            " that gives mean and log_var"
        )
    return find_posterior(model, data[:2], posterior)[0].astype("float32")


def find_posterior(
    model: Any, data: Any, posterior: Callable | None = None
) -> tuple[np.ndarray, np.ndarray]:
    """(mean, log_var) of q(z | x) for all rows of `data`: two float64 arrays (N, k)."""
    if posterior is None:
        posterior = _own_posterior
    parts = [posterior(model, data[i : i + BATCH]) for i in range(0, len(data), BATCH)]
    if not isinstance(parts[0], (list, tuple)) or len(parts[0]) < 2:
        raise ValueError(
            f"the posterior gave {_kind(parts[0])}, expected mean and log_var, each"
            " (batch, k)"
        )
    mean, log_var = (
        np.concatenate(
            [np.asarray(ops.convert_to_numpy(p[i]), "float64") for p in parts]
        )
        for i in (0, 1)
    )
    if mean.ndim != 2 or mean.shape != log_var.shape:
        raise ValueError(
            f"the posterior gave shapes {mean.shape} and {log_var.shape}, expected mean"
            " and log_var, each (batch, k)"
        )
    return mean, log_var


def _own_posterior(model: Any, x: Any) -> tuple[Any, Any]:
    if callable(getattr(model, "posterior", None)):
        return model.posterior(x)
    outputs = _without_training(model.encoder, x)
    if not isinstance(outputs, (list, tuple)) or len(outputs) < 2:
        raise ValueError(
            f"{type(model).__name__}.encoder gave one output, expected mean and log_var"
            " first: give the callback posterior="
        )
    return outputs[0], outputs[1]


def _without_training(part: Any, x: Any) -> Any:
    return (
        part(x, training=False) if isinstance(part, keras.Layer) else part(x)
    )  # a method may not know the word


def check_decoder(model: Any, decode: Callable | None) -> None:
    """Raises ValueError unless there is a way from latents to images."""
    if (
        decode is None
        and not callable(getattr(model, "decode", None))
        and not callable(getattr(model, "decoder", None))
    ):
        raise ValueError(
            f"{type(model).__name__} has no decoder to draw with. Set self.decoder to a"
            " model from z to images, or give the callback decode=lambda model, z:"
            " images"
        )


def check_images(
    model: Any,
    z: Any,
    decode: Callable | None = None,
    shape: tuple[int, ...] | None = None,
) -> None:
    """Raises ValueError unless latents z (n, k) give images, of the `shape` (height,
    width, channels) where there is one.
    """
    images = find_images(model, z, decode)
    if shape is not None and images.shape[1:] != tuple(shape):
        raise ValueError(
            f"the decoder gave images of shape {images.shape[1:]}, expected that of the"
            f" data, {tuple(shape)}: give both (height, width, channels)"
        )


def find_images(model: Any, z: Any, decode: Callable | None = None) -> np.ndarray:
    """Images in [0, 1] at latents z (n, k): floats (n, height, width, channels)."""
    if decode is None:
        decode = (
            (lambda m, z: m.decode(z))
            if callable(getattr(model, "decode", None))
            else (lambda m, z: _without_training(m.decoder, z))
        )
    images = np.asarray(ops.convert_to_numpy(decode(model, z)), "float32")
    if images.ndim != 4:
        raise ValueError(
            f"the decoder gave shape {images.shape}, expected images (n, height, width,"
            " channels): give the callback decode="
        )
    return images


def random_subset(data: Any, max_samples: int, seed: int = 0) -> np.ndarray:
    """At most `max_samples` rows, always the same ones, never simply the first: data
    are often sorted by class.
    """
    if not hasattr(data, "shape"):
        raise ValueError(
            f"received data of type {type(data).__name__}, expected an array of"
            " examples, as the model is fitted on"
        )
    if len(data) == 0:
        raise ValueError(
            f"received data of shape {tuple(data.shape)}, expected at least one example"
        )
    data = ops.convert_to_numpy(data) if ops.is_tensor(data) else data
    if len(data) > max_samples:
        data = data[
            np.sort(
                np.random.default_rng(seed).choice(
                    len(data), max_samples, replace=False
                )
            )
        ]
    if data.dtype.kind == "f" and np.isnan(data).any():
        raise ValueError(
            "received data with NaN in"
            f" {np.isnan(data).reshape(len(data), -1).any(1).sum()} of {len(data)}"
            " examples, expected numbers: leave these out"
        )
    return data


def restore_config(config: dict[str, Any]) -> dict[str, Any]:
    """A callback's config with its arrays and functions back in their own form, after
    Keras has serialised them.
    """
    return {
        name: (
            keras.saving.deserialize_keras_object(value)
            if isinstance(value, dict)
            else value
        )
        for name, value in config.items()
    }


def _kind(thing: Any) -> str:
    return (
        "missing"
        if thing is None
        else (
            f"{'an' if type(thing).__name__[0] in 'AEIOUaeiou' else 'a'}"
            f" {type(thing).__name__}"
        )
    )
