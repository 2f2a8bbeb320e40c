"""The examples that a callback encodes: a fixed random part of what `fit` takes.

Examples are an array (N, ...), or a list, tuple or dict of arrays of N rows each, for a
model of several inputs.
"""

from collections.abc import Iterator
from typing import Any

import keras
import numpy as np


def random_subset(
    data: Any, max_samples: int, seed: int = 0, finite: bool = True
) -> Any:
    """At most `max_samples` examples, always the same ones, never simply the first:
    data are often sorted by class.

    Args:
        data: Array (N, ...), or a list, tuple or dict of arrays (several inputs); a
            DataFrame of numbers; or batches that can be counted: a `tf.data.Dataset`,
            a `keras.utils.PyDataset`, a PyTorch `DataLoader`. Those are read through
            once, and their targets and weights are left out.
        max_samples: Most rows that are returned.
        seed: Of the choice.
        finite: Whether NaN and infinity are refused.

    Returns:
        NumPy arrays, in the structure of `data`.

    Raises:
        ValueError: data that cannot be indexed or counted; arrays of different length;
            no rows; other values than numbers; NaN or infinity.
    """
    if _is_structure(data) or _is_array(data) or _is_frame(data):
        examples = keras.tree.map_structure(_as_array, data)
        count = count_rows(examples)
        inputs = len(keras.tree.flatten(examples))
        if inputs > max(count, 8):
            raise ValueError(
                f"received {inputs} arrays of {count} rows each, expected one array per"
                " input of the model. Make an array of a list of examples:"
                " data=numpy.stack(data)"
            )
        if count > max_samples:
            generator = np.random.default_rng(seed)
            chosen = generator.choice(count, max_samples, replace=False)
            examples = rows(examples, np.sort(chosen))
        examples = keras.tree.map_structure(np.asarray, examples)
    else:
        examples = _sample_batches(_batches(data), max_samples, seed)
    if finite:
        keras.tree.map_structure(_check_values, examples)
    return examples


def rows(examples: Any, index: Any) -> Any:
    """The rows of all arrays that `index`, a slice or an array of numbers, selects."""
    return keras.tree.map_structure(lambda array: array[index], examples)


def count_rows(examples: Any) -> int:
    """N.

    Raises:
        ValueError: the arrays differ in it, or it is 0.
    """
    arrays = keras.tree.flatten(examples)
    counts = {len(array) if array.shape else 0 for array in arrays}
    if len(counts) > 1:
        raise ValueError(
            f"received {len(arrays)} arrays with {_listed(counts)} rows, expected the"
            " same number in each: a list or dict holds one array per input of the"
            " model. Make an array of a list of examples: data=numpy.stack(data)"
        )
    if not counts or counts == {0}:
        shapes = ", ".join(str(tuple(array.shape)) for array in arrays) or "none"
        raise ValueError(
            f"received data of shape {shapes}, expected at least one example"
        )
    return counts.pop()


def _is_structure(data: Any) -> bool:
    return isinstance(data, (list, tuple, dict))


def _is_array(data: Any) -> bool:
    return all(hasattr(data, name) for name in ("shape", "dtype", "__getitem__"))


def _is_frame(data: Any) -> bool:
    """A DataFrame of pandas, polars or their like."""
    return hasattr(data, "to_numpy") and hasattr(data, "columns")


def _as_array(data: Any) -> Any:
    """An array that can be indexed by row numbers; files stay memory-mapped."""
    of_columns = _is_frame(data)
    if of_columns:
        data = data.to_numpy()
    if not _is_array(data):
        raise ValueError(
            f"received a list or dict that holds {type(data).__name__}, expected"
            " arrays, one per input of the model. Make an array of it:"
            " data=numpy.asarray(data)"
        )
    if keras.ops.is_tensor(data) or hasattr(data, "numpy"):
        data = _tensor_to_numpy(data)
    if hasattr(data, "toarray"):
        raise ValueError(
            f"received a sparse {type(data).__name__}, expected a dense array:"
            " data=data.toarray()"
        )
    kind = np.dtype(data.dtype)
    if kind.kind not in "fiub" and not _is_small_float(kind):
        remedy = "data=data.astype('float32')"
        if of_columns:
            remedy = "data=data.select_dtypes('number').to_numpy('float32')"
        elif kind.kind == "O":
            remedy = "data=numpy.stack(list(data)).astype('float32')"
        raise ValueError(
            f"received data of type {kind}, expected numbers: encode or drop what is no"
            f" number, then {remedy}"
        )
    return data


