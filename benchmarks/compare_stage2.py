"""Stage 2 of several runs on the same stage 1: `python benchmarks/compare_stage2.py RUN
[RUN ...]`.

For each: gamma_z, the epoch in which its floor first bound, the negative evidence bound
(kappa 1) on newly drawn latents, and the energy distance of 2,000 sampled latents to
2,000 of the aggregate posterior, for the three samplers and for z ~ N(0, I)
(stage 1 alone). The distance of two halves of the posterior itself is the noise level.
"""

import argparse
import json
from pathlib import Path

import keras
import numpy as np
from scipy.spatial.distance import cdist

import twostage
from twostage.config import SAMPLING_METHODS
from twostage.data import loading
from twostage.models.posterior import draw_latents, encode_moments
from twostage.runs.run import StageRun
from twostage.sampling import generate

N = 2_000


def energy_distance(a, b):
    """2 E|a - b| - E|a - a'| - E|b - b'| (Szekely & Rizzo), in the latents' units; 0
    for equal laws. Unbiased.
    """

    def within(x):
        return cdist(x, x).sum() / (len(x) * (len(x) - 1))

    return 2 * cdist(a, b).mean() - within(a) - within(b)


def main(runs):
    keras.utils.set_random_seed(0)
    generator = np.random.default_rng(7)
    for run in map(Path, runs):
        config = StageRun(run, 1).saved_config()
        images, _ = loading.load_for(config)
        images = images[
            np.sort(
                generator.choice(len(images), min(len(images), 3 * N), replace=False)
            )
        ]
        _ = twostage.VAE  # registers the classes
        stage1, stage2 = (
            keras.saving.load_model(run / f"stage{i}" / "model.keras") for i in (1, 2)
        )
        normalizer = keras.saving.load_model(run / "stage2" / "normalizer.keras")
        z = draw_latents(encode_moments(stage1, images), generator)
        generator.shuffle(z)
        metrics = stage2.evaluate(z, batch_size=500, verbose=0, return_dict=True)
        u, noise = generator.standard_normal((2, N, z.shape[1])).astype("float32")
        half = len(z) // 2
        found = {
            "posterior against itself": energy_distance(z[:half][:N], z[half:][:N]),
            "N(0, I)": energy_distance(u, z[:N]),
        }
        for method in SAMPLING_METHODS:
            drawn = keras.ops.convert_to_numpy(
                generate.sample_latents(
                    stage2, u, method=method, normalizer=normalizer, noise=noise
                )
            )
            found[method] = energy_distance(drawn, z[:N])
        results = json.loads((run / "results.json").read_text())
        rule = json.loads((run / "stage2" / "config.json").read_text())["config"][
            "gamma_rule"
        ]
        print(
            f"{run}: rule {rule}, gamma_z {float(stage2.gamma):.4f}, floor since epoch"
            f" {results['stage2']['gamma_at_floor_since_epoch']}, negative bound"
            f" {metrics['reconstruction'] + metrics['kl']:.3f} nats, mse"
            f" {metrics['mse']:.4f}"
        )
        print(
            "   energy distance to the posterior: "
            + ", ".join(f"{name} {value:.4f}" for name, value in found.items())
        )
        before, after = (
            results["latents"]["deviation_before"],
            results["latents"]["deviation_after"],
        )
        print(
            "   standard deviation of the latents (mean, smallest, largest): before"
            f" {before}, after {after}"
        )


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("runs", nargs="+")
    main(parser.parse_args().runs)
