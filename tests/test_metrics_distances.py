"""Distances over features: closed forms, SciPy's square root, plain loops; perfect,
useless and duplicated generators rank as they must.
"""

import numpy as np
import pytest
from scipy import linalg

from twostage import InputError
from twostage.evaluation.image_metrics import image_distances
from twostage.metrics.frechet import extrapolated, frechet_distance, frechet_of
from twostage.metrics.kernel import kernel_distance, kernel_distances
from twostage.metrics.moments import Moments
from twostage.metrics.precision_recall import neighbor_measures
from twostage.metrics.standard_error import (
    difference_error,
    half_error,
    interval,
    over_halves,
    subsets,
)


def features(count, width, seed=0, decay=3.0, shift=0.0):
    """Correlated, with a spectrum that falls by exp(-2 decay)."""
    generator = np.random.default_rng(seed)
    mix = linalg.qr(generator.standard_normal((width, width)))[0]
    return (
        generator.standard_normal((count, width))
        * np.exp(-np.linspace(0, decay, width))
        @ mix
        + shift
    )


def exact(mean, std, count=1_000):
    """Rows of just this mean and these standard deviations, uncorrelated."""
    x = np.random.default_rng(1).standard_normal((count, len(mean)))
    x = linalg.qr(x - x.mean(0), mode="economic")[0] * np.sqrt(count - 1)
    return mean + x * std


def sqrtm_distance(x, y):
    a, b = np.cov(x, rowvar=False), np.cov(y, rowvar=False)
    return (
        ((x.mean(0) - y.mean(0)) ** 2).sum()
        + np.trace(a)
        + np.trace(b)
        - 2 * np.trace(linalg.sqrtm(a @ b)).real
    )


def test_gaussians_whose_distance_is_known():
    means, stds = (
        np.array([[0.0, 1, 2], [3, 1, -2]]),
        np.array([[1.0, 2, 0.1], [2, 2, 0.4]]),
    )
    expected = 9 + 16 + 1 + 0.09
    assert frechet_of(
        exact(means[0], stds[0]), exact(means[1], stds[1])
    ) == pytest.approx(expected, rel=1e-12)


@pytest.mark.parametrize("width", [64, 256, 512])
def test_it_is_scipys_square_root_where_the_rank_is_full(width):
    x, y = features(3 * width, width, 0), features(2 * width, width, 1, shift=0.1)
    assert Moments(x).factor()[1] and Moments(y).factor()[1]
    assert frechet_of(x, y) == pytest.approx(sqrtm_distance(x, y), rel=1e-9)


@pytest.mark.parametrize("counts", [(40, 50), (40, 900), (900, 300), (100, 101)])
def test_it_is_an_independent_svd_where_the_rank_is_deficient(counts):
    """tr (C1 C2)^(1/2) by the singular vectors of the rows: C1^(1/2) C2 C1^(1/2) in the
    basis of the first set's.
    """
    x, y = features(counts[0], 300, 0), features(counts[1], 300, 1, shift=0.1)
    _, s, v = linalg.svd(x - x.mean(0), full_matrices=False)
    rows = (y - y.mean(0)) @ v.T * s / np.sqrt((len(x) - 1) * (len(y) - 1))
    root = linalg.svd(rows, compute_uv=False).sum()
    expected = (
        ((x.mean(0) - y.mean(0)) ** 2).sum()
        + x.var(0, ddof=1).sum()
        + y.var(0, ddof=1).sum()
        - 2 * root
    )
    assert frechet_of(x, y) == pytest.approx(expected, rel=1e-9)


@pytest.mark.parametrize(
    "count, width, decay", [(50, 300, 3), (2_000, 200, 3), (2_000, 200, 15)]
)
def test_equal_sets_are_at_no_distance(count, width, decay):
    x = features(count, width, decay=decay)
    assert abs(frechet_of(x, x[::-1].copy())) < 1e-10 * np.trace(
        np.cov(x, rowvar=False)
    )


