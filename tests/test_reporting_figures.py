"""Figures and charts: what is drawn where; whether samples are copies."""

import html
import re
from xml.etree import ElementTree

import keras
import numpy as np
import pytest
from keras import layers

import twostage
from twostage import InputError
from twostage.evaluation import figures, memorization
from twostage.metrics.precision_recall import nearest
from twostage.reporting import charts
from twostage.reporting.png import check_place


@pytest.fixture
def vae():
    """An autoencoder of 2x2 gray images that is exact: the latents are the pixels."""
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


def cells(image, columns, side=2, gap=1):
    """(rows, columns, side, side) of an image of `tile`."""
    step = side + gap
    rows = image.shape[0] // step
    return (
        image[..., 0]
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
    image, latents = figures.traversals(vae, spread.astype("uint8"), span=1.0)
    assert latents == [0, 2, 1, 3]
    found = cells(image, figures.STEPS)
    for row, latent in enumerate(latents):
        np.testing.assert_array_equal(
            found[row].reshape(figures.STEPS, 4)[:, latent],
            np.rint(np.clip(np.linspace(-1, 1, figures.STEPS), 0, 1) * 255),
        )
        others = np.delete(found[row].reshape(figures.STEPS, 4), latent, 1)
        assert (others == others[0]).all()


def test_neighbors_are_the_nearest_training_images(images):
    features = images.reshape(40, 4).astype("float64")
    rows, distances = nearest(features[:3], features, 4)
    expected = np.linalg.norm(features[:3, None] - features, axis=-1)
    np.testing.assert_array_equal(rows, np.argsort(expected, 1, kind="stable")[:, :4])
    np.testing.assert_allclose(distances, np.sort(expected, 1)[:, :4], atol=1e-4)
    found = cells(
        figures.neighbors(
            images[5:8] / 255,
            features[5:8],
            train=images,
            train_features=features,
            count=3,
            k=2,
        ),
        3,
    )
    np.testing.assert_array_equal(found[:, 0], images[5:8, ..., 0])
    np.testing.assert_array_equal(
        found[:, 1], images[5:8, ..., 0]
    )  # which are in the training set themselves
    few = figures.neighbors(
        images[5:8] / 255,
        features[5:8],
        train=images[:2],
        train_features=features[:2],
        count=3,
        k=5,
    )
    two_neighbors = figures.neighbors(
        images[5:8] / 255,
        features[5:8],
        train=images,
        train_features=features,
        count=3,
        k=2,
    )
    assert few.shape == two_neighbors.shape
    # more samples than rows, as an evaluation has
    many = figures.neighbors(
        images[5:15] / 255,
        features[5:15],
        train=images,
        train_features=features,
        count=3,
        k=2,
    )
    np.testing.assert_array_equal(many, two_neighbors)


def test_copies_differ_from_new_images():
    generator = np.random.default_rng(0)
    train, test, new = (generator.normal(size=(2_000, 6)) for _ in range(3))
    assert memorization.memorization(train[:500], train, test=test) == {
        "ratio": pytest.approx(0, abs=1e-6),
        "closer": 1.0,
        "repeated": 0.0,
        "training_images": 2_000,
    }
    fresh = memorization.memorization(new, train, test=test)
    assert fresh["ratio"] == pytest.approx(1, abs=0.05) and fresh["closer"] < 0.03
    half = memorization.memorization(
        np.concatenate([train[:1_000], new[:1_000]]), train, test=test
    )
    assert half["closer"] == pytest.approx(0.5, abs=0.05)


def test_without_another_test_image_nothing_is_said_of_copies():
    generator = np.random.default_rng(0)
    train, new = (generator.normal(size=(200, 6)) for _ in range(2))
    found = memorization.memorization(new, train, test=train[:50])
    assert found["ratio"] is None and found["closer"] is None
    assert found["repeated"] == 1.0


def test_ticks_are_round_and_inside():
    assert (
        charts.ticks(0, 1) == [0, 0.5, 1]
        and charts.ticks(-3.2, 11) == [0, 5, 10]
        and charts.ticks(-41, 19) == [-40, -20, 0]
    )
    assert charts.log_ticks(-1, 0) == pytest.approx(
        [0.1, 0.2, 0.5, 1]
    ) and charts.log_ticks(-3.9, 0.1) == pytest.approx([1e-3, 1e-2, 0.1, 1])
    assert charts.log_ticks(np.log10(0.11), np.log10(0.12)) == pytest.approx(
        charts.ticks(0.11, 0.12)
    )


def path_of(svg, color):
    """The points (n, 2) of the path in a color."""
    path = re.search(rf'<path d="([^"]+)" style="[^"]*stroke: {color}', svg)[1]
    return np.array(re.findall(r"[-\d.]+", path), "float64").reshape(-1, 2)


def test_a_chart_places_its_points():
    svg = charts.chart(
        "a <b>",
        [("x & y", [0, 5, 10], [0, 1, 2]), ("dot", [5], [1], "point")],
        "epoch",
        x_range=(0, 10),
        y_range=(0, 2),
    )
    points = path_of(svg, charts.COLORS[0])
    # the horizontal axis, and the grid's line at the top
    left, right = path_of(svg, "currentColor")
    top = path_of(svg, r"var\(--faint[^;]*")
    lines = re.findall(r'<path d="([^"]+)" style="[^"]*stroke: var', svg)
    heights = [float(re.findall(r"[-\d.]+", line)[1]) for line in lines]
    middle = (left[0] + right[0]) / 2, (left[1] + min(heights)) / 2
    np.testing.assert_allclose(points[0], left, atol=0.05)
    np.testing.assert_allclose(points[1], middle, atol=0.05)
    np.testing.assert_allclose(points[2], [right[0], min(heights)], atol=0.05)
    assert top[0, 0] == left[0] and top[1, 0] == right[0]
    dot = re.search(rf'<use [^>]*x="([^"]+)" y="([^"]+)"[^>]*{charts.COLORS[1]}', svg)
    np.testing.assert_allclose([float(dot[1]), float(dot[2])], middle, atol=0.05)
    assert "a &lt;b&gt;" in svg and "x &amp; y" in svg and "epoch" in svg
    assert "no values" in charts.chart("empty", [("nothing", [1, 2], [np.nan, np.nan])])
    logarithmic = charts.chart("log", [("y", [0, 1, 2], [0.01, 0.1, 1])], log=True)
    heights = path_of(logarithmic, charts.COLORS[0])[:, 1]
    assert heights[0] - heights[1] == pytest.approx(
        heights[1] - heights[2], abs=0.2
    )  # equal factors, equal steps


def test_charts_are_whole_and_deterministic():
    title = "distortion over rate, nats, of every model and every seed of this table"
    labels = [f"a curve whose label is rather long, number {i}" for i in range(5)]
    series = [(label, [0, 1], [0, i]) for i, label in enumerate(labels)]
    svg = charts.chart(title, series, "epoch")
    lines = [html.unescape(line) for line in re.findall(r"<text[^>]*>([^<]*)<", svg)]
    assert title in " ".join(lines) and set(labels) <= set(lines)
    width, height = re.search(r'viewBox="0 0 ([\d.]+) ([\d.]+)"', svg).groups()
    for x, y in re.findall(r'<text[^>]* x="([-\d.]+)" y="([-\d.]+)"', svg):
        assert 0 <= float(x) < float(width) and 0 < float(y) < float(height)
    assert charts.chart(title, series, "epoch") == svg
    assert "currentColor" in svg and "url(" not in svg and "<style" not in svg
    alone = charts.standalone(svg)
    assert "currentColor" not in alone and "var(" not in alone
    ElementTree.fromstring(alone)


def test_a_chart_leaves_matplotlib_as_it_was():
    import matplotlib

    with matplotlib.rc_context({"font.size": 33}):
        svg = charts.chart("font", [("y", [0, 1], [0, 1])])
        assert matplotlib.rcParams["font.size"] == 33 and "33px" not in svg


def test_an_image_has_the_name_of_a_png():
    check_place("samples.png")
    check_place("samples")
    with pytest.raises(InputError, match=r"s\.jpg, expected a PNG file"):
        check_place("s.jpg")
