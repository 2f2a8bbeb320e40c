"""Which latents get active, and when: `python benchmarks/first_epochs.py --preset mnist
--data mnist.npz --epochs 5 --out docs/latents`.

Trains stage 1 and draws E[sigma^2] of each latent, like Figures 6 and 7 of Asperti &
Trentin: OUT_first_epoch.png over the steps of the first epoch, OUT_first_epochs.png
over all of them. The records themselves go to OUT.npz.
"""

import argparse

import keras
import matplotlib
import numpy as np

import callbacks
from twostage import presets
from twostage.data import loading
from twostage.data.batches import Batches
from twostage.models import build
from twostage.models.posterior import SharedPosterior
from twostage.training import fit


def main(preset, source, epochs, out, every):
    settings = presets.resolve(1, preset, **({"data": source} if source else {}))
    images, _ = loading.load_for(settings)
    keras.utils.set_random_seed(settings.seed)
    vae = build.build_stage1(settings, images.shape[1:])
    fit.compile_vae(settings, vae)
    batches = Batches(images, settings.batch_size, settings.seed)
    moments = callbacks.LatentMoments(
        images,
        SharedPosterior(),
        max_samples=1000,
        every_steps=every,
        path=f"{out}.npz",
    )
    gamma = callbacks.ComputedGamma(settings.gamma_rule)
    vae.fit(
        batches,
        epochs=epochs,
        verbose=2,
        callbacks=[gamma, moments],
    )
    steps, variance = moments.records["step"], moments.records["mean_variance"]
    first = steps <= len(batches)
    name = f"E[sigma^2] of {variance.shape[1]} latents, {preset}"
    draw(
        f"{out}_first_epoch.png", steps[first], variance[first], f"{name}, first epoch"
    )
    draw(f"{out}_first_epochs.png", steps, variance, f"{name}, {epochs} epochs")
    print(
        "active (E[sigma^2] < 0.8) at each epoch's end:",
        [
            int((variance[steps == (e + 1) * len(batches)][-1] < 0.8).sum())
            for e in range(epochs)
        ],
    )
    print("mean of E[sigma^2] at the end:", np.round(variance[-1].mean(), 3))


def draw(path, steps, variance, title):
    """E[sigma^2] (T, k) over the steps, a curve per latent: blue for those that end
    lowest, red for the highest.
    """
    from matplotlib.figure import Figure

    figure = Figure(figsize=(6.4, 3.2), layout="constrained")
    axes = figure.subplots()
    colors = matplotlib.colormaps["coolwarm"](np.linspace(0, 1, variance.shape[1]))
    for color, latent in zip(colors, np.argsort(variance[-1]), strict=True):
        axes.plot(steps, variance[:, latent], color=color)
    axes.set(title=title, xlabel="step", ylim=(0, None))
    figure.savefig(path)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--preset", default="digits")
    parser.add_argument("--data", default=None)
    parser.add_argument("--epochs", type=int, default=5)
    parser.add_argument("--out", default="latents")
    parser.add_argument(
        "--every", type=int, default=20, help="steps between two measurements"
    )
    options = parser.parse_args()
    main(options.preset, options.data, options.epochs, options.out, options.every)