def test_features_that_are_dead_or_copies_change_nothing():
    """A network's unit that never fires, and one that repeats another: the covariance
    is singular with any number of rows.
    """
    x, y = features(500, 20, 0), features(500, 20, 1, shift=0.3)
    dead = [np.pad(each, ((0, 0), (0, 30))) for each in (x, y)]
    assert frechet_of(*dead) == pytest.approx(frechet_of(x, y), rel=1e-9)
    turned = linalg.qr(np.random.default_rng(0).standard_normal((50, 50)))[0]
    assert frechet_of(*(each @ turned for each in dead)) == pytest.approx(
        frechet_of(x, y), rel=1e-6
    )
    fires = dead[1] + np.eye(1, 50, 40) * np.random.default_rng(2).standard_normal(
        (500, 1)
    )  # in one set only
    assert frechet_of(dead[0], fires) == pytest.approx(
        frechet_of(x, y) + fires[:, 40].var(ddof=1) + fires[:, 40].mean() ** 2, rel=1e-6
    )


@pytest.mark.parametrize("count", [30, 700])
def test_batches_give_what_the_whole_gives(count, tmp_path):
    x, y = features(count, 50, 0, shift=1e3), features(900, 50, 1, shift=1e3)
    stream = Moments()
    for start in range(0, count, 7):
        stream.update(x[start : start + 7].astype("float64"))
    np.testing.assert_allclose(stream.mean, x.mean(0), rtol=1e-13)
    np.testing.assert_allclose(
        stream.covariance, np.cov(x, rowvar=False), rtol=1e-6, atol=1e-10
    )
    assert frechet_distance(stream, Moments(y)) == pytest.approx(
        frechet_of(x, y), rel=1e-8
    )


def test_an_empty_batch_changes_nothing():
    features = np.random.default_rng(0).normal(size=(50, 3))
    whole = Moments().update(features)
    parts = Moments().update(features[:0]).update(features).update(features[:0])
    np.testing.assert_array_equal(parts.mean, whole.mean)
    np.testing.assert_array_equal(parts.covariance, whole.covariance)


def test_moments_are_exchanged_as_mu_and_sigma(tmp_path):
    x, y = Moments(features(700, 50, 0)), Moments(features(700, 50, 1, shift=0.1))
    x.save(tmp_path / "x.npz")
    with np.load(tmp_path / "x.npz") as found:
        np.testing.assert_array_equal(found["sigma"], x.covariance)
    assert (
        frechet_distance(Moments.load(tmp_path / "x.npz"), y) == frechet_distance(x, y)
        and Moments.load(tmp_path / "x.npz").count == 700
    )
    np.savez(
        tmp_path / "others.npz", mu=x.mean, sigma=x.covariance
    )  # as other tools write it
    assert frechet_distance(
        Moments.load(tmp_path / "others.npz"), y
    ) == frechet_distance(x, y)
    np.savez(tmp_path / "odd.npz", mean=x.mean)
    with pytest.raises(InputError, match="arrays mean, expected mu and sigma"):
        Moments.load(tmp_path / "odd.npz")


def test_what_has_no_distance_is_reported():
    x = features(20, 5)
    with pytest.raises(
        InputError, match="features of 5 and 4 numbers, expected the same extractor"
    ):
        frechet_of(x, x[:, :4])
    with pytest.raises(
        InputError, match="20 and 1 rows of features, expected at least 2"
    ):
        frechet_of(x, x[:1])
    with pytest.raises(InputError, match="infinite or no numbers"):
        Moments(np.where(x > 0, x, np.nan))
    with pytest.raises(InputError, match=r"shape \(2, 5, 1\), expected \(N, d\)"):
        Moments(np.zeros((2, 5, 1)))


def test_extrapolation_removes_the_bias_of_few_images():
    x, y = np.random.default_rng(0).standard_normal((2, 4_000, 20))
    biased = frechet_of(x, y)
    unbiased, slope = extrapolated(x, y)
    assert (
        biased > 0.05 and slope > 0 and abs(unbiased) < 0.25 * biased
    )  # both sets are of one distribution
    far = y + 0.5
    with pytest.raises(
        InputError, match="received 70 rows of 20 features, expected at least 80"
    ):
        extrapolated(x[:70], far)
    assert extrapolated(x, far)[0] == pytest.approx(20 * 0.25, abs=0.25)


