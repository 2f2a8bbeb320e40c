"""Every test starts from the same seed, with an empty cache, and leaves no policy and no other backend behind."""

import keras
import pytest


@pytest.fixture(autouse=True)
def seeded(monkeypatch, tmp_path_factory):
    monkeypatch.setenv("KERAS_BACKEND", keras.backend.backend())  # for the processes that a test starts; a command may set it
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path_factory.mktemp("cache")))
    keras.utils.set_random_seed(0)
    yield
    keras.config.set_dtype_policy("float32")
    keras.utils.clear_session()
