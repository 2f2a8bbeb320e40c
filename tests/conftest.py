"""Every test starts from the same seed, with an empty cache, and leaves no policy and
no other backend behind.
"""

import gc
import os
import tempfile

import pytest

# JAX compiles each program once a session, and not again in the processes that tests
# start
_compiled = tempfile.TemporaryDirectory()
os.environ |= {
    "JAX_COMPILATION_CACHE_DIR": _compiled.name,
    "JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS": "0.02",
    "JAX_PERSISTENT_CACHE_MIN_ENTRY_SIZE_BYTES": "-1",
}

import keras  # noqa: E402
from small_run import train  # noqa: E402

if keras.backend.backend() != "torch":
    keras.distribution.list_devices()  # loads the backend
# each `clear_session` collects garbage, which takes a third of a second among the
# frameworks' own objects
gc.freeze()


@pytest.fixture(autouse=True)
def seeded(monkeypatch, tmp_path_factory):
    monkeypatch.setenv(
        "KERAS_BACKEND", keras.backend.backend()
    )  # for the processes that a test starts; a command may set it
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path_factory.mktemp("cache")))
    monkeypatch.setattr("sys.argv", ["train_stage1.py"])  # how advice names commands
    keras.utils.set_random_seed(0)
    yield
    keras.config.set_dtype_policy("float32")
    keras.utils.clear_session()


@pytest.fixture(scope="session")
def small_run(tmp_path_factory):
    """Both stages on digits, by the scripts themselves; see small_run.py. For all
    tests: none may change it.
    """
    return train(tmp_path_factory.mktemp("runs") / "small")
