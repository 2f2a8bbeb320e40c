"""Does a training explode in its first steps, with and without the bound on the log
variance? `python benchmarks/first_steps.py --preset cifar10 --data cifar10.npz
[--set base_dim=16] [--steps 150] [--rates 1e-4 1e-3 3e-3] [--seeds 0 1]`.

Each row trains stage 1 twice from the same weights, with `BoundedLogVariance` and with
the linear head that it replaces, and prints of each the greatest KL of a step (nats)
and the mean mse of the last 50 steps. Rows that are equal in every digit never met the
bound.
"""

import argparse
import itertools

import keras
import numpy as np
from changes import changes_of
from first_stage import new_stage1

import callbacks
from twostage import presets
from twostage.config import PRECISIONS
from twostage.data import loading
from twostage.data.batches import Batches
from twostage.training import fit
from twostage.training.settings import training_settings

NEVER = 1e30  # a bound that no log variance reaches
HEAD = "| rate | precision | seed | linear: greatest KL | mse | bounded | mse |"


class Steps(keras.callbacks.Callback):
    """The KL and mse of each step, in place of Keras's running means."""

    def __init__(self):
        super().__init__()
        self.kl, self.mse = [], []

    def on_train_batch_end(self, batch, logs=None):
        self.kl.append(logs["kl"])
        self.mse.append(logs["mse"])
        self.model.reset_metrics()


def measure(config, images, steps, *, bounded):
    """(greatest KL of a step, mean mse of the last 50 steps)."""
    with training_settings(config):
        vae = new_stage1(config, images)
        if not bounded:
            vae.encoder.get_layer("log_var").bound = NEVER
        batches = Batches(images, config.batch_size, config.seed)
        fit.compile_vae(config, vae)
        seen = Steps()
        gamma = callbacks.ComputedGamma(config.gamma_rule)
        vae.fit(
            batches,
            steps_per_epoch=steps,
            shuffle=False,
            verbose=0,
            callbacks=[gamma, seen],
        )
    keras.backend.clear_session()
    return np.max(seen.kl), np.mean(seen.mse[-50:])


def main(given):
    """Prints a Markdown table, a row as soon as it is measured."""
    changes = changes_of(given.set)
    base = presets.resolve(1, given.preset, data=given.data, **changes)
    images, _ = loading.load_for(base)
    print(HEAD, "| --- | --- | --- | --- | --- | --- | --- |", sep="\n", flush=True)
    rows = itertools.product(given.seeds, given.rates, PRECISIONS)
    for seed, rate, precision in rows:
        settings = {"learning_rate": rate, "precision": precision, "seed": seed}
        config = presets.resolve(1, given.preset, **changes, **settings)
        sides = [
            measure(config, images, given.steps, bounded=bounded)
            for bounded in (False, True)
        ]
        cells = " | ".join(f"{kl:,.6g} | {mse:.5f}" for kl, mse in sides)
        print(f"| {rate:g} | {precision} | {seed} | {cells} |", flush=True)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--preset", default="cifar10")
    parser.add_argument("--data", required=True)
    parser.add_argument("--set", nargs="*", default=[], help="base_dim=16 partial=true")
    parser.add_argument("--steps", type=int, default=150)
    parser.add_argument("--rates", type=float, nargs="*", default=[1e-4, 1e-3, 3e-3])
    parser.add_argument("--seeds", type=int, nargs="*", default=[0, 1])
    main(parser.parse_args())
