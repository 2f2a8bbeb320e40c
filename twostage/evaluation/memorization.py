"""Are generated images copies of training images?"""

import numpy as np

from twostage.metrics.precision_recall import nearest


def memorization(generated, train, test, seed=0, most=1_000):
    """Whether generated images copy training images: distances from features to the
    nearest training image's, against those of test images.

    Args:
        generated, train, test: Features (N, d). At most `most` rows of the first and
            last are looked at.

    Returns:
        dict: `ratio`, the median distance of generated images over that of test images,
        0 for copies and about 1 for images as new as the test set's; `closer`, the
        share of generated images that are nearer to a training image than 99 % of the
        test images are; `training_images`.
    """
    some = [
        each[np.random.default_rng(seed).permutation(len(each))[:most]]
        for each in (generated, test)
    ]
    made, held = (nearest(each, train, 1)[1][:, 0] for each in some)
    return {
        "ratio": float(np.median(made) / max(np.median(held), 1e-12)),
        "closer": float((made < np.quantile(held, 0.01)).mean()),
        "training_images": len(train),
    }
