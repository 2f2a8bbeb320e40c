"""Do a moving average of the weights, or clipped gradients, help held-out images?
`python benchmarks/average_and_clip.py --data cifar10.npz [--epochs 4] [--set side=64]
[--clip 1 10]`.

Trains stage 1 by the preset `auto` from the same weights: as it is, with Keras's
`use_ema` beside it, and with each global norm that gradients are clipped to. Prints the
held-out loss (nats per image, with the gamma that fits these images) and mse of each,
with batch normalization as trained and re-estimated on training images.
"""

import argparse

import keras
import numpy as np
from changes import changes_of
from first_stage import new_stage1

import callbacks
from twostage import presets
from twostage.data import loading
from twostage.data.batches import Batches, flip
from twostage.models.held_out_loss import held_out_loss
from twostage.models.recalibrate import recalibrate
from twostage.training import auto
from twostage.training.fit import compile_vae
from twostage.training.settings import training_settings

HEAD = "| | held-out loss | mse | re-estimated: loss | mse |"
MOMENTUM = 0.999  # of the average: about the last thousand steps


class Last(keras.callbacks.Callback):
    """The weights of the last epoch, which Keras overwrites by their average when `fit`
    ends.
    """

    def __init__(self):
        super().__init__()
        self.weights = []

    def on_epoch_end(self, epoch, logs=None):
        self.weights = self.model.get_weights()
        print(f"epoch {epoch + 1} {logs}", flush=True)


def trained(config, images, *, averages=False, clip=None):
    """(vae, its `Last`); with `averages` the vae has the averaged weights."""
    vae = new_stage1(config, images)
    change = flip if config.flip else None
    batches = Batches(images, config.batch_size, config.seed, transform=change)
    compile_vae(config, vae, len(batches))
    vae.optimizer.use_ema, vae.optimizer.ema_momentum = averages, MOMENTUM
    vae.optimizer.global_clipnorm = clip
    last = Last()
    gamma = callbacks.ComputedGamma(config.gamma_rule)
    vae.fit(batches, epochs=config.epochs, verbose=0, callbacks=[gamma, last])
    return vae, last


def report(name, vae, images, held_out):
    """Prints a row of the table."""
    cells = []
    for again in (False, True):
        if again:
            recalibrate(vae, images)
        found = held_out_loss(vae, held_out, fit_gamma=True)
        cells += [f"{found['val_loss']:.0f}", f"{found['val_mse']:.5f}"]
    print(f"| {name} | {' | '.join(cells)} |", flush=True)


def main(given):
    """Prints a Markdown table, a row as soon as it is measured."""
    changes = changes_of(given.set)
    changes["data"] = given.data
    if given.epochs:
        changes["epochs"] = given.epochs
    config = presets.resolve(1, presets.AUTO, **changes)
    splits = loading.load_splits(config)
    images, held_out = splits["train"][0], splits["validation"][0]
    config = auto.auto_stage1(config, changes, np.asarray(images))
    print(HEAD, "| --- | --- | --- | --- | --- |", sep="\n", flush=True)
    for clip in (None, *given.clip):
        with training_settings(config):
            vae, last = trained(config, images, averages=clip is None, clip=clip)
            if clip is None:
                report(f"average, {MOMENTUM}", vae, images, held_out)
                vae.set_weights(last.weights)
            name = f"clipped to {clip:g}" if clip else "as it is"
            report(name, vae, images, held_out)
        keras.backend.clear_session()


if __name__ == "__main__":
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--data", required=True)
    parser.add_argument("--set", nargs="*", default=[], help="limit=9000 side=64")
    parser.add_argument("--epochs", type=int, default=0, help="0: as auto chooses")
    parser.add_argument("--clip", type=float, nargs="*", default=[1.0, 10.0])
    main(parser.parse_args())
