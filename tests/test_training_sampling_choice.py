"""Which sampler is chosen, by which figures."""

import pytest

from twostage.training.sampling_choice import Distance, _pick


@pytest.mark.parametrize(
    ("distances", "nats", "method"),
    [
        ({"mean": (3.0, 0.1), "mixture": (1.0, 0.1)}, {}, "mixture"),
        # within the standard error of the nearest: the likelier one
        (
            {"noise": (1.05, 0.1), "mixture": (1.0, 0.1)},
            {"noise": -3.0, "mixture": -5.0},
            "noise",
        ),
        (
            {"noise": (1.05, 0.1), "mixture": (1.0, 0.1)},
            {"noise": -7.0, "mixture": -5.0},
            "mixture",
        ),
        # equals: the first
        (
            {"normalised": (1.0, 0.1), "mean": (1.0, 0.1)},
            {"normalised": -3.0, "mean": -3.0},
            "normalised",
        ),
    ],
)
def test_the_nearest_is_picked_and_then_the_likelier(distances, nats, method):
    found = {name: Distance(*pair) for name, pair in distances.items()}
    assert _pick(found, nats) == method
