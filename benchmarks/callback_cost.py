"""What the default callbacks cost: `python benchmarks/callback_cost.py --preset cifar10
--data cifar10.npz`.

Stage 1 trains in one process in four ways, interleaved: without callbacks, with
ComputedGamma alone, with the progress bar alone (written to nowhere), and with all
callbacks of `train_stage1.py`, checkpoints and bar included.
It prints the seconds per step of each, the differences with their standard errors, the
time of the hooks at an epoch's end, and the total for one epoch of the whole data set.
"""

import argparse
import os
import tempfile
import time
from contextlib import redirect_stdout
from pathlib import Path

import keras
import numpy as np

import callbacks
from twostage import presets
from twostage.data import loading
from twostage.data.batches import Batches
from twostage.models import build
from twostage.runs.run import StageRun
from twostage.training import fit
from twostage.training.checkpoint import Checkpoint
from twostage.training.default_callbacks import (
    MAX_WATCHED,
    Diagnostics,
    default_callbacks,
)
from twostage.training.epoch_display import EpochDisplay


class Clock(keras.callbacks.Callback):
    """Notes when the hooks at an epoch's begin and end are called."""

    def __init__(self):
        super().__init__()
        self.begun = self.ended = 0.0

    def on_epoch_begin(self, epoch, logs=None):
        self.begun = time.perf_counter()

    def on_epoch_end(self, epoch, logs=None):
        self.ended = time.perf_counter()


def main(preset, source, steps, rounds):
    settings = presets.resolve(1, preset, **({"data": source} if source else {}))
    images, _ = loading.load_for(settings)
    keras.utils.set_random_seed(settings.seed)
    vae = build.build_stage1(settings, images.shape[1:])
    fit.compile_vae(settings, vae)
    watched = callbacks.examples.random_subset(images, MAX_WATCHED, settings.seed)
    batches = Batches(
        images[: steps * settings.batch_size], settings.batch_size, settings.seed
    )
    epoch = len(images) // settings.batch_size
    with tempfile.TemporaryDirectory() as folder, open(os.devnull, "w") as nowhere:
        stage = StageRun(Path(folder) / "run", 1)
        (stage.path / "checkpoints").mkdir(parents=True)
        (stage.path / "images").mkdir()
        everything = default_callbacks(
            settings, batches, Diagnostics(watched), stage=stage
        )
        every = settings.checkpoint_every
        # the last of so many epochs never comes, so that the bar stays
        bars = [EpochDisplay(rounds + 2, steps, bar=True) for _ in range(2)]
        everything.append(bars[0])
        everything.append(Checkpoint(stage, everything, every=every))
        variants = {
            "bare": [],
            "gamma": [callbacks.ComputedGamma(settings.gamma_rule)],
            "bar": [bars[1]],
            "all": everything,
        }
        seconds, ends = {name: [] for name in variants}, {name: [] for name in variants}
        for i in range(rounds + 1):  # the first one compiles
            for name in sorted(
                variants,
                key=lambda name: (list(variants).index(name) + i) % len(variants),
            ):
                first, last = Clock(), Clock()
                with redirect_stdout(nowhere):
                    vae.fit(
                        batches,
                        epochs=1,
                        shuffle=False,
                        verbose=0,
                        callbacks=[first, *variants[name], last],
                    )
                if i:
                    seconds[name].append((first.ended - last.begun) / steps)
                    ends[name].append(last.ended - first.ended)
    print(
        f"{preset}, {keras.backend.backend()}: {rounds} rounds of {steps} steps each,"
        f" interleaved; an epoch has {epoch} steps"
    )
    bare = np.median(seconds["bare"])
    for name in variants:
        more = np.array(seconds[name]) - np.array(seconds["bare"])
        error, end = more.std(ddof=1) / rounds**0.5, np.median(ends[name])
        share = 100 * np.array([np.median(more), error]) / bare
        text = (
            f"{name:5s} {np.median(seconds[name]):.4f} s per step, {share[0]:+.2f} %"
            f" (standard error {share[1]:.2f} %); epoch's end {end:.3f} s"
        )
        print(
            f"{text}, {100 * end / (epoch * bare):.3f} % of an epoch of"
            f" {epoch * bare:.0f} s"
        )


if __name__ == "__main__":
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--preset", default="digits")
    parser.add_argument("--data", default=None)
    parser.add_argument("--steps", type=int, default=20)
    parser.add_argument("--rounds", type=int, default=10)
    options = parser.parse_args()
    main(options.preset, options.data, options.steps, options.rounds)
