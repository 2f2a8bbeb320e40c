"""Two-stage VAE on your own folder of images.

    python examples/own_images.py                # patches of two photographs
    python examples/own_images.py my_images --side 64 --epochs 100 200
    python examples/own_images.py --help

Without a folder the script cuts 800 patches out of the two photographs that come
with scikit-learn and writes them to OUT/images as PNG files. So it runs without the
network, in under two minutes on two cores. With a folder it reads that one instead.

The commands do the same, and make a report:

    twostage data my_images --crop center --side 64
    twostage train-stage1 --data my_images --crop center --side 64 --run runs/mine
    twostage train-stage2 --run runs/mine
    twostage evaluate --run runs/mine
"""

import argparse
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from PIL import Image

from twostage import InputError, TwoStageVAE
from twostage.data import load
from twostage.reporting.png import save_png, tile

PATCHES = 800
PATCH_SIDE = 48  # pixels of a photograph, before resizing
SHOWN = 24  # images of each kind in the drawing
# For the patches; `auto` need not time the precisions, either
SMALL = {"base_dim": 8, "fc_dim": 128, "latent_dim": 32, "precision": "float32"}


def write_patches(folder: Path) -> None:
    """Writes PNG files, random squares of scikit-learn's two photographs."""
    from sklearn.datasets import load_sample_images

    folder.mkdir(parents=True, exist_ok=True)
    photographs = load_sample_images().images  # uint8 (427, 640, 3) each
    generator = np.random.default_rng(0)
    for number in range(PATCHES):
        photograph = photographs[number % len(photographs)]
        height, width, _ = photograph.shape
        top = generator.integers(height - PATCH_SIDE)
        left = generator.integers(width - PATCH_SIDE)
        patch = photograph[top : top + PATCH_SIDE, left : left + PATCH_SIDE]
        Image.fromarray(patch).save(folder / f"{number:04}.png")


def read_images(folder: Path, side: int) -> tuple[np.ndarray, np.ndarray]:
    """(training images, test images), each uint8 (N, side, side, channels).

    The split follows from the files' names, so it is the same in every run.
    """
    train, _ = load(folder, "train", crop="center", side=side)
    test, _ = load(folder, "test", crop="center", side=side)
    return np.asarray(train), np.asarray(test)


def train_model(
    train: np.ndarray, epochs: tuple[int, int] | None, out: Path, own_folder: bool
) -> TwoStageVAE:
    """Trains both stages. `auto` chooses the settings by the images and the machine.

    The patches get a small network, so that the example is short.
    """
    settings = {} if own_folder else SMALL
    model = TwoStageVAE.from_preset("auto", stage1=settings)
    model.fit(train, epochs=epochs, run=out / "run")
    return model


def draw(model: TwoStageVAE, test: np.ndarray, path: Path) -> None:
    """Writes a drawing: rows of test images, their reconstructions, and samples."""
    originals = test[:SHOWN] / 255
    images = [originals, model.reconstruct(test[:SHOWN]), model.sample(SHOWN, seed=1)]
    save_png(path, tile(np.concatenate(images), columns=12))


def print_expectations(train: np.ndarray, test: np.ndarray, epochs: str) -> None:
    print(
        f"""
{len(train)} images for training and {len(test)} for testing, {train.shape[1:]} each.
Training of {epochs} epochs.

What to expect
- The error of a reconstruction falls well below the variance of the pixels, which is
  the error of one gray image. Sharp detail needs more images and more epochs.
- Samples have the colors and the coarse shapes of your images. From few images and few
  epochs they are blurred.
- Objects at the same place in each image, such as centered faces, are the easiest.
"""
    )


def print_findings(model: TwoStageVAE, test: np.ndarray) -> None:
    """Prints the error of the test images beside their variance, and the contrasts."""
    pixels = test / 255
    error = ((model.reconstruct(test) - pixels) ** 2).mean()
    variance = ((pixels - pixels.mean((0, 1, 2))) ** 2).mean()
    samples = model.sample(200, seed=1)
    print(f"test error: {error:.5f} per dimension")
    print(f"test variance: {variance:.5f} per dimension")
    print(f"explained: {1 - error / variance:.3f}")
    print(
        f"contrast of samples: {samples.std() / pixels.std():.3f} of the test images'"
    )


def parse(argv: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description="Two-stage VAE on a folder of images.")
    parser.add_argument(
        "folder", nargs="?", type=Path, help="your images; without it, patches"
    )
    parser.add_argument(
        "--side", type=int, default=16, help="8, 16, 32, 64 or 128 (default: 16)"
    )
    parser.add_argument(
        "--epochs",
        type=int,
        nargs=2,
        metavar="N",
        help="of stage 1 and stage 2; of a folder of yours `auto` chooses them",
    )
    parser.add_argument("--out", type=Path, default=Path("runs/own_images"))
    return parser.parse_args(argv)


def main(argv: Sequence[str] | None = None) -> None:
    options = parse(argv)
    folder, epochs = options.folder, options.epochs
    if folder is None:
        folder, epochs = options.out / "images", epochs or (25, 40)
        write_patches(folder)
    epochs = tuple(epochs) if epochs else None
    train, test = read_images(folder, options.side)
    counts = f"{epochs[0]} and {epochs[1]}" if epochs else "as many as `auto` chooses"
    print_expectations(train, test, counts)
    model = train_model(train, epochs, options.out, options.folder is not None)
    print_findings(model, test)
    draw(model, test, options.out / "images.png")
    model.save(options.out / "model")
    print(
        f"\n{options.out}/images.png: {SHOWN} test images, their reconstructions, and"
        f" {SHOWN} samples\n{options.out}/model: for twostage.load"
    )


if __name__ == "__main__":
    try:
        main()
    except InputError as error:
        raise SystemExit(str(error)) from None
