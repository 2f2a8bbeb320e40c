"""Batch normalisation's statistics: those of training, or measured anew; which are
better is asked of images that were not seen.
"""

import numpy as np

from twostage.data import loading
from twostage.errors import InputError
from twostage.metrics.likelihood_bounds import bounds
from twostage.models.recalibrate import recalibrate
from twostage.system.random_streams import Stream

MOVING, RECALIBRATED = "moving averages of training", "recalibrated on training images"
MAX_DECIDING_IMAGES = 2_000  # images that decide


def better(vae, config, seed=0):
    """Recalibrates `vae`, and puts its statistics back unless that raised the evidence
    bound (kappa 1) of validation images.

    Args:
        vae: Stage 1, changed in place.
        config: Its `Stage1Config`. Where the data have no validation split, random
            training images that the recalibration leaves out decide.
        seed: Of the choice of images and of z; both modes get the same.

    Returns:
        dict in JSON's types: `chosen`, the mode; `evidence` of each mode, nats an
        image; `gain` of the recalibration and its `gain_error`, one standard error over
        the images; `images`, their number; `decided_by`, which they are.
    """
    if vae.posterior_std == 0:
        raise InputError(
            "received an autoencoder, which has no evidence bound to choose the batch"
            " normalisation by: drop --recalibrate"
        )
    train, _ = loading.load_for(config)
    generator = np.random.default_rng((seed, Stream.RECALIBRATION_IMAGES))
    if "validation" in loading.splits_for(config):
        held, decided_by = (
            loading.load_for(config, "validation")[0],
            "the validation split",
        )
        held = held[np.sort(generator.permutation(len(held))[:MAX_DECIDING_IMAGES])]
    else:
        order = generator.permutation(len(train))
        count = min(MAX_DECIDING_IMAGES, len(train) // 10)
        held, train, decided_by = (
            train[np.sort(order[:count])],
            train[np.sort(order[count:])],
            (
                "training images that the recalibration left out: the data have no"
                " validation split"
            ),
        )
    if len(held) < 2:
        raise InputError(
            f"received {len(held)} images to choose the batch normalisation by,"
            " expected at least 2: give more training images"
        )
    before = [weight.copy() for weight in vae.get_weights()]
    old = bounds(vae, held, 1, seed)["evidence"]
    recalibrate(vae, train, seed=seed)
    gains = bounds(vae, held, 1, seed)["evidence"] - old
    if not gains.mean() > 0:
        vae.set_weights(before)
    return {
        "chosen": RECALIBRATED if gains.mean() > 0 else MOVING,
        "evidence": {
            MOVING: float(old.mean()),
            RECALIBRATED: float((old + gains).mean()),
        },
        "gain": float(gains.mean()),
        "gain_error": float(gains.std(ddof=1) / len(gains) ** 0.5),
        "images": len(held),
        "decided_by": decided_by,
    }


def told(choice):
    """One line about what `better` returned."""
    return (
        f"batch normalisation: {choice['chosen']}; recalibration changes the evidence"
        f" bound by {choice['gain']:+.2f} +- {choice['gain_error']:.2f} nats an image"
        f" on {choice['images']:,} of {choice['decided_by']}"
    )
