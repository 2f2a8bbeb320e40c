"""What does longer training change on test images? `python benchmarks/overfitting.py
--run RUN [RUN ...]`.

Prints of each run's stage 1, on test images:

- the bound (ELBO, nats per image) with training's gamma and with the gamma that fits
  these images, the squared error at a draw of z, and KL;
- in bands of spatial frequency (cycles per image) the power of the reconstructions at
  the posterior's mean, and that of their error, as shares of the images' power. Both
  add up to 1 for an exact conditional mean (law of total variance). More than 1 is
  detail that the images do not have.
"""

import argparse
import math

import numpy as np

from twostage.data import loading
from twostage.experiments.image_runs import errors_and_rate
from twostage.models.tensors import to_numpy
from twostage.runs.models import load_models
from twostage.sampling.decoding import reconstructed

BANDS = ((1, 2), (3, 4), (5, 8), (9, 16))  # the first and last radius of each
BATCH = 500
BOUNDS_HEAD = "| run | gamma | bound | fitted gamma | bound | mse at a draw | KL |"
BANDS_HEAD = "| run | band | power | error | sum |"


def normal_bound(mse, gamma, kl, dimensions):
    """Mean bound in nats per image, of a Gaussian with standard deviation gamma."""
    constant = math.log(2 * math.pi * gamma**2)
    return -dimensions / 2 * (mse / gamma**2 + constant) - kl


def band_powers(images):
    """Power of images (N, side, side, channels) in each band, summed over them."""
    side = images.shape[1]
    spectrum = np.abs(np.fft.fft2(images, axes=(1, 2))) ** 2
    frequency = np.fft.fftfreq(side, 1 / side)
    radius = np.rint(np.hypot(frequency[:, None], frequency))
    per_frequency = spectrum.sum((0, 3))
    return np.array(
        [per_frequency[(radius >= low) & (radius <= high)].sum() for low, high in BANDS]
    )


def pairs(vae, images):
    """Images and their reconstructions in [0, 1], batch by batch."""
    for start in range(0, len(images), BATCH):
        part = images[start : start + BATCH]
        yield part / np.float32(255), reconstructed(vae, part)


def report_bounds(run, vae, images, seed):
    """Prints a line of the first table."""
    squared, kl = errors_and_rate(vae, images, seed=seed)
    dimensions = images[0].size
    mse, kl = squared.mean() / dimensions, kl.mean()
    gamma = float(to_numpy(vae.likelihood.gamma))
    fitted = math.sqrt(mse)
    bounds = [normal_bound(mse, one, kl, dimensions) for one in (gamma, fitted)]
    print(
        f"| {run} | {gamma:.4f} | {bounds[0]:.0f} | {fitted:.4f} | {bounds[1]:.0f} |"
        f" {mse:.5f} | {kl:.1f} |",
        flush=True,
    )


def report_bands(run, vae, images):
    """Prints the lines of the second table."""
    power, shown, error = np.zeros((3, len(BANDS)))
    for original, mean in pairs(vae, images):
        power += band_powers(original)
        shown += band_powers(mean)
        error += band_powers(original - mean)
    for (low, high), p, e in zip(BANDS, shown / power, error / power, strict=True):
        print(
            f"| {run} | {low} to {high} | {p:.3f} | {e:.3f} | {p + e:.3f} |", flush=True
        )


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--run", nargs="+", required=True)
    parser.add_argument("--split", choices=("test", "train"), default="test")
    parser.add_argument("--images", type=int, default=10_000, help="the first ones")
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    for report, head in ((report_bounds, BOUNDS_HEAD), (report_bands, BANDS_HEAD)):
        print(head)
        for run in options.run:
            models, config = load_models(run)
            images = loading.load_for(config, options.split)[0][: options.images]
            extra = (options.seed,) if report is report_bounds else ()
            report(run, models.stage1, images, *extra)


if __name__ == "__main__":
    main()
