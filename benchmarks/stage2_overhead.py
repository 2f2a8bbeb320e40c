"""What `fit` costs beside the arithmetic in stage 2, whose steps are small:
`KERAS_BACKEND=jax python benchmarks/stage2_overhead.py [--width 2048]`.

Two sides, interleaved: an epoch as `train_stage2.py` runs it (new draws of the latents,
computed gamma, a checkpoint at its end), and as many calls of the bare compiled
training step on one batch. It prints the milliseconds per step of both and their ratio,
for each round and as the median.
"""

import argparse
import statistics
import tempfile
import time
from pathlib import Path

import keras
import numpy as np

import callbacks
from twostage import presets
from twostage.data.batches import Batches
from twostage.models import build
from twostage.models.posterior import draw_latents
from twostage.runs.run import StageRun
from twostage.training import fit
from twostage.training.checkpoint import Checkpoint


def bare(vae, batch):
    """`run(steps)` of the compiled step alone."""
    if keras.backend.backend() == "tensorflow":
        import tensorflow as tf

        step = tf.function(vae.train_step, jit_compile=vae.jit_compile)
        x = tf.constant(batch)

        def run(steps):
            for _ in range(steps):
                logs = step((x,))
            logs["loss"].numpy()

        return run
    import jax

    step, x = jax.jit(vae.train_step, donate_argnums=0), jax.device_put(batch)
    names = (
        "trainable_variables",
        "non_trainable_variables",
        "optimizer_variables",
        "metrics_variables",
    )

    def run(steps):
        state = tuple(
            [
                jax.numpy.array(variable.value, copy=True)
                for variable in getattr(vae, name)
            ]
            for name in names[:2]
        )
        state += (
            [
                jax.numpy.array(variable.value, copy=True)
                for variable in vae.optimizer.variables
            ],
            [
                jax.numpy.array(variable.value, copy=True)
                for variable in vae.metrics_variables
            ],
        )
        for _ in range(steps):
            logs, state = step(state, (x,))
        jax.block_until_ready(logs)

    return run


def main(width, latents, rows, rounds, steps_per_execution):
    made = presets.resolve(
        2, "cifar10", width=width, steps_per_execution=steps_per_execution
    )
    vae = build.build_stage2(made, latents)
    fit.compile_vae(made, vae)
    moments = np.random.default_rng(0).standard_normal(
        (rows, 2, latents), dtype="float32"
    )
    batches = Batches(moments, made.batch_size, 0, transform=draw_latents)
    steps, ratios = len(batches), []
    with tempfile.TemporaryDirectory() as folder:
        (Path(folder) / "stage1" / "checkpoints").mkdir(parents=True)
        stage = StageRun(folder, 1)
        rule = callbacks.ComputedGamma()
        rule.async_safe = True

        def epoch(number):
            timed = []
            clock = keras.callbacks.LambdaCallback(
                on_epoch_begin=lambda epoch, logs: timed.append(time.perf_counter()),
                on_epoch_end=lambda epoch, logs: timed.append(time.perf_counter()),
            )
            vae.fit(
                batches,
                initial_epoch=number,
                epochs=number + 1,
                verbose=0,
                callbacks=[rule, Checkpoint(stage), clock],
            )
            return (timed[1] - timed[0]) / steps

        epoch(0)
        run = bare(
            vae, draw_latents(moments[: made.batch_size], np.random.default_rng(0))
        )
        run(3)
        for number in range(1, rounds + 1):
            whole = epoch(number)
            begun = time.perf_counter()
            run(steps)
            alone = (time.perf_counter() - begun) / steps
            ratios.append(whole / alone)
            print(
                f"fit {1000 * whole:.2f} ms per step, bare {1000 * alone:.2f} ms, ratio"
                f" {ratios[-1]:.3f}",
                flush=True,
            )
    print(
        f"stage 2 of width {width}, {keras.backend.backend()}, {steps} steps per epoch:"
        f" ratio {statistics.median(ratios):.3f} (median of {rounds})"
    )


if __name__ == "__main__":
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    for name, default in (
        ("width", 2048),
        ("latents", 64),
        ("rows", 50_000),
        ("rounds", 3),
        ("steps-per-execution", 1),
    ):
        parser.add_argument(f"--{name}", type=int, default=default)
    given = parser.parse_args()
    main(
        given.width, given.latents, given.rows, given.rounds, given.steps_per_execution
    )
