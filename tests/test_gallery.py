"""Pictures and charts: what is drawn where; whether samples are copies."""

import re

import keras
import numpy as np
import pytest
from keras import layers

import twostage
from twostage.evaluation import figures, memorization
from twostage.metrics.precision_recall import nearest
from twostage.reporting import svg_charts


@pytest.fixture
def vae():
    """An autoencoder of 2x2 grey images that is exact: the latents are the pixels."""
    encoder_in, z = keras.Input((2, 2, 1)), keras.Input((4,))
    mean = layers.Flatten()(encoder_in)
    encoder = keras.Model(
        encoder_in,
        [
            mean,
            layers.Dense(
                4,
                kernel_initializer="zeros",
                bias_initializer=keras.initializers.Constant(-2),
            )(mean),
        ],
    )
    return twostage.VAE(
        encoder,
        keras.Model(z, layers.Reshape((2, 2, 1))(z)),
        twostage.GaussianLikelihood(),
        data_dtype="uint8",
        seed=0,
    )


def cells(picture, columns, side=2, gap=1):
    """(rows, columns, side, side) of a picture of `tile`."""
    step = side + gap
    rows = picture.shape[0] // step
    return (
        picture[..., 0]
        .reshape(rows, step, columns, step)[:, :side, :, :side]
        .swapaxes(1, 2)
    )


@pytest.fixture
def images():
    return np.random.default_rng(0).integers(0, 256, (40, 2, 2, 1), "uint8")


def test_reconstructions_stand_below_their_images(vae, images):
    found = cells(figures.reconstructions(vae, images, rows=2), 8)
    np.testing.assert_array_equal(found[0], images[:8, ..., 0])
    np.testing.assert_array_equal(
        found[1], images[:8, ..., 0]
    )  # of the exact autoencoder
    np.testing.assert_array_equal(found[2], images[8:16, ..., 0])


def test_interpolations_walk_straight_between_two_images(vae, images):
    found = cells(
        figures.interpolations(vae, images, rows=3), figures.STEPS + 2
    ).astype("float64")
    for row in range(3):
        a, b = (
            images[2 * row, ..., 0].astype("float64"),
            images[2 * row + 1, ..., 0].astype("float64"),
        )
        np.testing.assert_array_equal(found[row, 0], a)
        np.testing.assert_array_equal(found[row, -1], b)
        np.testing.assert_allclose(
            found[row, 1 + figures.STEPS // 2], (a + b) / 2, atol=0.51
        )
        np.testing.assert_allclose(found[row, 3], 0.75 * a + 0.25 * b, atol=0.51)


def test_traversals_move_one_latent_each_the_most_active_first(vae, images):
    spread = images * np.array([1.0, 0.2, 0.6, 0.0]).reshape(2, 2, 1)
    picture, latents = figures.traversals(vae, spread.astype("uint8"), span=1.0)
    assert latents == [0, 2, 1, 3]
    found = cells(picture, figures.STEPS)
    for row, latent in enumerate(latents):
        np.testing.assert_array_equal(
            found[row].reshape(figures.STEPS, 4)[:, latent],
            np.rint(np.clip(np.linspace(-1, 1, figures.STEPS), 0, 1) * 255),
        )
        others = np.delete(found[row].reshape(figures.STEPS, 4), latent, 1)
        assert (others == others[0]).all()


def test_neighbours_are_the_nearest_training_images(images):
    features = images.reshape(40, 4).astype("float64")
    rows, distances = nearest(features[:3], features, 4)
    expected = np.linalg.norm(features[:3, None] - features, axis=-1)
    np.testing.assert_array_equal(rows, np.argsort(expected, 1, kind="stable")[:, :4])
    np.testing.assert_allclose(distances, np.sort(expected, 1)[:, :4], atol=1e-4)
    found = cells(
        figures.neighbours(
            images[5:8] / 255, features[5:8], images, features, count=3, k=2
        ),
        3,
    )
    np.testing.assert_array_equal(found[:, 0], images[5:8, ..., 0])
    np.testing.assert_array_equal(
        found[:, 1], images[5:8, ..., 0]
    )  # which are in the training set themselves
    few = figures.neighbours(
        images[5:8] / 255, features[5:8], images[:2], features[:2], count=3, k=5
    )
    assert (
        few.shape
        == figures.neighbours(
            images[5:8] / 255, features[5:8], images, features, count=3, k=2
        ).shape
    )


def test_copies_are_told_from_new_images():
    generator = np.random.default_rng(0)
    train, test, new = (generator.normal(size=(2_000, 6)) for _ in range(3))
    assert memorization.memorization(train[:500], train, test) == {
        "ratio": pytest.approx(0, abs=1e-6),
        "closer": 1.0,
        "training_images": 2_000,
    }
    fresh = memorization.memorization(new, train, test)
    assert fresh["ratio"] == pytest.approx(1, abs=0.05) and fresh["closer"] < 0.03
    half = memorization.memorization(
        np.concatenate([train[:1_000], new[:1_000]]), train, test
    )
    assert half["closer"] == pytest.approx(0.5, abs=0.05)


def test_ticks_are_round_and_inside():
    assert (
        svg_charts.ticks(0, 1) == [0, 0.5, 1]
        and svg_charts.ticks(-3.2, 11) == [0, 5, 10]
        and svg_charts.ticks(-41, 19) == [-40, -20, 0]
    )
    assert svg_charts.log_ticks(-1, 0) == pytest.approx(
        [0.1, 0.2, 0.5, 1]
    ) and svg_charts.log_ticks(-3.9, 0.1) == pytest.approx([1e-3, 1e-2, 0.1, 1])
    assert svg_charts.log_ticks(np.log10(0.11), np.log10(0.12)) == pytest.approx(
        svg_charts.ticks(0.11, 0.12)
    )


def test_a_chart_places_its_points():
    svg = svg_charts.chart(
        "a <b>",
        [("x & y", [0, 5, 10], [0, 1, 2]), ("dot", [5], [1], "point")],
        "epoch",
        x_range=(0, 10),
        y_range=(0, 2),
    )
    points = re.search(r'points="([^"]+)"', svg)[1]
    middle = (
        (svg_charts.LEFT + svg_charts.WIDTH - svg_charts.RIGHT) / 2,
        (svg_charts.TOP + svg_charts.BASE) / 2,
    )
    assert (
        points
        == f"{svg_charts.LEFT}.0,{svg_charts.BASE}.0 {middle[0]:.1f},{middle[1]:.1f}"
        f" {svg_charts.WIDTH - svg_charts.RIGHT}.0,{svg_charts.TOP}.0"
    )
    assert (
        f'cx="{middle[0]:.1f}" cy="{middle[1]:.1f}"' in svg
        and "a &lt;b&gt;" in svg
        and "x &amp; y" in svg
    )
    assert "no values" in svg_charts.chart(
        "empty", [("nothing", [1, 2], [np.nan, np.nan])]
    )
    logarithmic = svg_charts.chart("log", [("y", [0, 1, 2], [0.01, 0.1, 1])], log=True)
    heights = [
        float(pair.split(",")[1])
        for pair in re.search(r'points="([^"]+)"', logarithmic)[1].split()
    ]
    assert heights[0] - heights[1] == pytest.approx(
        heights[1] - heights[2], abs=0.2
    )  # equal factors, equal steps
