"""Training on all local devices, and on several machines: MirroredStrategy on
TensorFlow, Keras's DataParallel on JAX. How to start it: docs/scaling.md.
"""

import atexit
import contextlib
import os
import shutil
import tempfile
from pathlib import Path

import keras

from twostage.errors import InputError
from twostage.system.output import discard_output, suppress_output

COUNT, NUMBER, ADDRESSES = (
    f"KERAS_DISTRIBUTION_{name}"
    for name in ("NUM_PROCESSES", "PROCESS_ID", "JOB_ADDRESSES")
)  # Keras's own
_joined = False


def join(run):
    """Waits for the other processes, where Keras's environment variables name some;
    before anything looks for devices.

    All processes train as one, each on its part of every batch. The first alone writes
    the run; each of the others has a copy, which is thrown away, and is silent.

    Args:
        run: The run folder, which all of them see.

    Returns:
        The folder that this process writes to.

    Raises:
        InputError: the variables are not whole, or the backend is not JAX.
    """
    global _joined
    if COUNT not in os.environ:
        return run
    missing = [name for name in (NUMBER, ADDRESSES) if not os.environ.get(name)]
    if missing:
        raise InputError(
            f"received {COUNT} without {', '.join(missing)}: set all three for each"
            " process (docs/scaling.md)"
        )
    count, number = os.environ[COUNT], os.environ[NUMBER]
    if not (count.isdecimal() and number.isdecimal() and int(number) < int(count)):
        raise InputError(
            f"received {COUNT}={count} and {NUMBER}={number}, expected a number of"
            " processes and one from 0 to below it"
        )
    if keras.backend.backend() != "jax":
        raise InputError(
            f"received {COUNT} on the backend {keras.backend.backend()}, several"
            " processes need JAX: set KERAS_BACKEND=jax"
        )
    if int(number):
        run = _copy(Path(run))
    with suppress_output(1):
        keras.distribution.initialize()  # which greets
    _joined = True
    if not is_first():
        discard_output(1)
    return run


def is_first():
    """Whether this process writes the run."""
    return not _joined or os.environ[NUMBER] == "0"


@contextlib.contextmanager
def spread(config):
    """Within, models are built and trained on all devices of all processes; without
    `--distribute` on one.

    Raises:
        InputError: the batch size is no multiple of the devices, or several steps a
            call on several of TensorFlow's.
    """
    if not config.distribute:
        yield
        return
    if keras.backend.backend() == "tensorflow":
        import tensorflow as tf

        devices = [
            device.name
            for device in tf.config.list_logical_devices("GPU")
            or tf.config.list_logical_devices("CPU")
        ]
        if len(devices) > 1 and config.steps_per_execution > 1:
            raise InputError(
                f"received --steps-per-execution {config.steps_per_execution} on"
                f" {len(devices)} devices, expected 1: Keras fails there on TensorFlow"
            )
        context = tf.distribute.MirroredStrategy(devices).scope()
    else:
        devices = keras.distribution.list_devices()
        context = keras.distribution.DataParallel(
            devices=devices, auto_shard_dataset=False
        ).scope()
    if config.batch_size % len(devices):
        raise InputError(
            f"received --batch-size {config.batch_size} for {len(devices)} devices,"
            " expected a multiple: choose such a batch size"
        )
    with context:
        print(
            f"on {len(devices)} devices, {config.batch_size // len(devices)} examples"
            " each"
        )
        yield


def _copy(run):
    """A folder of this process alone, with what there is of the run to go on from; gone
    when the process ends.
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
