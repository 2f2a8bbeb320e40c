"""Gamma in every mode of training against a loop in NumPy. `python
tests/gamma_modes.py` prints the table; test_gamma_modes.py asserts it.

At learning rate 0 the errors of all minibatches follow from the weights, so the loop
needs nothing that the training reports. Every mode has a ragged last batch, which
moves no gamma and would move it farthest, three
epochs with validation between them, and a second fit.
"""

import json
import sys

import keras
import numpy as np
from small_models import StrangersVAE, batch_errors, linear_vae, numpy_rule

import callbacks
from callbacks import contract
from twostage.data.batches import Batches

BATCH, ROWS, EPOCHS = (
    16,
    86,
    3,
)  # 5 full batches and 6 rows: 6 steps an epoch, which 3 divides and 4 does not
RULES = ("minimum", "ratchet", "ema", "batch")
STRANGERS_TOLERANCE = 2e-7 * 6  # times the steps of an epoch
MODES = {  # arguments of `difference`
    "steps_per_execution 1": {},
    "steps_per_execution 3": {"steps_per_execution": 3},
    "steps_per_execution 4": {"steps_per_execution": 4},
    "jit_compile on": {"jit_compile": True},
    "jit_compile off": {"jit_compile": False},
    "jit_compile on, steps_per_execution 4": {
        "jit_compile": True,
        "steps_per_execution": 4,
    },
    "mixed bfloat16": {"policy": "mixed_bfloat16"},
    "gradient accumulation 2": {"accumulate": 2},
    "gradient accumulation 4, steps_per_execution 3": {
        "accumulate": 4,
        "steps_per_execution": 3,
    },
}
STRANGERS_MODES = {
    "stranger": {"model": StrangersVAE},
    "stranger, jit_compile on": {"model": StrangersVAE, "jit_compile": True},
    "stranger, jit_compile off": {"model": StrangersVAE, "jit_compile": False},
    "stranger, gradient accumulation 2": {"model": StrangersVAE, "accumulate": 2},
}


def data(rows=ROWS):
    """Errors that fall by half, so that every rule moves; multiples of 1/4, which
    bfloat16 holds.
    """
    generator = np.random.default_rng(0)
    scale = np.linspace(1.0, 1.5, rows)[::-1, None]
    return (
        np.round(4 * generator.normal(size=(rows, 6)) * scale).clip(-16, 16) / 4
    ).astype("float32")


def difference(
    policy="float32",
    model=linear_vae,
    accumulate=None,
    batch=BATCH,
    share=None,
    **options,
):
    """The largest relative error of gamma against the loop, over all rules, at the end
    of each epoch of each fit.

    `share(x)`: the rows that this process feeds, where several work together; `batch`
    is each one's.
    """
    keras.utils.set_random_seed(0)
    before = keras.config.dtype_policy()
    keras.config.set_dtype_policy(policy)
    try:
        vae = model(log_var=-200.0)  # no noise
    finally:
        keras.config.set_dtype_policy(before)
    if policy != "float32":
        _make_representable(vae)
    vae.compile(
        keras.optimizers.SGD(0.0, gradient_accumulation_steps=accumulate), **options
    )
    x, worst = data(), 0.0
    errors = batch_errors(vae, x, BATCH)[:-1]  # a remainder of 6 of 16 is left out
    start = float(np.median(errors))
    fed = x if share is None else share(x)
    for rule in RULES:
        contract.set_gamma(vae, start**0.5)
        expected = [
            numpy_rule(rule, start, errors * (epoch + 1)) ** 0.5
            for epoch in range(EPOCHS + 1)
        ]
        assert (
            len(set(expected)) == (EPOCHS + 1 if rule in ("ratchet", "ema") else 1)
            and expected[0] != start**0.5
        )
        fit = {
            "batch_size": batch,
            "shuffle": False,
            "verbose": 0,
            "validation_data": (fed[:20],),
            "callbacks": [callbacks.ComputedGamma(rule)],
        }
        gammas = [vae.fit(fed, epochs=n, **fit).history["gamma"] for n in (EPOCHS, 1)]
        # not `max`, which ignores NaN
        worst = np.max([worst, *np.abs(np.concatenate(gammas) / expected - 1)])
    return float(worst)


