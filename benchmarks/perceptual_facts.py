"""What does a feature extractor detect? `python benchmarks/perceptual_facts.py --data
cifar10.npz --foreign FOLDER [--images 10000] [--extractors random imagenet]`.

Prints how well a linear classifier of 1,200 images' features names the class of 1,200
others; the Frechet distance of two halves of the clean images, and at infinity; and
the distance of degraded images, three strengths each, which should rise with it.
"""

import argparse

import numpy as np
from scipy.ndimage import gaussian_filter
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from twostage.data import jpeg, loading
from twostage.features.choose import chosen_extractor
from twostage.metrics.frechet import extrapolated, frechet_of

PROBED = 1_200
STRENGTHS = {
    "blur, pixels": (0.5, 1, 2),
    "noise of 255": (5, 15, 40),
    "JPEG quality": (75, 30, 8),
    "contrast": (0.9, 0.75, 0.4),
    "foreign images": (0.05, 0.2, 0.5),
    "shuffled patches": (0.1, 0.4, 1),
}


def degraded(kind, strength, images, foreign, generator):
    """uint8 images (N, height, width, 3), of which some property is worse."""
    count = round(strength * len(images))
    worse = images.astype("float32")
    if kind == "blur, pixels":
        worse = gaussian_filter(worse, (0, strength, strength, 0))
    elif kind == "noise of 255":
        worse += generator.normal(0, strength, images.shape)
    elif kind == "JPEG quality":
        return jpeg.roundtrip(images, strength)
    elif kind == "contrast":
        middle = worse.mean((1, 2, 3), keepdims=True)
        worse = middle + strength * (worse - middle)
    elif kind == "foreign images":
        worse[:count] = foreign[:count]
    else:
        worse[:count] = [shuffled(image, generator) for image in worse[:count]]
    return np.rint(worse.clip(0, 255)).astype("uint8")


def shuffled(image, generator):
    """An image cut into four by four patches in another order."""
    height, width, channels = image.shape
    cut = image.reshape(4, height // 4, 4, width // 4, channels).swapaxes(1, 2)
    patches = generator.permutation(cut.reshape(16, height // 4, width // 4, channels))
    return (
        patches.reshape(4, 4, height // 4, width // 4, channels)
        .swapaxes(1, 2)
        .reshape(image.shape)
    )


def probe(features, labels):
    """The fraction of images whose class a linear classifier of the features names."""
    model = make_pipeline(StandardScaler(), LogisticRegression(C=0.01, max_iter=2000))
    model.fit(features[:PROBED], labels[:PROBED])
    others = slice(PROBED, 2 * PROBED)
    return model.score(features[others], labels[others])


def main(options):
    train, labels = loading.load(options.data)
    order = np.random.default_rng(0).permutation(len(train))[: 2 * options.images]
    first, second = np.array_split(train[np.sort(order)], 2)
    labels = labels[np.sort(order)][: len(first)]
    foreign, _ = loading.load(options.foreign, side=first.shape[1], partial=True)
    foreign = np.resize(foreign, (len(first), *first.shape[1:]))
    for name in options.extractors:
        extractor = chosen_extractor(None, name)
        clean, other = extractor(first), extractor(second)
        print(f"{extractor.name}: linear classifier {probe(clean, labels):.3f}")
        infinite, _ = extrapolated(clean, other)
        print(f"halves {frechet_of(clean, other):.4g}, at infinity {infinite:.4g}")
        for kind, strengths in STRENGTHS.items():
            listed = []
            for strength in strengths:
                generator = np.random.default_rng(1)
                worse = degraded(kind, strength, second, foreign, generator)
                features = extractor(worse)
                value = frechet_of(clean, features)
                infinite, _ = extrapolated(clean, features)
                listed.append(f"{value:.4g} ({infinite:.4g})")
            print(f"{kind} {strengths}: {', '.join(listed)}", flush=True)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--data", required=True)
    parser.add_argument("--foreign", required=True)
    parser.add_argument("--images", type=int, default=10_000)
    parser.add_argument("--extractors", nargs="*", default=["random", "imagenet"])
    main(parser.parse_args())