def test_the_distance_at_infinity_has_its_own_error():
    """Against the spread over 40 pairs of sets; None where a half is too small."""
    found = []
    for seed in range(40):
        x, y = np.random.default_rng(seed).standard_normal((2, 200, 6))
        found.append(image_distances(x, y * 0.7 + 0.3, half_samples=10, seed=0))
    infinite, errors, of_all = (
        np.array([each[key] for each in found])
        for key in ("frechet_infinite", "frechet_infinite_error", "frechet_error")
    )
    spread = infinite.std(ddof=1)
    assert 0.85 < (errors**2).mean() ** 0.5 / spread < 1.5
    assert (of_all**2).mean() ** 0.5 < 0.97 * spread  # that of another number
    few = image_distances(x[:40], y, half_samples=2, seed=0)
    assert few["frechet_infinite"] and few["frechet_infinite_error"] is None


def test_kernel_distance_is_the_mean_over_all_pairs(monkeypatch):
    from twostage.metrics import kernel

    x, y = features(13, 6, 0), features(9, 6, 1, shift=0.4)

    def k(a, b):
        return (a @ b / 6 + 1) ** 3

    within = [
        np.mean([k(a, b) for i, a in enumerate(z) for j, b in enumerate(z) if i != j])
        for z in (x, y)
    ]
    expected = sum(within) - 2 * np.mean([k(a, b) for a in x for b in y])
    assert kernel_distance(x, y) == pytest.approx(expected, rel=1e-12)
    monkeypatch.setattr(kernel, "BLOCK", 4)
    assert kernel_distance(x, y) == pytest.approx(expected, rel=1e-12)


@pytest.mark.parametrize("paired", [False, True])
def test_kernel_distances_of_subsets_are_those_of_their_rows(monkeypatch, paired):
    from twostage.metrics import kernel

    monkeypatch.setattr(kernel, "BLOCK", 7)
    x, y = features(30, 6, 0), features(30 if paired else 23, 6, 1, shift=0.4)
    chosen = subsets(len(x), len(y), repeats=4, seed=0, paired=paired)
    found = kernel_distances(x, y, chosen, paired=paired)
    expected = [kernel_distance(x[a], y[b], paired=paired) for a, b in chosen]
    np.testing.assert_allclose(found, expected, rtol=1e-10)


def test_kernel_distance_is_unbiased():
    """Of one distribution: below zero about as often as above; its mean is within its
    error of zero.
    """
    found = np.array(
        [
            kernel_distance(*np.random.default_rng(seed).standard_normal((2, 40, 5)))
            for seed in range(400)
        ]
    )
    assert abs(found.mean()) < 4 * found.std() / 20 and 0.3 < (found < 0).mean() < 0.75


def pairs(seed, count=300, width=5):
    """Two sets of one distribution whose rows i are alike, as an image and its
    reconstruction are.
    """
    x, noise = np.random.default_rng(seed).standard_normal((2, count, width))
    return x, 0.95 * x + (1 - 0.95**2) ** 0.5 * noise


def test_of_pairs_the_kernel_distance_is_unbiased_too():
    apart, together = (
        np.array(
            [kernel_distance(*pairs(seed, 40), paired=paired) for seed in range(400)]
        )
        for paired in (False, True)
    )
    assert (
        abs(together.mean()) < 4 * together.std() / 20
        and apart.mean() < -20 * apart.std() / 20
    )


def test_of_pairs_errors_and_extrapolation_are_by_pairs():
    """The error is the spread over newly drawn sets, and the line ends at the true
    distance; with rows apart the first is several times too large and the second too
    low.
    """

    def blurred(seed):
        x, y = pairs(seed)
        return x, 0.8 * y

    true = 5 * (1 - 0.8) ** 2
    spread = np.std([frechet_of(*blurred(seed)) for seed in range(300)])
    apart, together = (
        np.mean(
            [
                interval(frechet_of, *blurred(seed), repeats=20, paired=paired)[1]
                for seed in range(10)
            ]
        )
        for paired in (False, True)
    )
    assert together == pytest.approx(spread, rel=0.25) and apart > 2 * spread
    apart, together = (
        np.mean(
            [
                extrapolated(*blurred(seed), seed=seed, paired=paired)[0]
                for seed in range(20)
            ]
        )
        for paired in (False, True)
    )
    assert together == pytest.approx(true, rel=0.05) and apart < 0.9 * true, (
        apart,
        together,
    )


