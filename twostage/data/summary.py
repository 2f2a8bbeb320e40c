"""A look at images before anything is trained on them."""

import hashlib

import numpy as np

CHUNK = 1_000  # images looked at together, so that a memory map stays one


def describe(images, labels=None):
    """What is in uint8 images (N, height, width, channels).

    Returns:
        dict: `count`; `shape`; `least`, `greatest` (0 to 255); `mean` and `deviation`
        of each channel, in units of the full range, [0, 1], exact to float64;
        `duplicates`, images equal to an earlier one bit for bit; `classes`, {label:
        count}, empty without labels.
    """
    histograms = np.zeros((images.shape[-1], 256), "int64")
    digests = set()
    for start in range(0, len(images), CHUNK):
        chunk = np.ascontiguousarray(images[start : start + CHUNK])
        for channel, histogram in enumerate(histograms):
            histogram += np.bincount(chunk[..., channel].ravel(), minlength=256)
        digests.update(
            hashlib.blake2b(image, digest_size=16).digest() for image in chunk
        )
    seen = np.flatnonzero(histograms.sum(0))
    levels, share = np.arange(256) / 255, histograms / histograms.sum(1, keepdims=True)
    mean = share @ levels
    deviation = np.sqrt((share * (levels - mean[:, None]) ** 2).sum(1))
    classes = (
        {}
        if labels is None
        else dict(
            zip(
                *(values.tolist() for values in np.unique(labels, return_counts=True)),
                strict=True,
            )
        )
    )
    return {
        "count": len(images),
        "shape": images.shape[1:],
        "least": int(seen[0]),
        "greatest": int(seen[-1]),
        "mean": mean.tolist(),
        "deviation": deviation.tolist(),
        "duplicates": len(images) - len(digests),
        "classes": classes,
    }


def lines(images, labels=None, split="train"):
    """The same in three lines of text."""
    found = describe(images, labels)

    def numbers(values):
        return ", ".join(f"{value:.4f}" for value in values)

    counts = found["classes"].values()
    classes = (
        f"{len(counts)} classes of {min(counts)} to {max(counts)} images"
        if counts
        else "no labels"
    )
    return [
        (
            f"{split}: {found['count']} images of {'x'.join(map(str, found['shape']))},"
            f" {classes}"
        ),
        (
            f"values {found['least']} to {found['greatest']}; in units of 255: mean"
            f" {numbers(found['mean'])}, deviation {numbers(found['deviation'])}"
        ),
        f"{found['duplicates']} of them equal an earlier one",
    ]
