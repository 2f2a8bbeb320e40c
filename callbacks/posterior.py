"""A model's posterior q(z | x): how it is found, read and checked."""

import functools
import logging
import re
from collections.abc import Callable, Iterator
from typing import Any

import keras
import numpy as np

from .examples import count_rows, rows
from .model_calls import (
    batches,
    call,
    call_without_training,
    describe,
    kept_state,
    to_numpy,
)

CHECKED = 3  # examples: two would not show that the first axis is two levels
MANY_LATENTS = 16  # whose log variances are not all positive before training
MAX_CORRELATION = 6.0  # of a posterior's noise and its mean, standard errors
MAX_CHECKED = 2_000  # examples whose draws separate a log variance from other scales
SCALES: dict[str, Callable[[np.ndarray], np.ndarray]] = {
    "log variance": lambda value: value,
    "log standard deviation": lambda value: 2 * value,
    "standard deviation": lambda value: 2 * np.log(value),
    "variance": np.log,
}  # what an encoder may return beside the mean -> log variance
POSITIVE = ("standard deviation", "variance")  # of `SCALES`
REMEDIES = {
    "log standard deviation": "2 * log_std",
    "standard deviation": "2 * keras.ops.log(std)",
    "variance": "keras.ops.log(variance)",
    "standard deviation or variance": "2 * keras.ops.log(std), or"
    " keras.ops.log(variance)",
}
Moments = tuple[np.ndarray, np.ndarray]


def find_posterior(model: Any, data: Any, posterior: Callable | None = None) -> Moments:
    """(mean, log_var) of q(z | x) for all rows of `data`: two float64 arrays (N, ...).

    Args:
        model: With `posterior(x)`, or an `encoder`.
        data: Examples, see `examples.random_subset`.
        posterior: `posterior(model, x)`, instead of the model's own.

    Raises:
        ValueError: outputs that are no mean and log variance.
    """
    with kept_state(model):
        parts = [_read(part) for part in _outputs(model, data, posterior)]
    for (mean, log_var), batch in zip(parts, batches(count_rows(data)), strict=True):
        count = min(batch.stop, count_rows(data)) - batch.start
        if mean.ndim < 2 or mean.shape != log_var.shape or len(mean) != count:
            raise ValueError(
                f"the posterior of {count} examples gave shapes {mean.shape} and"
                f" {log_var.shape}, expected mean and log_var, each ({count}, k)"
            )
    mean, log_var = (np.concatenate([part[i] for part in parts]) for i in (0, 1))
    return mean, log_var


def check_posterior(model: Any, posterior: Callable | None, data: Any) -> np.ndarray:
    """The float32 means (2, k) of the first two examples.

    Raises:
        ValueError: there is no way from data to (mean, log_var); the encoder fails on
            the data; the mean is drawn, or the second output is the mean again; the log
        variance is NaN where the mean is not.
    """
    _check_source(model, posterior)
    first = rows(data, slice(0, CHECKED))
    turned = rows(first, np.arange(count_rows(first))[::-1])
    mean, log_var = find_posterior(model, first, posterior)
    backwards = find_posterior(model, turned, posterior)
    for value, again in zip((mean, log_var), backwards, strict=True):
        # rows in the other order: noise of a fixed seed depends on the place in a batch
        tolerance = 1e-4 * (1 + np.nanmax(np.abs(value), initial=0.0))
        if not np.allclose(value, again[::-1], atol=tolerance, equal_nan=True):
            raise ValueError(_drawn(model, posterior, "other values for the same rows"))
    if mean.any() and np.array_equal(mean, log_var):
        # [z, mean, log_var] of an encoder that draws in training alone
        raise ValueError(_drawn(model, posterior, "the same numbers twice"))
    if np.isnan(log_var).any() and np.isfinite(mean).all():
        raise ValueError(
            f"{_source(model, posterior)} gave a log variance of NaN beside finite"
            " means, expected numbers: the logarithm of a negative number is NaN, so"
            " what it is taken of may be a log variance itself"
        )
    return mean[:2].astype("float32")


