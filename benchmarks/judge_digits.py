"""A classifier evaluates a digits run: `python benchmarks/judge_digits.py --run
runs/digits`.

A scikit-learn perceptron of 256 units, trained on the real training digits, judges
1,000 samples of the SavedModel, of both stages and of stage 1 alone: the fraction of
which it is more than 90% sure, and the fraction of each class. Real held-out digits are
the baseline.
"""

import argparse

import numpy as np
from sklearn.neural_network import MLPClassifier

from twostage import export
from twostage.data import loading


def classifier():
    """A perceptron fitted to the training digits, its accuracy on the held-out ones,
    and those.
    """
    (train, labels), (test, truth) = (
        loading.load("digits"),
        loading.load("digits", "test"),
    )
    model = MLPClassifier((256,), max_iter=400, random_state=0).fit(flat(train), labels)
    return model, (model.predict(flat(test)) == truth).mean(), test


def flat(images):
    return images.reshape(len(images), -1) / (
        255.0 if images.dtype == np.uint8 else 1.0
    )


def verdict(model, images):
    probabilities = model.predict_proba(flat(images))
    shares = np.bincount(probabilities.argmax(1), minlength=10) / len(images)
    return f"sure of {(probabilities.max(1) > 0.9).mean():6.1%}; classes " + " ".join(
        f"{share:5.1%}" for share in shares
    )


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--run", default="runs/digits")
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args()
    model, accuracy, held_out = classifier()
    saved = export.load(f"{options.run}/saved_model")
    print(f"classifier: {accuracy:.1%} of held-out digits right")
    print("held-out digits:", verdict(model, held_out))
    print("both stages:    ", verdict(model, saved.sample(1000, options.seed)))
    print(
        "stage 1 alone:  ", verdict(model, saved.sample_first_stage(1000, options.seed))
    )
