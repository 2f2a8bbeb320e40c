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
from spectrum import radial_power, reconstructions

from twostage.data import loading
from twostage.experiments.image_runs import errors_and_rate
from twostage.likelihoods.conventions import beta_of_gamma, constant_sigma_readings
from twostage.models.tensors import to_numpy
from twostage.runs.models import load_models

BANDS = ((1, 2), (3, 4), (5, 8), (9, 16))  # the first and last radius of each
BOUNDS_HEAD = "| run | gamma | bound | fitted gamma | bound | mse at a draw | KL |"
BANDS_HEAD = "| run | band | power | error | sum |"


def bounds_line(run, vae, images, seed):
    """The run's line of the first table."""
    squared, kl = errors_and_rate(vae, images, seed=seed)
    dimensions = images[0].size
    gamma = float(to_numpy(vae.gamma))
    bounds = constant_sigma_readings(
        squared, kl, dimensions=dimensions, beta=beta_of_gamma(gamma)
    )
    mse = squared.mean() / dimensions
    return (
        f"| {run} | {gamma:.4f} | {bounds['beta']:.0f} | {math.sqrt(mse):.4f} |"
        f" {bounds['optimal']:.0f} | {mse:.5f} | {kl.mean():.1f} |"
    )


def band_lines(run, vae, images):
    """The run's lines of the second table."""
    powers, start = 0, 0
    for means in reconstructions(vae, images):
        originals = images[start : start + len(means)] / np.float32(255)
        kinds = originals, means, originals - means
        powers = powers + np.array([radial_power(kind) for kind in kinds])
        start += len(means)
    for low, high in BANDS:
        whole, power, error = powers[:, low : high + 1].sum(1)
        shares = power / whole, error / whole, (power + error) / whole
        cells = " | ".join(f"{share:.3f}" for share in shares)
        yield f"| {run} | {low} to {high} | {cells} |"


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--run", nargs="+", required=True)
    parser.add_argument("--split", choices=("test", "train"), default="test")
    parser.add_argument("--images", type=int, default=10_000, help="the first ones")
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    bands = [BANDS_HEAD]
    print(BOUNDS_HEAD)
    for run in options.run:
        models, config = load_models(run)
        images = loading.load_for(config, options.split)[0][: options.images]
        print(bounds_line(run, models.stage1, images, options.seed), flush=True)
        bands.extend(band_lines(run, models.stage1, images))
    print("\n".join(bands))


if __name__ == "__main__":
    main()