def _make_representable(vae):
    """Weights with which all that the networks compute on `data` fits into bfloat16:
    what differs then is the rule.
    """
    generator = np.random.default_rng(1)
    (encoder, _, *_), (decoder, _) = vae.encoder.weights, vae.decoder.weights
    encoder.assign(generator.choice([-0.5, 0.0, 0.5], encoder.shape))
    decoder.assign(np.eye(3)[:, generator.integers(0, 3, 6)] * 0.5)


def on_two_replicas():
    """The errors under MirroredStrategy on two logical CPUs, by name. For a process of
    its own.
    """
    import tensorflow as tf

    cpu = tf.config.list_physical_devices("CPU")[0]
    tf.config.set_logical_device_configuration(
        cpu, [tf.config.LogicalDeviceConfiguration()] * 2
    )
    with tf.distribute.MirroredStrategy(["CPU:0", "CPU:1"]).scope():
        return {
            "MirroredStrategy, 2 replicas": difference(jit_compile=False),
            "stranger, MirroredStrategy, 2 replicas": difference(
                model=StrangersVAE, jit_compile=False
            ),
        }


def as_process(rank, port, out):
    """One of two JAX processes on the loopback: the difference, and a run that learns,
    for comparison with one process. rank -1: that one.
    """
    parts = 1 if rank < 0 else 2
    if rank >= 0:
        keras.distribution.initialize(
            job_addresses=f"127.0.0.1:{port}", num_processes=2, process_id=rank
        )
        keras.distribution.set_distribution(
            keras.distribution.DataParallel(auto_shard_dataset=False)
        )

    def share(x):  # its half of every batch
        batches = [x[i : i + BATCH] for i in range(0, len(x), BATCH)]
        return np.concatenate(
            [np.array_split(batch, parts)[max(rank, 0)] for batch in batches]
        )

    found = {"difference": difference(batch=BATCH // parts, share=share)}
    found["stranger's difference"] = difference(
        model=StrangersVAE, batch=BATCH // parts, share=share
    )
    x = data(96)
    keras.utils.set_random_seed(0)
    vae = linear_vae(seed=0)
    vae.compile(keras.optimizers.Adam(0.01))
    watch = [
        callbacks.ComputedGamma("ema"),
        callbacks.VarianceLaw(x),
        callbacks.LatentMoments(x, every_steps=4),
    ]
    history = vae.fit(
        share(x),
        batch_size=BATCH // parts,
        epochs=EPOCHS,
        shuffle=False,
        verbose=0,
        callbacks=watch,
    ).history
    found |= {name: history[name] for name in ("gamma", "loss", "variance_law")}
    found |= {
        f"weight {i}": weight.tolist() for i, weight in enumerate(vae.get_weights())
    }
    found |= _from_batches()
    with open(out, "w", encoding="utf-8") as file:
        json.dump(found, file)


def _from_batches():
    """The weights after two epochs of shuffled and noisy `Batches`, each process with
    its own part of them, and what shows a wrong use.
    """
    keras.utils.set_random_seed(0)
    vae = linear_vae(seed=0)
    vae.compile(keras.optimizers.Adam(0.01))

    def noisy(batch, generator):
        return batch + generator.standard_normal(batch.shape, "float32") / 9

    batches = Batches(data(90), BATCH, seed=3, transform=noisy)
    vae.fit(
        batches,
        epochs=2,
        shuffle=False,
        verbose=0,
        callbacks=[callbacks.ComputedGamma("ema")],
    )
    return {
        f"batches' weight {i}": weight.tolist()
        for i, weight in enumerate(vae.get_weights())
    }


if __name__ == "__main__":
    if sys.argv[1:2] == ["replicas"]:
        print(json.dumps(on_two_replicas()))
    elif sys.argv[1:2] == ["process"]:
        as_process(int(sys.argv[2]), *sys.argv[3:])
    else:
        for name, arguments in {**MODES, **STRANGERS_MODES}.items():
            print(
                f"| {name} | {keras.backend.backend()} |"
                f" {difference(**arguments):.1e} |",
                flush=True,
            )