def test_neighbors_are_those_of_plain_loops(monkeypatch):
    from twostage.metrics import precision_recall as neighbors

    x, y = features(60, 4, 0), features(50, 4, 1, shift=0.3)

    def distance(a, b):
        return np.sqrt(((a - b) ** 2).sum())

    def ball(points, i, k):
        return sorted(
            distance(points[i], other) for j, other in enumerate(points) if j != i
        )[k - 1]

    def inside(points, balls, k):
        return np.array(
            [
                [
                    distance(point, center) <= ball(balls, i, k)
                    for i, center in enumerate(balls)
                ]
                for point in points
            ]
        )

    expected = {
        "precision": inside(y, x, 3).any(1).mean(),
        "recall": inside(x, y, 3).any(1).mean(),
        "density": inside(y, x, 5).sum() / (5 * len(y)),
        "coverage": inside(y, x, 5).any(0).mean(),
    }
    assert neighbor_measures(x, y) == pytest.approx(expected)
    monkeypatch.setattr(neighbors, "BLOCK", 7)
    assert neighbor_measures(x, y) == pytest.approx(expected)


def test_perfect_useless_and_duplicated_generators_rank():
    real, perfect = (
        features(600, 8, 0),
        features(600, 8, 0)[::-1] + 1e-3 * features(600, 8, 5),
    )
    sets = {
        "perfect": perfect,
        "useless": features(600, 8, 2, shift=9.0),
        "duplicated": np.repeat(real[:6], 100, axis=0),
    }
    frechet = {name: frechet_of(real, x) for name, x in sets.items()}
    kernel = {name: kernel_distance(real, x) for name, x in sets.items()}
    found = {name: neighbor_measures(real, x) for name, x in sets.items()}
    assert (
        frechet["perfect"] < frechet["duplicated"] < frechet["useless"]
        and kernel["perfect"] < kernel["duplicated"] < kernel["useless"]
    )
    assert (
        found["perfect"]["precision"] == found["perfect"]["recall"] == 1
        and found["perfect"]["coverage"] > 0.99
    )
    assert found["useless"] == {
        "precision": 0,
        "recall": 0,
        "density": 0,
        "coverage": 0,
    }
    assert (
        found["duplicated"]["precision"] == 1
        and found["duplicated"]["recall"] < 0.05
        and found["duplicated"]["coverage"] < 0.2
    )


def test_the_interval_is_as_wide_as_other_images_make_it():
    """Its standard error against the spread over newly drawn sets."""

    def measure(a, b):
        return float(a.mean() - b.mean())

    def draw(seed):
        return np.random.default_rng(seed).standard_normal((2, 400, 1))

    spread = np.std([measure(*draw(seed)) for seed in range(300)])
    value, error = interval(measure, *draw(1), repeats=300)
    assert value == measure(*draw(1))
    assert error == pytest.approx(spread, rel=0.2)


@pytest.mark.parametrize(
    "measure", [lambda a, b: float(b.mean() - a.mean()), frechet_of]
)
def test_the_error_of_a_difference_leaves_out_what_both_share(measure):
    """Two kinds of samples of the same z against one reference: the spread of the
    difference over newly drawn sets. As if they were independent, it is far wider.
    """

    def draw(seed):
        reference, z, noise = np.random.default_rng(seed).standard_normal((3, 400, 3))
        return reference, 1.1 * z + 0.5, 1.1 * z + 0.5 + 0.1 * noise

    def difference(reference, first, second):
        return measure(reference, second) - measure(reference, first)

    spread = np.std([difference(*draw(seed)) for seed in range(500)])
    errors = []
    for seed in range(12):
        reference, *kinds = draw(seed)
        found = [over_halves(measure, reference, kind, repeats=40) for kind in kinds]
        errors.append(difference_error(*(values[1:] for values in found)))
        assert np.hypot(*map(half_error, found)) > 5 * spread
    assert np.mean(np.square(errors)) ** 0.5 == pytest.approx(spread, rel=0.25)
