"""What the callbacks require of a model's variables and metrics.

The posterior is posterior.py's, the decoder decoder.py's.
"""

import logging
import math
from collections.abc import Iterator
from typing import Any

import keras
from keras import ops

from .model_calls import describe
from .training_progress import batches_per_step
from .variable_use import loss_line

MAX_GAMMA = 255.0  # no standard deviation of images is larger
HALVES = ("float16", "bfloat16")
START_VALUES = {"gamma": "ones", "kl_weight": "ones"}  # else zeros


def find_rule(model: Any) -> Any:
    """The likelihood that holds the computed-gamma rule inside the training step; None
    in a model that knows nothing of it.
    """
    likelihood = getattr(model, "likelihood", None)
    needed = (
        "gamma_squared",
        "batch_mse",
        "decay",
        "monotone",
        "floor_squared",
        "floor",
    )
    return likelihood if all(hasattr(likelihood, name) for name in needed) else None


def find_variable(model: Any, attribute: str) -> Any:
    """`model.attribute`, or that of the one layer which has such a scalar variable, as
    in a functional model; None if there is none.

    Raises:
        ValueError: several layers have one.
    """
    found = getattr(model, attribute, None)
    if found is not None:
        return found
    held = {}
    for layer in _layers(model):
        variable = getattr(layer, attribute, None)
        if variable is not None and _is_scalar(variable):
            held[layer.name] = variable
    if len({id(variable) for variable in held.values()}) > 1:
        raise ValueError(
            f"the layers {', '.join(held)} each have a variable {attribute!r}, expected"
            f" one of them to have it: set model.{attribute} to the right one"
        )
    return next(iter(held.values()), None)


def _layers(model: Any) -> Iterator[Any]:
    """The layers of a model, and those of the models among them."""
    for layer in getattr(model, "layers", []):
        yield layer
        yield from _layers(layer)


def number(variable: Any) -> float:
    """A scalar variable's or tensor's value, on any backend, under any strategy."""
    return float(ops.convert_to_numpy(ops.convert_to_tensor(variable)))


def check_variable(model: Any, attribute: str, role: str) -> None:
    """Raises ValueError unless `model.attribute` is a variable of shape ().

    Args:
        role: What it is for: a key of `variable_use.LOSSES`, or "batch_mse".
    """
    variable = find_variable(model, attribute)
    if not hasattr(variable, "assign"):
        raise ValueError(
            f"{type(model).__name__}.{attribute} is {describe(variable)}, expected a"
            f" variable. {_add_variable(model, attribute, role)}"
        )
    if tuple(variable.shape):
        raise ValueError(
            f"{type(model).__name__}.{attribute} has shape {tuple(variable.shape)},"
            " expected one number: build it with shape=()"
        )
    weights = getattr(model, "trainable_variables", [])
    # a step assigns batch_mse whatever the optimizer does to it
    if role != "batch_mse" and any(variable is weight for weight in weights):
        raise ValueError(
            f"{type(model).__name__}.{attribute} is a trainable weight, which the"
            " optimizer moves too: build it with trainable=False, or drop the callback"
        )
    if isinstance(model, keras.Model):
        _check_tracked(model, attribute, variable)


def _check_tracked(model: keras.Model, attribute: str, variable: Any) -> None:
    """Warns of a variable that the model does not know, such as that of a loss object,
    or TensorFlow's own; raises ValueError on JAX, where the compiled step holds its
    first value for ever.
    """
    known = [*model.variables, *model.metrics_variables]
    if any(variable is one for one in known):
        return
    name = f"{type(model).__name__}.{attribute}"
    remedy = f"In the model's __init__: self.{attribute} = the variable"
    if not isinstance(variable, keras.Variable):
        remedy += ", which must be a keras.Variable, as add_weight makes"
    if keras.backend.backend() == "jax":
        raise ValueError(
            f"{name} is a variable that the model does not track, so on JAX the"
            " compiled step does not see what is set, expected one of the model's."
            f" {remedy}"
        )
    logging.getLogger(__name__).warning(
        "%s is a variable that the model does not track, so it is not saved with the"
        " weights. %s",
        name,
        remedy,
    )


def check_gamma(model: Any, attribute: str = "gamma") -> None:
    """Raises ValueError unless gamma can be set: a variable that could be a standard
    deviation, or a likelihood that holds the rule and does not learn.
    """
    if find_rule(model) is not None:
        if getattr(model.likelihood, "learned", False):
            raise ValueError(
                "the likelihood learns gamma, so it cannot be set too: build it with"
                " learned=False, or drop the callback"
            )
        return
    check_variable(model, attribute, "gamma")
    variable = find_variable(model, attribute)
    dtype = keras.backend.standardize_dtype(variable.dtype)
    if dtype in HALVES:
        raise ValueError(
            f"{type(model).__name__}.{attribute} is a {dtype}, expected a float32: what"
            ' a step changes would be rounded away. Build it with dtype="float32"'
        )
    value = number(variable)
    if not 0 < value <= MAX_GAMMA:
        raise ValueError(_implausible(model, attribute, value))


def check_start(model: Any, attribute: str, gamma: float, error: float) -> None:
    """Raises ValueError where gamma is no standard deviation, by a minibatch's mean
    squared error.
    """
    if error > 0 and gamma > 100 * math.sqrt(error):
        reason = f" at a root mean squared error of {math.sqrt(error):.4g}"
        raise ValueError(_implausible(model, attribute, gamma, reason))


def check_single_steps(model: Any, why: str) -> None:
    """Raises ValueError where Keras calls callbacks once for several steps."""
    steps = getattr(model, "steps_per_execution", 1)
    if steps > 1:
        raise ValueError(
            f"received steps_per_execution={steps}, expected 1: {why}. Compile with"
            " steps_per_execution=1"
        )