def _tensor_to_numpy(tensor: Any) -> np.ndarray:
    """Of any framework, whichever backend Keras has."""
    if hasattr(tensor, "detach"):  # PyTorch's
        tensor = tensor.detach().cpu()
    return np.asarray(tensor)


def _is_small_float(kind: np.dtype) -> bool:
    """bfloat16 and its like, which NumPy itself does not know."""
    return kind.name.startswith(("bfloat", "float"))


def _check_values(array: np.ndarray) -> None:
    """Raises ValueError where values are not finite."""
    if array.dtype.kind in "iub":
        return
    values = array if array.dtype.kind == "f" else array.astype("float32")
    bad = ~np.isfinite(values.reshape(len(values), -1)).all(axis=1)
    if bad.any():
        what = "NaN" if np.isnan(values).any() else "infinity"
        raise ValueError(
            f"received data with {what} in {bad.sum()} of {len(values)} examples,"
            " expected finite numbers: leave these out"
        )


def _batches(data: Any) -> Iterator[Any]:
    """The inputs of each batch.

    Raises:
        ValueError: batches that cannot be counted.
    """
    if hasattr(data, "as_numpy_iterator"):  # tf.data
        count, elements = int(data.cardinality()), data.as_numpy_iterator
    elif isinstance(data, keras.utils.PyDataset):
        count = -1 if data.num_batches is None else data.num_batches
        elements = lambda: (data[i] for i in range(count))  # noqa: E731
    else:
        count, elements = _length(data), lambda: iter(data)
    if count < 0:
        raise ValueError(
            f"received data of type {type(data).__name__} whose length is not known,"
            " expected an array, or batches that can be counted. Make an array of some"
            " batches: data=numpy.concatenate([b[0] if isinstance(b, tuple) else b for"
            " b in itertools.islice(batches, 40)])"
        )
    for element in elements():
        element = tuple(element) if isinstance(element, list) else element
        yield keras.utils.unpack_x_y_sample_weight(element)[0]


def _length(data: Any) -> int:
    """How many batches there are; -1 where that is not known, as of a generator."""
    try:
        return len(data) if hasattr(data, "__iter__") else -1
    except TypeError:
        return -1


def _sample_batches(batches: Iterator[Any], max_samples: int, seed: int) -> Any:
    """`max_samples` rows of all batches: those whose random keys are the smallest."""
    generator = np.random.default_rng(seed)
    kept, keys = None, np.empty(0)
    for batch in batches:
        batch = keras.tree.map_structure(
            lambda part: _as_array(_tensor_to_numpy(part)), batch
        )
        keys = np.append(keys, generator.random(count_rows(batch)))
        kept = batch if kept is None else _appended(kept, batch)
        if len(keys) > max_samples:
            smallest = np.sort(np.argpartition(keys, max_samples)[:max_samples])
            keys, kept = keys[smallest], rows(kept, smallest)
    if kept is None:
        raise ValueError("received no batch, expected at least one example")
    return kept


def _appended(kept: Any, batch: Any) -> Any:
    return keras.tree.map_structure(
        lambda some, more: np.concatenate([some, more]), kept, batch
    )


def _listed(counts: set[int]) -> str:
    shown = [str(count) for count in sorted(counts)]
    return ", ".join(shown[:3]) + (", ..." if len(shown) > 3 else "")
