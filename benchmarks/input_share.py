"""How much of a training step is spent on input: `python benchmarks/input_share.py
--preset cifar10 --data cifar10.npz`.

The same model trains in one process on two inputs, interleaved: the real pipeline
(`Batches`: shuffled, mirrored, uint8), and one batch that is a tensor of the backend
already. It prints the seconds per step of each round, the share of the difference, and
the time of `Batches` alone for one batch against the step.
"""

import argparse
import time

import keras
import numpy as np

from twostage import presets
from twostage.data import loading
from twostage.data.batches import Batches, flip
from twostage.models import build
from twostage.training import fit


def main(preset, source, steps, rounds, options):
    settings = presets.resolve(
        1, preset, **({"data": source} if source else {}), **options
    )
    images, _ = loading.load_for(settings)
    keras.utils.set_random_seed(settings.seed)
    vae = build.build_stage1(settings, images.shape[1:])
    fit.compile_vae(settings, vae)
    batches = Batches(images, settings.batch_size, settings.seed, transform=flip)
    ready = keras.ops.convert_to_tensor(batches[0][0])

    def cached():
        while True:
            yield (ready,)

    seconds = {"real": [], "cached": []}
    for i in range(rounds + 1):  # the first one compiles
        for name in list(seconds)[:: (-1) ** i]:
            begun = Begun()
            vae.fit(
                batches if name == "real" else cached(),
                steps_per_epoch=steps,
                epochs=1,
                shuffle=False,
                verbose=0,
                callbacks=[begun],
            )
            if i:
                seconds[name].append(begun.seconds / steps)
        if i:
            print(
                f"round {i}: real {seconds['real'][-1]:.4f}, cached"
                f" {seconds['cached'][-1]:.4f} s per step",
                flush=True,
            )
    real, ready_made = (np.array(seconds[name]) for name in seconds)
    share = 100 * (real - ready_made) / real
    print(
        f"{preset}, {keras.backend.backend()}: input takes {np.median(share):+.2f} % of"
        f" a step (standard error {share.std(ddof=1) / rounds**0.5:.2f} %)"
    )
    begun = time.perf_counter()
    for index in range(min(200, len(batches))):
        batches[index]
    alone = (time.perf_counter() - begun) / min(200, len(batches))
    print(
        f"a batch alone takes {1000 * alone:.3f} ms,"
        f" {100 * alone / np.median(real):.3f} % of a step"
    )


class Begun(keras.callbacks.Callback):
    """Times an epoch from its first batch to its last."""

    def on_epoch_begin(self, epoch, logs=None):
        self.start = time.perf_counter()

    def on_epoch_end(self, epoch, logs=None):
        self.seconds = time.perf_counter() - self.start


if __name__ == "__main__":
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--preset", default="digits")
    parser.add_argument("--data", default=None)
    parser.add_argument("--steps", type=int, default=20)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--partial", action="store_true")
    given = parser.parse_args()
    main(
        given.preset,
        given.data,
        given.steps,
        given.rounds,
        {"partial": True} if given.partial else {},
    )
