"""Why are our bounds of the Beta-Sigma VAE on MNIST above the paper's? Trains its row
beta 1 with the authors' augmentation of the images, with their optimizer, or both:
`python benchmarks/augmented_digits.py --data mnist.npz [--augment] [--their-optimizer]
[--epochs 50] [--precision mixed_bfloat16]`.

Their code turns each image by up to 10 degrees and crops .9 to 1 of its area, test
images, too, and trains in batches of 512 with AdamW and a cosine that restarts once.
Prints the evidence bound (nats per image, the variance at each image's optimum), the
rate (nats) and the root of the error (gray levels of [0, 1]), after each tenth of the
epochs, of 10,000 test and training images, as they are and augmented.
"""

import argparse
import math

import keras
import numpy as np
from first_stage import new_stage1
from keras.optimizers.schedules import CosineDecayRestarts
from PIL import Image

from twostage import presets
from twostage.data.batches import Batches
from twostage.experiments.beta_sigma import COMMON, FAMILIES, MAX_IMAGES
from twostage.experiments.image_runs import PRESET, errors_and_rate, split_images
from twostage.likelihoods.conventions import constant_sigma_readings
from twostage.training.fit import compile_vae

DEGREES = 10
AREA, RATIO = (0.9, 1.0), (0.9, 1.1)  # of the crop; its width over its height
TRIES = 10  # of a crop that does not fit
THEIR_BATCH, THEIR_DECAY = 512, 1e-5
BETA = 1.0
REPORTS = 10  # in a training


def augmented(images, generator):
    """uint8 (N, height, width, 1), each image turned and cropped."""
    return np.stack([_changed(image[..., 0], generator) for image in images])[..., None]


def _changed(image, generator):
    height, width = image.shape
    angle = generator.uniform(-DEGREES, DEGREES)
    turned = Image.fromarray(image).rotate(angle)
    box = _box(height, width, generator)
    return np.asarray(turned.resize((width, height), Image.Resampling.BILINEAR, box))


def _box(height, width, generator):
    """(left, upper, right, lower) of a random crop; the whole where none fits."""
    for _ in range(TRIES):
        area = height * width * generator.uniform(*AREA)
        ratio = math.exp(generator.uniform(*np.log(RATIO)))
        wide, high = round(math.sqrt(area * ratio)), round(math.sqrt(area / ratio))
        if wide <= width and high <= height:
            left = generator.integers(width - wide + 1)
            upper = generator.integers(height - high + 1)
            return left, upper, left + wide, upper + high
    return 0, 0, width, height


def settings(given):
    """The row's config, trained as its experiment does or in the authors' batches."""
    changes = {
        **COMMON,
        **FAMILIES["Beta-Sigma"],
        "kl_weight": BETA,
        "data": given.data,
        "held_out": 0.0,
        "epochs": given.epochs,
        "halve_every": max(1, given.epochs // 5),
        "precision": given.precision,
        "seed": given.seed,
    }
    if given.their_optimizer:
        changes["batch_size"] = THEIR_BATCH
    return presets.resolve(1, PRESET, **changes)


def compile_by(config, vae, steps, *, theirs):
    if not theirs:
        compile_vae(config, vae, steps)
        return
    half = config.epochs * steps // 2
    rate = CosineDecayRestarts(config.learning_rate, half, t_mul=1.0)
    decay = THEIR_DECAY
    vae.compile(keras.optimizers.AdamW(rate, weight_decay=decay, epsilon=1e-8))


class Report(keras.callbacks.Callback):
    """Prints a row for each set of images, ten times in a training."""

    def __init__(self, sets, epochs):
        super().__init__()
        self.sets = sets
        self.every = max(1, epochs // REPORTS)

    def on_epoch_end(self, epoch, logs=None):
        if (epoch + 1) % self.every:
            return
        for name, images in self.sets.items():
            errors, rate = errors_and_rate(self.model, images)
            dimensions = images[0].size
            found = constant_sigma_readings(
                errors, rate, dimensions=dimensions, beta=BETA
            )
            root = math.sqrt(errors.mean() / dimensions)
            print(
                f"| {epoch + 1} | {name} | {found['optimal_image']:.0f}"
                f" | {found['optimal']:.0f} | {rate.mean():.1f} | {root:.4f} |",
                flush=True,
            )


def main(given):
    """Trains, and prints a Markdown table."""
    config = settings(given)
    keras.config.set_dtype_policy(config.precision)
    keras.utils.set_random_seed(config.seed)
    train, sets = split_images(config, "train"), {}
    for split in ("train", "test"):
        some = split_images(config, split, count=MAX_IMAGES)
        sets[split] = some
        sets[f"{split}, augmented"] = augmented(some, np.random.default_rng(1))
    change = augmented if given.augment else None
    batches = Batches(train, config.batch_size, config.seed, transform=change)
    vae = new_stage1(config, train)
    compile_by(config, vae, len(batches), theirs=given.their_optimizer)
    print("| epoch | images | bound, nats | with one variance | rate | error |")
    print("| --- | --- | --- | --- | --- | --- |", flush=True)
    report = Report(sets, config.epochs)
    vae.fit(batches, epochs=config.epochs, verbose=0, callbacks=[report])


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", required=True)
    parser.add_argument("--augment", action="store_true")
    parser.add_argument("--their-optimizer", action="store_true")
    parser.add_argument("--epochs", type=int, default=50)
    parser.add_argument("--precision", default="float32")
    parser.add_argument("--seed", type=int, default=0)
    main(parser.parse_args())
