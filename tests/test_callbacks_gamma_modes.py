"""Gamma is the NumPy loop's in every mode of training, and a mode where it cannot be is
refused when training begins.
"""

import json
import socket
import subprocess
import sys
from pathlib import Path

import keras
import numpy as np
import pytest
from gamma_modes import MODES, STRANGERS_MODES, STRANGERS_TOLERANCE, difference
from replica_processes import environment, on_replicas
from small_models import linear_vae

from twostage.data.batches import Batches
from twostage.models.replicas import check_replicas

HERE = Path(__file__).parent
BACKEND = keras.backend.backend()


def start(*arguments):
    return subprocess.Popen(
        [sys.executable, str(HERE / "gamma_modes.py"), *map(str, arguments)],
        env=environment(),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


@pytest.mark.parametrize("mode", MODES)
def test_rule_inside_the_step_is_the_numpy_loop(mode):
    if BACKEND == "torch" and "steps_per_execution" in MODES[mode]:
        pytest.skip("Keras has no steps_per_execution on PyTorch")
    assert difference(**MODES[mode]) <= 1e-5


@pytest.mark.parametrize("mode", STRANGERS_MODES)
def test_rule_in_a_strangers_vae_is_the_numpy_loop(mode):
    assert difference(**STRANGERS_MODES[mode]) <= STRANGERS_TOLERANCE


@pytest.mark.slow
@pytest.mark.skipif(BACKEND != "tensorflow", reason="MirroredStrategy is TensorFlow's")
def test_rule_on_two_replicas_is_the_numpy_loop():
    out = on_replicas(HERE / "gamma_modes.py", "replicas")
    found = json.loads(out.splitlines()[-1])
    assert len(found) == 2 and np.max([*found.values()]) <= 1e-5, found


@pytest.mark.skipif(BACKEND != "jax", reason="keras.distribution works on JAX")
def test_two_processes_are_the_numpy_loop_and_equal_one(tmp_path):
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    processes = {
        rank: start("process", rank, port, tmp_path / f"{rank}.json")
        for rank in (0, 1, -1)
    }
    errors = {rank: process.communicate()[1] for rank, process in processes.items()}
    for rank, process in processes.items():
        assert process.returncode == 0, (
            f"process {rank} ended with {process.returncode}:\n{errors[rank][-6000:]}"
        )
    found = {
        rank: json.loads((tmp_path / f"{rank}.json").read_text()) for rank in processes
    }
    ours = [one.pop("difference") for one in found.values()]
    strangers = [one.pop("stranger's difference") for one in found.values()]
    assert np.max(ours) <= 1e-5 and np.max(strangers) <= STRANGERS_TOLERANCE
    for rank in (0, 1):
        for name, expected in found[-1].items():
            np.testing.assert_allclose(
                found[rank][name], expected, rtol=1e-5, atol=1e-6, err_msg=name
            )


class Replicas:  # what check_replicas asks of a strategy
    def __init__(self, number):
        self.num_replicas_in_sync = number


def test_batches_that_do_not_divide_by_the_replicas_are_refused():
    x = np.zeros((86, 6), "float32")
    for data, options in (
        (x, {"batch_size": 16}),
        (x[:64], {}),
        (Batches(x, 20), {}),
        (x, {"batch_size": 20, "validation_split": 0.5}),
    ):
        check_replicas(Replicas(1), data, **options)
    check_replicas(Replicas(2), x, 16)
    check_replicas(Replicas(2), Batches(x, 20))
    for data, options, shown in (
        (
            x,
            {"batch_size": 17},
            (
                "batches of 17, 1 examples on 2 replicas, expected each to divide by 2:"
                " choose such a batch_size"
            ),
        ),
        (x[:65], {}, "batches of 32, 1 examples"),
        (x, {"batch_size": 20, "validation_split": 0.5}, "batches of 20, 3 examples"),
        (Batches(x, 17), {}, "batches of 17 examples"),
        (iter([x]), {}, "batches of unknown size examples"),
    ):
        with pytest.raises(ValueError, match=shown):
            check_replicas(Replicas(2), data, **options)


@pytest.mark.skipif(BACKEND != "tensorflow", reason="tf.data")
def test_tf_data_must_drop_its_remainder_on_replicas():
    import tensorflow as tf

    rows = tf.data.Dataset.from_tensor_slices(np.zeros((86, 6), "float32"))
    check_replicas(Replicas(2), rows.batch(16, drop_remainder=True))
    with pytest.raises(ValueError, match="drop_remainder=True"):
        check_replicas(Replicas(2), rows.batch(16))


@pytest.mark.skipif(
    BACKEND != "tensorflow",
    reason="on JAX an exception inside fit costs the model its weights",
)
def test_an_interrupted_fit_leaves_no_rule_active():
    class Interrupt(keras.callbacks.Callback):
        def on_train_batch_end(self, batch, logs=None):
            raise KeyboardInterrupt

    import callbacks

    vae, x = linear_vae(log_var=-60.0), np.ones((32, 6), "float32")
    vae.compile(keras.optimizers.SGD(0.0))
    with pytest.raises(KeyboardInterrupt):
        vae.fit(x, verbose=0, callbacks=[callbacks.ComputedGamma("batch"), Interrupt()])
    before = float(vae.gamma)
    vae.fit(x, epochs=2, verbose=0)
    assert float(vae.gamma) == before


@pytest.mark.parametrize("kept", ["restored", "saved"])
def test_the_weights_of_a_fit_leave_nothing_active(kept, tmp_path):
    """EarlyStopping brings the best epoch's weights back after the rule has ended;
    ModelCheckpoint's file has the rule active.
    """
    import callbacks

    vae, x = linear_vae(log_var=-60.0), np.ones((32, 6), "float32")
    vae.compile(keras.optimizers.SGD(0.0))
    path = tmp_path / "vae.keras"
    keeper = (
        keras.callbacks.EarlyStopping("loss", patience=1, restore_best_weights=True)
        if kept == "restored"
        else keras.callbacks.ModelCheckpoint(path)
    )
    vae.fit(
        x,
        epochs=4,
        verbose=0,
        callbacks=[callbacks.ComputedGamma("batch"), callbacks.FreeBits(0.5), keeper],
    )
    if kept == "saved":
        vae = keras.saving.load_model(path)
    before = float(vae.gamma)
    for others in ([], [callbacks.GammaSchedule(lambda t: before, unit="epoch")]):
        free = vae.fit(
            x, epochs=2, verbose=0, callbacks=[callbacks.FreeBits(0.25), *others]
        ).history["free_bits"]
        assert (
            float(vae.gamma) == pytest.approx(before)
            and free == [0.25] * 2
            and float(vae.free_bits) == 0.0
        )
