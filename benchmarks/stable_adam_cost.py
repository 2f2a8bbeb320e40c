"""What `--optimizer stable_adam` costs: `python benchmarks/stable_adam_cost.py --preset
cifar10 --data cifar10.npz [--set precision=mixed_bfloat16] [--rounds 5]`.

Interleaved, in one process: 20 steps of stage 1 and of stage 2 by Adam and by stable
Adam. Prints milliseconds per step and the ratio of medians.
"""

import argparse

import numpy as np
from changes import changes_of
from first_stage import new_stage1
from interleaved import medians

from twostage import presets
from twostage.data import loading
from twostage.models import build
from twostage.training.fit import compile_vae
from twostage.training.settings import training_settings

STEPS = 20
OPTIMIZERS = ("stable_adam", "adam")


def trainings(number, preset, changes, images):
    """A function per optimizer that trains `STEPS` steps of a stage."""
    for optimizer in OPTIMIZERS:
        config = presets.resolve(number, preset, optimizer=optimizer, **changes)
        with training_settings(config):
            if number == 1:
                vae, rows = new_stage1(config, images), images[: config.batch_size]
            else:
                latents = presets.resolve(1, preset).latent_dim
                vae = build.build_stage2(config, latents)
                shape = (config.batch_size, latents)
                rows = np.random.default_rng(0).standard_normal(shape, "float32")
            compile_vae(config, vae)
        yield lambda vae=vae, rows=rows: [
            vae.train_on_batch(rows) for _ in range(STEPS)
        ]


def main(given):
    """Prints a Markdown table, a row per stage."""
    changes = changes_of(given.set)
    config = presets.resolve(1, given.preset, data=given.data)
    images, _ = loading.load_for(config)
    print("| stage | stable Adam, ms | Adam, ms | ratio |")
    print("| --- | --- | --- | --- |", flush=True)
    for number in (1, 2):
        sides = list(trainings(number, given.preset, changes, images))
        taken = medians(sides, given.rounds)
        stable, plain = (1000 * seconds / STEPS for seconds in taken)
        print(f"| {number} | {stable:.1f} | {plain:.1f} | {stable / plain:.2f} |")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--preset", default="cifar10")
    parser.add_argument("--data", required=True)
    parser.add_argument("--set", nargs="*", default=[], help="precision=mixed_bfloat16")
    parser.add_argument("--rounds", type=int, default=5)
    main(parser.parse_args())
