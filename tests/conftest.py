"""Every test starts from the same seed, with an empty cache, and leaves no policy and
no other backend behind.
"""

import gc
import os
import tempfile

import pytest
from filelock import FileLock

# JAX compiles each program once a session, and not again in the processes that tests
# start. Fixtures of a whole file run before `seeded`: they have a cache of the process.
_compiled = tempfile.TemporaryDirectory()
_cache = tempfile.TemporaryDirectory()
os.environ |= {
    "XDG_CACHE_HOME": _cache.name,
    "JAX_COMPILATION_CACHE_DIR": _compiled.name,
    "JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS": "0.02",
    "JAX_PERSISTENT_CACHE_MIN_ENTRY_SIZE_BYTES": "-1",
}

import keras  # noqa: E402
from small_run import train  # noqa: E402

if keras.backend.backend() != "torch":
    keras.distribution.list_devices()  # loads the backend
gc.freeze()  # the frameworks' own objects


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
    # to collect garbage after each test took half the suite's time
    keras.utils.clear_session(free_memory=False)


@pytest.fixture(autouse=True, scope="module")
def collected():
    """Each file frees its models. What survives is not checked again."""
    yield
    gc.collect()
    gc.freeze()


@pytest.fixture(scope="module")
def without_saved_model():
    """The commands train and write no SavedModel, which takes seconds."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("twostage.cli.train._export_on_tensorflow", lambda *_: None)
        yield


@pytest.fixture(scope="session")
def small_run(tmp_path_factory, worker_id):
    """Both stages on digits, by the scripts themselves; see small_run.py. For all
    tests of all processes: none may change it.
    """
    base = tmp_path_factory.getbasetemp()
    folder = (base if worker_id == "master" else base.parent) / "small"
    folder.mkdir(exist_ok=True)
    outputs = [folder / "stage1.txt", folder / "stage2.txt"]
    with FileLock(folder / "lock"):
        if not outputs[-1].exists():
            for path, printed in zip(outputs, train(folder / "run"), strict=True):
                path.write_text(printed)
    return folder / "run", *(path.read_text() for path in outputs)
