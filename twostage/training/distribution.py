"""Training on all local devices, and on several machines: MirroredStrategy on
TensorFlow, Keras's DataParallel on JAX. How to start it: docs/how-to/distribute.md.
"""

import atexit
import contextlib
import logging
import os
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import keras

from twostage.errors import InputError
from twostage.system.output import discard_output, suppress_output

logger = logging.getLogger(__name__)

# Keras's own environment variables
COUNT = "KERAS_DISTRIBUTION_NUM_PROCESSES"
NUMBER = "KERAS_DISTRIBUTION_PROCESS_ID"
ADDRESSES = "KERAS_DISTRIBUTION_JOB_ADDRESSES"


def join(run: str | Path) -> str | Path:
    """Waits for the other processes, where Keras's environment variables name some;
    before anything looks for devices.

    All processes train as one, each on its part of every batch. Only process 0 writes
    the run and logs; each of the others has a copy, which is deleted, and prints
    nothing.

    Args:
        run: The run folder, which all of them see.

    Returns:
        The folder that this process writes to.

    Raises:
        InputError: the variables are not whole, or the backend is not JAX.
    """
    if COUNT not in os.environ:
        return run
    number = _checked_number()
    if number:
        run = _copy(Path(run))
    with suppress_output(1):  # which it greets on
        keras.distribution.initialize()
    if number:
        discard_output(1)
    return run


def _checked_number() -> int:
    """This process's number, from 0, once the variables are checked."""
    missing = [name for name in (NUMBER, ADDRESSES) if not os.environ.get(name)]
    if missing:
        raise InputError(
            f"received {COUNT} without {', '.join(missing)}: set all three for each"
            " process (docs/how-to/distribute.md)"
        )
    count, number = os.environ[COUNT], os.environ[NUMBER]
    decimal = count.isdecimal() and number.isdecimal()
    if not decimal or int(number) >= int(count):
        raise InputError(
            f"{COUNT}={count} and {NUMBER}={number}",
            "a number of processes and one from 0 to below it",
        )
    if keras.backend.backend() != "jax":
        raise InputError(
            f"received {COUNT} on the backend {keras.backend.backend()}, several"
            " processes need JAX: set KERAS_BACKEND=jax"
        )
    return int(number)


def is_first() -> bool:
    """Whether this process writes the run: all do that train alone, and the first of
    several that train as one.
    """
    if keras.backend.backend() != "jax":
        return True
    import jax

    return jax.process_index() == 0


@contextlib.contextmanager
def spread(config: Any) -> Iterator[None]:
    """Within, models are built and trained on all devices of all processes; without
    `distribute` on one.

    Raises:
        InputError: the batch size is no multiple of the devices, or several steps a
            call on several of TensorFlow's.
    """
    if not config.distribute:
        yield
        return
    on_tensorflow = keras.backend.backend() == "tensorflow"
    devices, context = _mirrored(config) if on_tensorflow else _data_parallel()
    count = len(devices)
    if config.batch_size % count:
        raise InputError(
            f"`batch_size={config.batch_size}` for {count} devices",
            f"a multiple of {count}",
            "choose another batch size",
        )
    with context:
        each = config.batch_size // count
        logger.info("on %d devices, %d examples each", count, each)
        yield


def _mirrored(config: Any) -> tuple[list, contextlib.AbstractContextManager]:
    import tensorflow as tf

    found = tf.config.list_logical_devices("GPU")
    found = found or tf.config.list_logical_devices("CPU")
    devices = [device.name for device in found]
    if len(devices) > 1 and config.steps_per_execution > 1:
        raise InputError(
            f"`steps_per_execution={config.steps_per_execution}` on"
            f" {len(devices)} devices",
            "1",
            "Keras fails there on TensorFlow",
        )
    return devices, tf.distribute.MirroredStrategy(devices).scope()


def _data_parallel() -> tuple[list, contextlib.AbstractContextManager]:
    devices = keras.distribution.list_devices()
    strategy = keras.distribution.DataParallel(
        devices=devices, auto_shard_dataset=False
    )
    return devices, strategy.scope()


def _copy(run: Path) -> Path:
    """A folder of this process alone, with what there is of the run to resume. It is
    removed when the process ends.
    """
    scratch = Path(tempfile.mkdtemp(prefix="two-stage-vae-"))
    atexit.register(shutil.rmtree, scratch, ignore_errors=True)
    for stage in ("stage1", "stage2"):
        if (run / stage).exists():
            shutil.copytree(
                run / stage,
                scratch / stage,
                ignore=shutil.ignore_patterns("images", "tensorboard"),
            )
    return scratch
