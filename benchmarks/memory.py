"""Memory of a training: `python benchmarks/memory.py [--preset celeba] [--steps 200]`:
its peak at batch 100; with a small network, `--small --steps 20000`, whether it grows.

Resident memory of this process every tenth of the steps, on random images.
"""

import argparse
import resource

import keras
import numpy as np

import callbacks
from twostage import presets
from twostage.data.batches import Batches
from twostage.models import build
from twostage.training import fit

SMALL = {"num_scale": 2, "base_dim": 4, "fc_dim": 16, "latent_dim": 4}


def resident():
    """MiB."""
    with open("/proc/self/status", encoding="utf-8") as status:
        return (
            next(int(line.split()[1]) for line in status if line.startswith("VmRSS"))
            / 1024
        )


def main(preset, steps, small):
    made = presets.resolve(1, preset, **(SMALL if small else {}))
    side = 8 if small else {"cifar10": 32, "celeba": 64}[preset]
    images = np.random.default_rng(0).integers(
        0,
        256,
        (max(steps // 10, 1) * made.batch_size if not small else 2_000, side, side, 3),
        "uint8",
    )
    vae = build.build_stage1(made, images.shape[1:])
    fit.compile_vae(made, vae)
    batches = Batches(images, made.batch_size, 0)
    print(
        f"{preset}{', small' if small else ''}, {keras.backend.backend()}:"
        f" {resident():.0f} MiB before training",
        flush=True,
    )
    epochs = -(-steps // len(batches))
    interval = max(1, epochs // 10)
    say = keras.callbacks.LambdaCallback(
        on_epoch_end=lambda epoch, logs: (
            (epoch + 1) % interval
            or print(
                f"after {(epoch + 1) * len(batches)} steps {resident():.0f} MiB",
                flush=True,
            )
        )
    )
    vae.fit(
        batches,
        epochs=epochs,
        verbose=0,
        callbacks=[callbacks.ComputedGamma(), say],
    )
    print(f"peak {resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024:.0f} MiB")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--preset", choices=("cifar10", "celeba"), default="celeba")
    parser.add_argument("--steps", type=int, default=30)
    parser.add_argument(
        "--small",
        action="store_true",
        help="a network so small that many steps take little time",
    )
    given = parser.parse_args()
    main(given.preset, given.steps, given.small)
