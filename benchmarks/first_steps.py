"""Does a training explode in its first steps, with and without the bound on the log
variance? `python benchmarks/first_steps.py --preset cifar10 --data cifar10.npz
[--set base_dim=16] [--steps 150] [--rates 1e-4 1e-3 3e-3] [--seeds 0 1]
[--heads linear bounded]`.

Each row trains stage 1 from the same weights with the linear head that
`BoundedLogVariance` replaces and with the bound, and prints of each the greatest KL of
a step (nats) and the mean mse of the last 50 steps. Heads that are equal in every digit
never met the bound. `--steps 0` is a whole epoch. A training ends at a loss of NaN.
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
HEADS = ("linear", "bounded")


class Steps(keras.callbacks.Callback):
    """The KL and mse of each step, in place of Keras's running means."""

    def __init__(self):
        super().__init__()
        self.kl, self.mse = [], []

    def on_train_batch_end(self, batch, logs=None):
        self.kl.append(logs["kl"])
        self.mse.append(logs["mse"])
        self.model.reset_metrics()


def measure(config, images, steps, head):
    """(greatest KL of a step, mean mse of the last 50 steps)."""
    with training_settings(config):
        vae = new_stage1(config, images)
        if head == "linear":
            vae.encoder.get_layer("log_var").bound = NEVER
        batches = Batches(images, config.batch_size, config.seed)
        fit.compile_vae(config, vae)
        seen = Steps()
        gamma = callbacks.ComputedGamma(config.gamma_rule)
        vae.fit(
            batches,
            steps_per_epoch=steps or len(images) // config.batch_size,
            verbose=0,
            callbacks=[gamma, keras.callbacks.TerminateOnNaN(), seen],
        )
    keras.backend.clear_session()
    return np.max(seen.kl), np.mean(seen.mse[-50:])


def main(given):
    """Prints a Markdown table, a row as soon as it is measured."""
    changes = changes_of(given.set)
    base = presets.resolve(1, given.preset, data=given.data, **changes)
    images, _ = loading.load_for(base)
    columns = "".join(f" {head}: greatest KL | mse |" for head in given.heads)
    print("| rate | precision | seed |" + columns)
    print("| --- | --- | --- |" + " --- | --- |" * len(given.heads), flush=True)
    rows = itertools.product(given.seeds, given.rates, PRECISIONS)
    for seed, rate, precision in rows:
        settings = {"learning_rate": rate, "precision": precision, "seed": seed}
        config = presets.resolve(1, given.preset, **changes, **settings)
        measured = [measure(config, images, given.steps, head) for head in given.heads]
        cells = " | ".join(f"{kl:,.6g} | {mse:.5f}" for kl, mse in measured)
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
    parser.add_argument("--heads", nargs="*", choices=HEADS, default=HEADS)
    main(parser.parse_args())