def check_modes(model: Any) -> None:
    """Raises ValueError where a step on several replicas (tf.distribute) is asked for
    what Keras cannot do there.
    """
    replicas = _replicas(model)
    modes = {
        "steps_per_execution": getattr(model, "steps_per_execution", 1),
        "gradient_accumulation_steps": batches_per_step(model),
    }
    for name, value in modes.items():
        if replicas > 1 and value > 1:
            raise ValueError(
                f"received {name}={value} on {replicas} replicas, expected 1: Keras"
                f" itself fails there. Compile with {name}=1"
            )


def check_error_of_replicas(model: Any) -> None:
    """Raises ValueError where `model.batch_mse` would be the error of one of several
    replicas (tf.distribute).
    """
    replicas = _replicas(model)
    aggregation = getattr(find_variable(model, "batch_mse"), "aggregation", None)
    # TensorFlow's own is an enumeration
    aggregation = getattr(aggregation, "name", aggregation)
    if replicas > 1 and str(aggregation).lower() != "mean":
        raise ValueError(
            f"{type(model).__name__}.batch_mse is the error of one of {replicas}"
            ' replicas, expected that of all: build it with aggregation="mean"'
        )


def _replicas(model: Any) -> int:
    strategy = getattr(model, "distribute_strategy", None)
    return getattr(strategy, "num_replicas_in_sync", 1)


def get_gamma(model: Any, attribute: str = "gamma") -> float:
    """The decoder's standard deviation in force."""
    return number(model.gamma if find_rule(model) else find_variable(model, attribute))


def set_gamma(model: Any, gamma: float, attribute: str = "gamma") -> None:
    """Sets the decoder's standard deviation."""
    likelihood = find_rule(model)
    if likelihood is None:
        find_variable(model, attribute).assign(gamma)
    else:
        likelihood.gamma_squared.assign(gamma**2)
        likelihood.batch_mse.assign(gamma**2)  # nothing pending


def find_mse(model: Any, trained: bool = False) -> keras.metrics.Mean | None:
    """The Mean metric named "mse", one of the model's own or a compiled one.

    Args:
        trained: Whether a step was trained. Before, compiled metrics may not be built
            yet: Keras may do that in the first step. Then None is returned.

    Raises:
        ValueError: there is none, or several, which belong to several outputs; or its
            sums are of 16 bits.
    """
    metrics = []
    for metric in getattr(model, "metrics", []):
        metrics.extend([metric, *getattr(metric, "metrics", [])])
    named = {id(metric): metric for metric in metrics if metric.name == "mse"}
    if len(named) > 1:
        raise ValueError(
            f"{type(model).__name__} has {len(named)} metrics 'mse', as of several"
            " outputs, expected that of the reconstruction alone. Assign its error to a"
            f" variable: {_add_variable(model, 'batch_mse', 'batch_mse')}"
        )
    found = next(iter(named.values()), None)
    if isinstance(found, keras.metrics.Mean):
        _check_sums(found)
        return found
    unbuilt = not all(getattr(metric, "built", True) for metric in metrics)
    if found is None and unbuilt and not trained:
        return None
    if found is None and isinstance(getattr(model, "mse", None), keras.metrics.Mean):
        raise ValueError(
            f"{type(model).__name__}.metrics leaves out self.mse, or that is not named"
            ' "mse", expected it among them: add self.mse to what the property returns'
        )
    has = "no metric" if found is None else f"{describe(found)} as metric"
    raise ValueError(
        f"{type(model).__name__} has {has} 'mse', expected a keras.metrics.Mean of the"
        " minibatches' mean squared error. Either compile(metrics=['mse']), where the"
        " model returns the reconstruction and fit gets (x, x); or assign it to a"
        " variable:"
        f" {_add_variable(model, 'batch_mse', 'batch_mse')}"
    )


def _check_sums(metric: Any) -> None:
    """Raises ValueError where a batch's error, the difference of two sums, would be
    rounded away.
    """
    dtype = keras.backend.standardize_dtype(metric.total.dtype)
    if dtype in HALVES:
        raise ValueError(
            f"the metric 'mse' adds up in {dtype}, expected float32, as a batch's error"
            ' is rounded away: build it with dtype="float32", such as'
            ' keras.metrics.MeanSquaredError("mse", dtype="float32")'
        )


def _add_variable(model: Any, attribute: str, role: str) -> str:
    """The lines that give a model a variable."""
    start = START_VALUES.get(role, "zeros")
    # on PyTorch a variable that Keras casts cannot be assigned in a layer's call
    cast = ", autocast=False" if role == "batch_mse" else ""
    weight = (
        f'self.{attribute} = self.add_weight(name="{attribute}", shape=(),'
        f' initializer="{start}", trainable=False{cast})'
    )
    line = "self.batch_mse.assign(mse)"
    if role != "batch_mse":
        line = loss_line(role, attribute)
    if _is_functional(model):
        return (
            "A functional model holds it in the layer that computes the loss. Add to"
            f" that layer's __init__: {weight}; to its call: {line}"
        )
    return f"Add to __init__: {weight}; where the loss is computed: {line}"


def _is_scalar(variable: Any) -> bool:
    return hasattr(variable, "assign") and not tuple(variable.shape)


def _is_functional(model: Any) -> bool:
    return type(model).__module__.startswith("keras.")


def _implausible(model: Any, attribute: str, value: float, reason: str = "") -> str:
    return (
        f"{type(model).__name__}.{attribute} is {value:g}{reason}, expected the"
        " decoder's standard deviation in the data's units. If it is something else,"
        ' give the callback the right variable: attribute="..."; if it is gamma, start'
        " it at the data's standard deviation"
    )