def _outputs(model: Any, data: Any, posterior: Callable | None) -> Iterator[Any]:
    """What the posterior returns, batch by batch."""
    for part in batches(count_rows(data)):
        batch = rows(data, part)
        explain = functools.partial(_failure, batch, _source(model, posterior))
        yield call(_call, model, batch, posterior, explain=explain)


def _call(model: Any, batch: Any, posterior: Callable | None) -> Any:
    if posterior is not None:
        return posterior(model, batch)
    return call_without_training(getattr(model, _own(model)), batch)


def _own(model: Any) -> str:
    """What a model has that gives its posterior."""
    has_method = callable(getattr(model, "posterior", None))
    return "posterior" if has_method else "encoder"


def _read(outputs: Any) -> Moments:
    """(mean, log_var) of one batch, from any of the forms that say which is which."""
    outputs = _named(outputs)
    if isinstance(outputs, dict):
        return _read_dict(outputs)
    if hasattr(outputs, "log_prob") and hasattr(outputs, "mean"):
        return _read_distribution(outputs)
    if isinstance(outputs, (list, tuple)) and len(outputs) >= 2:
        return to_numpy(outputs[0]), to_numpy(outputs[1])
    raise ValueError(
        f"the posterior gave {describe(outputs)}, expected mean and log_var, each"
        " (batch, k). If one output holds both halves, give the callback"
        " posterior=lambda model, x: keras.ops.split(model.encoder(x), 2, axis=-1). A"
        " model without mean and variance, such as a VQ-VAE, has no such posterior"
    )


def _named(outputs: Any) -> Any:
    """A namedtuple as a dict, where its fields are names of means or scales."""
    fields = outputs._asdict() if hasattr(outputs, "_asdict") else {}
    known = any(_is_mean(name) or scale_of(name) for name in fields)
    return fields if known else outputs


def _read_dict(outputs: dict[str, Any]) -> Moments:
    means = [value for name, value in outputs.items() if _is_mean(name)]
    scales = [name for name in outputs if scale_of(name)]
    if len(means) != 1 or len(scales) != 1:
        raise ValueError(
            f"the posterior gave a dict of {', '.join(map(repr, outputs))}, expected"
            " 'mean' and 'log_var'. Give the callback posterior=lambda model, x:"
            " (mean, log_var)"
        )
    name = scales[0]
    value = to_numpy(outputs[name])
    _check_sign(name, value)
    return to_numpy(means[0]), SCALES[str(scale_of(name))](value)


def _check_sign(name: str, value: np.ndarray) -> None:
    """Raises ValueError where what is named a standard deviation or a variance has
    negative values.
    """
    scale = scale_of(name)
    if scale in POSITIVE and (value < 0).any():
        raise ValueError(
            f"the posterior's {name!r} has negative values, expected a {scale}. If it"
            " is the log variance, give the callback posterior=lambda model, x: (mean,"
            " log_var); if the log standard deviation, (mean, 2 * log_std)"
        )


def _read_distribution(distribution: Any) -> Moments:
    """Of a diagonal Gaussian of TensorFlow Probability, PyTorch or their like."""
    inner = distribution
    while type(inner).__name__ == "Independent":
        inner = getattr(inner, "base_dist", None) or inner.distribution
    kinds = {kind.__name__ for kind in type(inner).__mro__}
    if not kinds & {"Normal", "MultivariateNormalDiag"}:
        raise ValueError(
            f"the posterior gave {describe(inner)}, expected a Gaussian with a diagonal"
            " covariance (Normal, MultivariateNormalDiag), or mean and log_var"
        )
    mean, variance = (
        value() if callable(value) else value for value in (inner.mean, inner.variance)
    )
    return to_numpy(mean), np.log(to_numpy(variance))


def _plain_name(name: str) -> str:
    return re.sub(r"(^|_)(z|latents?|q|posterior|encoder)_|_\d+$", "", name.lower())


def _is_mean(name: str) -> bool:
    return bool(re.fullmatch(r"z?(means?|mu|loc)", _plain_name(name)))


