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
from twostage.training.watch_interval import watch_every


class Clock(keras.callbacks.Callback):
    """Notes when the hooks at an epoch's begin and end are called."""

    def __init__(self):
        super().__init__()
        self.begun = self.ended = 0.0

    def on_epoch_begin(self, epoch, logs=None):
        self.begun = time.perf_counter()

    def on_epoch_end(self, epoch, logs=None):
        self.ended = time.perf_counter()


def variants_of(settings, batches, images, stage, rounds):
    """Lists of callbacks by name; `stage` gets the checkpoints."""
    watched = callbacks.examples.random_subset(images, MAX_WATCHED, settings.seed)
    diagnostics = Diagnostics(watched)
    every = watch_every(settings, len(batches))
    everything = default_callbacks(settings, diagnostics, every, stage=stage)
    # the last of so many epochs never comes, so that the bar stays
    bars = [EpochDisplay(rounds + 2, len(batches), bar=True) for _ in range(2)]
    everything.append(bars[0])
    everything.append(Checkpoint(stage, everything, every=settings.checkpoint_every))
    return {
        "bare": [],
        "gamma": [callbacks.ComputedGamma(settings.gamma_rule)],
        "bar": [bars[1]],
        "all": everything,
    }


def timed(vae, batches, watching):
    """Seconds of a step, and of the hooks at the epoch's end."""
    first, last = Clock(), Clock()
    watched_by = [first, *watching, last]
    vae.fit(batches, epochs=1, verbose=0, callbacks=watched_by)
    return (first.ended - last.begun) / len(batches), last.ended - first.ended


def interleaved(vae, batches, variants, rounds):
    """{name: (seconds per step, seconds of the epoch's end), each (rounds,)}."""
    names = list(variants)
    found = {name: [] for name in names}
    for i in range(rounds + 1):  # the first one compiles
        turn = i % len(names)
        for name in names[-turn:] + names[:-turn]:
            times = timed(vae, batches, variants[name])
            if i:
                found[name].append(times)
    return {name: np.transpose(times) for name, times in found.items()}


def report(found, rounds, epoch):
    """Prints a line per variant; `epoch` is the steps of a whole one."""
    bare_steps = found["bare"][0]
    bare = np.median(bare_steps)
    for name, (steps, ends) in found.items():
        more, end = steps - bare_steps, np.median(ends)
        error = more.std(ddof=1) / rounds**0.5
        share = 100 * np.array([np.median(more), error]) / bare
        print(
            f"{name:5s} {np.median(steps):.4f} s per step, {share[0]:+.2f} %"
            f" (standard error {share[1]:.2f} %); epoch's end {end:.3f} s,"
            f" {100 * end / (epoch * bare):.3f} % of an epoch of {epoch * bare:.0f} s"
        )


def main(preset, source, steps, rounds):
    settings = presets.resolve(1, preset, **({"data": source} if source else {}))
    images, _ = loading.load_for(settings)
    keras.utils.set_random_seed(settings.seed)
    vae = build.build_stage1(settings, images.shape[1:])
    fit.compile_vae(settings, vae)
    size = settings.batch_size
    batches = Batches(images[: steps * size], size, settings.seed)
    with (
        tempfile.TemporaryDirectory() as folder,
        open(os.devnull, "w", encoding="utf-8") as nowhere,
    ):
        stage = StageRun(Path(folder) / "run", 1)
        (stage.path / "checkpoints").mkdir(parents=True)
        (stage.path / "images").mkdir()
        variants = variants_of(settings, batches, images, stage, rounds)
        with redirect_stdout(nowhere):
            found = interleaved(vae, batches, variants, rounds)
    epoch = len(images) // size
    print(
        f"{preset}, {keras.backend.backend()}: {rounds} rounds of {steps} steps each,"
        f" interleaved; an epoch has {epoch} steps"
    )
    report(found, rounds, epoch)


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
