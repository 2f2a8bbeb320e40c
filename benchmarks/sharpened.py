"""Does a distance see sharpness alone? `python benchmarks/sharpened.py --run RUN
[RUN ...] --like RUN [--extractor imagenet]`.

Prints the Frechet distance of each run's reconstructions of the test images, as they
are, and with the power of each spatial frequency multiplied so that the whole set has
the power of the reconstructions of `--like`. This filter adds no information about the
images.
"""

import argparse

import numpy as np
from spectrum import radial_power, radii, reconstructions, transform

from twostage.data import loading
from twostage.evaluation.image_metrics import BATCH
from twostage.features import choose
from twostage.features.extractor import quantized
from twostage.metrics.frechet import frechet_of
from twostage.metrics.pixel_statistics import PixelStatistics
from twostage.runs.models import load_models

HEAD = "| run | FD | sharpness | error | FD, filtered | sharpness | error |"


def power_around_mean(images):
    return radial_power(images - images.mean(0))


def filtered(images, power):
    """Images with this power at each radius, clipped to [0, 1]."""
    mean = images.mean(0)
    gain = np.sqrt(power / power_around_mean(images))[radii(images.shape[1])]
    changed = np.fft.ifft2(transform(images - mean) * gain[..., None], axes=(1, 2))
    return np.clip(changed.real + mean, 0, 1).astype("float32")


def all_reconstructions(run, images):
    stage1 = load_models(run)[0].stage1
    return np.concatenate(list(reconstructions(stage1, images)))


def report(run, images, power, reference, extractor):
    """Prints a run's line."""
    real = extractor(reference, BATCH)
    cells = []
    for one in (images, filtered(images, power)):
        distance = frechet_of(real, extractor(quantized(one), BATCH))
        pixels = PixelStatistics(quantized(one)).beside(PixelStatistics(reference))
        error = ((one - reference / np.float32(255)) ** 2).mean()
        cells.append(f"{distance:.4g} | {pixels['sharpness']:.3f} | {error:.5f}")
    print(f"| {run} | {' | '.join(cells)} |", flush=True)


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--run", nargs="+", required=True)
    parser.add_argument("--like", required=True)
    parser.add_argument("--extractor", default="imagenet")
    parser.add_argument("--images", type=int, default=10_000, help="the first ones")
    options = parser.parse_args()
    _, config = load_models(options.like)
    reference = loading.load_for(config, "test")[0][: options.images]
    extractor = choose.chosen_extractor(None, options.extractor, None)
    power = power_around_mean(all_reconstructions(options.like, reference))
    print(HEAD)
    for run in options.run:
        images = all_reconstructions(run, reference)
        report(run, images, power, reference, extractor)


if __name__ == "__main__":
    main()