def scale_of(name: str) -> str | None:
    """The key of `SCALES` that a name stands for, such as "log_sigma"."""
    plain = _plain_name(name).replace("_", "").removeprefix("z")
    variance = r"(var|vars|variance|sigma2|sigmasq|sigmasquared)"
    std = r"(std|stds|sd|stddev|sigma|scale|standarddeviation)"
    for pattern, scale in (
        (f"log{variance}", "log variance"),
        (f"log{std}", "log standard deviation"),
        (std, "standard deviation"),
        (variance, "variance"),
    ):
        if re.fullmatch(pattern, plain):
            return scale
    return None


def _check_source(model: Any, posterior: Callable | None) -> None:
    if posterior is not None and not callable(posterior):
        raise ValueError(
            f"received posterior={posterior!r:.80}, expected a function of (model, x)"
            " that gives mean and log_var"
        )
    own = [getattr(model, name, None) for name in ("posterior", "encoder")]
    if posterior is None and not any(map(callable, own)):
        raise ValueError(
            f"{type(model).__name__} has no encoder that could be called. Set"
            " self.encoder to a model whose outputs begin with mean and log_var, or"
            " give the callback posterior=lambda model, x: (mean, log_var)"
        )


def check_scale(
    model: Any, posterior: Callable | None, data: Any, trained: bool = False
) -> bool:
    """Checks, as far as an encoder's draws of z, its outputs' names or their signs
    show, that its second output is a log variance. Returns whether that is settled:
    before training the scales may be too alike, and few log variances be positive.

    Raises:
        ValueError: it is something else.
    """
    source = _source(model, posterior)
    network = getattr(model, _own(model), None)
    is_method = _own(model) == "posterior" and not isinstance(network, keras.Layer)
    if posterior is not None or is_method:
        return True
    with kept_state(model):
        parts = list(_outputs(model, rows(data, slice(0, MAX_CHECKED)), None))
    if not isinstance(_named(parts[0]), (list, tuple)):
        return True
    columns = [
        np.concatenate([to_numpy(part[i]) for part in parts])
        for i in range(min(len(parts[0]), 3))
    ]
    names = getattr(network, "output_names", [])
    _check_order(source, names)
    named = scale_of(names[1]) if len(names) > 1 else None
    third = len(columns) == 3 and columns[2].shape == columns[0].shape
    draws = third and are_draws(columns[0], columns[2])
    if third and not draws and not named:
        _warn_of_levels(source, len(parts[0]))
    drawn = drawn_scale(*columns) if draws else None
    if drawn is None and named:
        _check_sign(names[1], columns[1])
    scale, settled = drawn or named, drawn is not None or not draws
    hint = f"; if it is the log variance, model.{_own(model)}(x)[:2]"
    if drawn:
        hint = _other_noise(drawn, *columns)
    if scale is None and (columns[1] > 0).all():
        settled = False
        if trained or columns[1][0].size >= MANY_LATENTS:
            scale = "standard deviation or variance"
    if scale not in (None, "log variance"):
        raise ValueError(
            f"{source}'s second output looks like the {scale}, expected the log"
            " variance. Give the callback posterior=lambda model, x:"
            f" (mean, {REMEDIES[scale]}){hint}"
        )
    if drawn and hint:
        logging.getLogger(__name__).warning(
            "%s's second output is taken for the log variance%s", source, hint
        )
    return settled


def _warn_of_levels(source: str, count: int) -> None:
    logging.getLogger(__name__).warning(
        "%s has %d outputs, and the third is no draw of the posterior: the first two"
        " are taken for a mean and its log variance. If that is wrong, give the"
        " callback posterior=lambda model, x: (mean, log_var)",
        source,
        count,
    )


