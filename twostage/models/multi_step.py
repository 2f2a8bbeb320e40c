"""Several training steps in one compiled call on JAX, where Keras's own
`steps_per_execution` is a loop in Python.
"""

import itertools

import keras


def scanned(model):
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

    def step(state, batch):
        logs, after = model.train_step(state, batch)
        return (
            tree(lambda new, old: jax.numpy.asarray(new, old.dtype), after, state),
            logs,
        )  # a Python number's type would not be the array's

    def many(state, batches):
        state, logs = jax.lax.scan(step, state, batches)
        return tree(lambda each: each[-1], logs), state

    compiled = jax.jit(many, donate_argnums=0)

    def execute(state, iterator):
        batches = list(itertools.islice(iterator, model.steps_per_execution))
        if not batches:
            raise StopIteration
        for _, alike in itertools.groupby(
            batches, key=lambda batch: str(tree(lambda each: each.shape, batch))
        ):
            logs, state = compiled(
                state, tree(lambda *each: jax.numpy.stack(each), *alike)
            )
        return logs, state

    return execute
