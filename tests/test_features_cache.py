"""Features of data sets are computed once."""

import os

import numpy as np
import pytest

from twostage.features import feature_cache
from twostage.features.extractor import Extractor
from twostage.features.feature_cache import FeatureCache


class Counted:
    """Means of images (n, 1), and how many images were seen."""

    def __init__(self, dtype="float32"):
        self.seen, self.dtype = 0, dtype

    def __call__(self, images):
        self.seen += len(images)
        return (images.mean((1, 2, 3), dtype=self.dtype) / 3)[:, None]


@pytest.fixture
def images():
    return np.random.default_rng(0).integers(0, 256, (40, 8, 8, 3), "uint8")


def test_the_same_images_are_read_back_exactly(tmp_path, images):
    count = Counted()
    cached = FeatureCache(Extractor("a", count, "1"), tmp_path)
    first, again = cached(images, 7), cached(images)
    assert count.seen == 40 and first.dtype == again.dtype == np.float64
    np.testing.assert_array_equal(first, again)
    floats = images / np.float32(255)  # the same images, before they are rounded
    np.testing.assert_array_equal(cached(floats), first)
    assert count.seen == 40


def test_other_images_and_weights_are_computed(tmp_path, images):
    count = Counted()
    cached = FeatureCache(Extractor("a", count, "1"), tmp_path)
    cached(images)
    cached(images[::-1])
    cached(images[:20])
    FeatureCache(Extractor("a", count, "2"), tmp_path)(images)
    assert count.seen == 40 + 40 + 20 + 40


def test_each_backend_has_its_own(tmp_path, images, monkeypatch):
    """Their features differ in the last digits, and the same seed must give the same
    numbers.
    """
    count = Counted()
    cached = FeatureCache(Extractor("a", count, "1"), tmp_path)
    for backend in ("tensorflow", "jax", "tensorflow"):
        monkeypatch.setattr("keras.config.backend", lambda backend=backend: backend)
        cached(images)
    assert count.seen == 80


def test_a_damaged_file_is_computed_again(tmp_path, images, caplog):
    count = Counted()
    cached = FeatureCache(Extractor("a", count, "1"), tmp_path)
    first = cached(images)
    (path,) = tmp_path.glob("*.npz")
    for content in (path.read_bytes()[:-50], b"", b"hello"):
        path.write_bytes(content)
        np.testing.assert_array_equal(cached(images), first)
        assert "is damaged" in caplog.text
        caplog.clear()
    assert count.seen == 160


def test_what_float32_would_round_is_not_kept(tmp_path, images):
    count = Counted("float64")
    cached = FeatureCache(Extractor("a", count, "1"), tmp_path)
    np.testing.assert_array_equal(cached(images), cached(images))
    assert count.seen == 80 and not list(tmp_path.glob("*.npz"))


def test_the_oldest_files_go(tmp_path, images, monkeypatch):
    monkeypatch.setattr(feature_cache, "MAX_FILES", 2)
    cached = FeatureCache(Extractor("a", Counted(), "1"), tmp_path)
    cached(images[:10])
    for path in tmp_path.glob("*.npz"):
        os.utime(path, (1, 1))
    cached(images[:20])
    cached(images[:30])
    assert len(list(tmp_path.glob("*.npz"))) == 2
    seen = cached.extractor.function.seen
    cached(images[:20])
    assert cached.extractor.function.seen == seen  # the newer ones are there
