"""Several training steps in one compiled call on JAX, where Keras's own
`steps_per_execution` is a loop in Python.
"""

import itertools
from collections.abc import Callable, Iterator
from typing import Any

import keras


def scanned(model: keras.Model) -> Callable | None:
    """What `fit` calls instead of Keras's train function: (state, iterator) -> (logs of
    the last step, state).

    It takes up to `model.steps_per_execution` batches from the iterator and scans over
    them in one program; fewer, or smaller ones, at an epoch's end are another. Under a
    distribution Keras's own is left in place: None.
    """
    if (
        keras.backend.backend() != "jax"
        or model.steps_per_execution == 1
        or model.run_eagerly
        or not model.jit_compile
        or keras.distribution.distribution()
    ):
        return None
    import jax

    tree = jax.tree_util.tree_map

    def as_before(new: Any, old: Any) -> Any:
        # a Python number's type would not be the array's
        return jax.numpy.asarray(new, old.dtype)

    def step(state: Any, batch: Any) -> tuple[Any, Any]:
        logs, after = model.train_step(state, batch)
        return tree(as_before, after, state), logs

    def many(state: Any, batches: Any) -> tuple[Any, Any]:
        state, logs = jax.lax.scan(step, state, batches)
        return tree(lambda each: each[-1], logs), state

    compiled = jax.jit(many, donate_argnums=0)

    def shapes(batch: Any) -> str:
        return str(tree(lambda each: each.shape, batch))

    def execute(state: Any, iterator: Iterator) -> tuple[Any, Any]:
        batches = list(itertools.islice(iterator, model.steps_per_execution))
        if not batches:
            raise StopIteration
        logs = None
        for _, alike in itertools.groupby(batches, key=shapes):
            stacked = tree(lambda *each: jax.numpy.stack(each), *alike)
            logs, state = compiled(state, stacked)
        return logs, state

    return execute