def are_draws(mean: np.ndarray, z: np.ndarray) -> bool:
    """Whether z may be draws of N(mean, sigma^2): their noise does not depend on the
    mean, as the difference to another level's mean does.
    """
    if not np.isfinite(z - mean).all():
        return True
    noise = (z - mean).reshape(len(z), -1)
    mean = mean.reshape(len(z), -1)
    products = (noise - noise.mean(0)) * (mean - mean.mean(0))
    error = np.sqrt((products**2).sum(0))  # of the sum, however wide each noise is
    sizes = np.abs(products.sum(0))
    found = np.divide(sizes, error, out=np.zeros_like(error), where=error > 0)
    return bool(found.max() < MAX_CORRELATION)


def _other_noise(scale: str, mean: np.ndarray, value: np.ndarray, z: np.ndarray) -> str:
    """How far the draws z are from the variance that `value` states as a scale, and
    what that may mean; "" where they have it.
    """
    if scale not in SCALES:
        return ""
    square = (z - mean) ** 2
    factor = float(np.mean(square * np.exp(-SCALES[scale](value))))
    if _is_one(factor, square.size):
        return ""
    return (
        f". The draws have {factor:.3g} times the variance that it states as {scale}:"
        " if the encoder changes it first, as by softplus or clip, give the callback"
        " posterior=lambda model, x: (mean, log_var) of what is drawn"
    )


def _is_one(factor: float, count: int) -> bool:
    """Whether a mean squared noise is 1 within its error."""
    return abs(np.log(factor)) < 0.05 + 4 * (2 / count) ** 0.5


def _check_order(source: str, names: list[str]) -> None:
    """Raises ValueError where the outputs' names say that the mean comes second."""
    if len(names) > 1 and (_is_mean(names[1]) or scale_of(names[0])):
        raise ValueError(
            f"{source}'s outputs are named {names[0]!r} and {names[1]!r}, expected the"
            " mean first. Give the callback posterior=lambda model, x: (mean, log_var)"
        )


def drawn_scale(mean: np.ndarray, value: np.ndarray, z: np.ndarray) -> str | None:
    """What `value` must be, given draws z of N(mean, sigma^2): the key of `SCALES`.

    The squared noise over its variance is 1 on average under the right one. Some
    encoders draw less noise than sigma: where none gives 1, and where several do, the
    likelihood up to a constant factor of sigma decides, if it is clear. None where it
    is not, or where these are no draws.
    """
    square = (z - mean) ** 2
    if not np.isfinite(square).all() or not (square > 0).any():
        return None
    factors, likelihoods = {}, {}
    for scale, to_log_var in SCALES.items():
        if scale in POSITIVE and not (value > 0).all():
            continue
        log_var = to_log_var(value)
        factors[scale] = np.mean(square * np.exp(-log_var))
        fitted = np.log(factors[scale])
        likelihoods[scale] = -0.5 * (square.size * fitted + log_var.sum())
    exact = [scale for scale in factors if _is_one(factors[scale], square.size)]
    candidates = exact or list(factors)
    best, *others = sorted(candidates, key=lambda scale: -likelihoods[scale])
    if all(likelihoods[best] > likelihoods[other] + 10 for other in others):
        return best
    if exact and not any(scale.startswith("log") for scale in exact):
        return "standard deviation or variance"
    return None


def _source(model: Any, posterior: Callable | None) -> str:
    """What `_call` calls."""
    if posterior is not None:
        return "posterior="
    return f"{type(model).__name__}.{_own(model)}"


def _failure(examples: Any, source: str, reason: str) -> str:
    arrays = keras.tree.flatten(examples)
    shapes = ", ".join(f"{array.dtype} {array.shape}" for array in arrays[:3])
    if len(arrays) > 3:
        shapes += f" and {len(arrays) - 3} more"
    return (
        f"the posterior of examples {shapes}, by {source}, failed: {reason}. If the"
        " data are not what it takes, give the callback such data, a list or dict of"
        " arrays for several inputs, or posterior=lambda model, x: (mean, log_var)"
    )


def _drawn(model: Any, posterior: Callable | None, what: str) -> str:
    return (
        f"{_source(model, posterior)} gave {what}, expected a mean and a log variance"
        " without noise. If the encoder returns [z, mean, log_var], give the callback"
        " posterior=lambda model, x: model.encoder(x)[1:3]"
    )
