"""Where should stage 2 begin, and what should its gamma be?
`python benchmarks/second_stage.py --run RUN [--images 9000] [--epochs 45]`.

Trains stage 2 on the latents of RUN's stage 1 as the preset `auto` does, from three
starts (random weights, the exact Gaussian, near it) and with two gammas (learned, the
minimum of the batches). Prints the loss of held-out latents, nats, after the start and
after each of five equal parts of the training; and the loss of training latents at the
end.
"""

import argparse
import dataclasses
import itertools

import numpy as np

import callbacks
from twostage import presets
from twostage.data.batches import Batches
from twostage.models import build
from twostage.models.gaussian_start import (
    initialize_as_gaussian,
    initialize_near_gaussian,
)
from twostage.models.held_out_loss import held_out_loss
from twostage.models.posterior import draw_latents, encode_moments
from twostage.runs.data import held_out_images, training_images
from twostage.runs.run import StageRun
from twostage.training.auto import stage2_choices
from twostage.training.fit import compile_vae
from twostage.training.settings import training_settings

PARTS = 5
STARTS = {
    "random": lambda vae, moments: None,
    "exact Gaussian": initialize_as_gaussian,
    "near the Gaussian": initialize_near_gaussian,
}


def losses(config, start, moments, aside):
    """Of held-out latents, the start's first; and of training latents at the end."""
    vae = build.build_stage2(config, moments.shape[-1])
    STARTS[start](vae, moments)
    batches = Batches(moments, config.batch_size, config.seed, transform=draw_latents)
    compile_vae(config, vae, len(batches))
    found = [held_out_loss(vae, aside)["val_loss"]]
    rule = callbacks.ComputedGamma("minimum")
    watching = [rule] if config.gamma == "computed" else []
    ends = np.linspace(0, config.epochs, PARTS + 1).astype(int)
    for first, last in itertools.pairwise(ends):
        vae.fit(
            batches,
            initial_epoch=first,
            epochs=last,
            verbose=0,
            callbacks=watching,
        )
        found.append(held_out_loss(vae, aside)["val_loss"])
    drawn = draw_latents(moments[: len(aside)], np.random.default_rng(2))
    return [*found, held_out_loss(vae, drawn)["val_loss"]]


def main(given):
    """Prints a Markdown table, a row as soon as it is measured."""
    first = StageRun.open(given.run, 1)
    stage1 = first.load_model()
    aside = encode_moments(stage1, held_out_images(first))
    aside = draw_latents(aside, np.random.default_rng(1))
    images = training_images(first)
    rows = np.random.default_rng(0).permutation(len(images))[: given.images or None]
    moments = encode_moments(stage1, images[np.sort(rows)])
    settings = {"epochs": given.epochs} if given.epochs else {}
    config = presets.resolve(2, presets.AUTO, precision=given.precision, **settings)
    chosen = stage2_choices(config, settings, len(moments))
    settings = {choice.name: choice.value for choice in chosen} | settings
    config = dataclasses.replace(config, **settings)
    print(f"{len(moments):,} latents, {config.epochs} epochs, {len(aside):,} held out")
    print(
        f"| start | gamma |{' |' * (PARTS + 2)}", "| --- " * (PARTS + 4) + "|", sep="\n"
    )
    for start in STARTS:
        for gamma in ("learned", "computed"):
            config = dataclasses.replace(config, gamma=gamma)
            with training_settings(config):
                found = losses(config, start, moments, aside)
            cells = " | ".join(f"{loss:.2f}" for loss in found)
            print(f"| {start} | {gamma} | {cells} |", flush=True)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--run", required=True)
    parser.add_argument("--images", type=int, default=0, help="0: all")
    parser.add_argument("--epochs", type=int, default=0, help="0: as auto chooses")
    parser.add_argument("--precision", default="mixed_bfloat16")
    main(parser.parse_args())
