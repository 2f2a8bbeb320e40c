"""Pictures of a trained run: uint8 (height, width, 1 or 3), ready for `save_png`."""

import numpy as np
from keras import ops

from twostage.evaluation.latent_metrics import most_active
from twostage.metrics.precision_recall import nearest
from twostage.models.posterior import encode_dataset
from twostage.reporting.png import save_png, tile
from twostage.sampling import generate

MAX_SAMPLES_IN_GRID = 36  # samples of each kind
STEPS = 9  # columns of a walk through the latents
ROWS = 8


def write(folder, stage1, images, samples, nearby):
    """Writes the pictures of a run into a folder: `samples-KIND.png`,
    `reconstructions.png`, `interpolations.png`, `traversals.png`, `neighbours.png`.

    Args:
        folder: Made if it is not there.
        stage1: The VAE.
        images: Test images, uint8.
        samples: {kind: images in [0, 1]}; reconstructions among them are left out.
        nearby: The picture of `neighbours`.

    Returns:
        The latents that the traversals go along.
    """
    folder.mkdir(parents=True, exist_ok=True)
    walk, latents = traversals(stage1, images)
    drawn = {
        f"samples-{kind.replace(' ', '_')}": tile(some)
        for kind, some in samples.items()
        if kind != "REC"
    }
    drawn |= {
        "reconstructions": reconstructions(stage1, images),
        "interpolations": interpolations(stage1, images),
        "traversals": walk,
        "neighbours": nearby,
    }
    for name, picture in drawn.items():
        save_png(folder / f"{name}.png", picture)
    return latents


def reconstructions(stage1, images, rows=4):
    """Images, uint8, above what stage 1 makes of them, in `rows` double rows of 8."""
    originals = images[
        np.arange(rows * ROWS) % len(images)
    ]  # a set of fewer is shown again
    again = ops.convert_to_numpy(generate.reconstruct(stage1, originals))
    pairs = np.stack([originals / np.float32(255), again]).reshape(
        2, rows, ROWS, *again.shape[1:]
    )
    return tile(pairs.swapaxes(0, 1).reshape(-1, *again.shape[1:]), columns=ROWS)


def interpolations(stage1, images, rows=6):
    """From one image to another along the straight line between their posterior means;
    the images themselves at both ends of each row.
    """
    images = images[np.arange(2 * rows) % len(images)]
    means, _ = encode_dataset(stage1, images)
    share = np.linspace(0, 1, STEPS, dtype="float32")[:, None]
    z = np.concatenate(
        [
            (1 - share) * a + share * b
            for a, b in zip(means[::2], means[1::2], strict=True)
        ]
    )
    between = ops.convert_to_numpy(generate.decode(stage1, z)).reshape(
        rows, STEPS, *images.shape[1:]
    )
    ends = (images / np.float32(255)).reshape(rows, 2, *images.shape[1:])
    return tile(
        np.concatenate([ends[:, :1], between, ends[:, 1:]], 1).reshape(
            -1, *images.shape[1:]
        ),
        columns=STEPS + 2,
    )


def traversals(stage1, images, span=3.0):
    """(picture, latents): one row for each of the most active latents, which goes from
    -span to span while the others stay at the first image's posterior mean.
    """
    mean, log_var = encode_dataset(stage1, images)
    latents = most_active(mean, log_var)[:ROWS]
    z = np.repeat(mean[:1], len(latents) * STEPS, 0)
    for row, latent in enumerate(latents):
        z[row * STEPS : (row + 1) * STEPS, latent] = np.linspace(-span, span, STEPS)
    return (
        tile(ops.convert_to_numpy(generate.decode(stage1, z)), columns=STEPS),
        latents.tolist(),
    )


def neighbours(samples, features, train, train_features, count=8, k=5):
    """Each row a sample, then the k training images nearest to it by their features,
    all where there are fewer. `samples`: floats in [0, 1]; `train`: uint8.
    """
    k = min(k, len(train))
    rows, _ = nearest(features[:count], train_features, k)
    found = train[np.sort(np.unique(rows))] / np.float32(
        255
    )  # in order, as a memory map is read
    place = {row: i for i, row in enumerate(np.unique(rows).tolist())}
    lines = [
        np.concatenate([sample[None], np.stack([found[place[row]] for row in line])])
        for sample, line in zip(samples, rows.tolist(), strict=True)
    ]
    return tile(np.concatenate(lines), columns=k + 1)
