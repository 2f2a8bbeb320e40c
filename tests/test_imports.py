"""The direction of imports, and what may not be imported at a module's top."""

import ast
import configparser
import importlib.util
import os
import subprocess
import sys

import pytest
from sources import ROOT, needs_sources

import twostage
from twostage import config
from twostage.models import build

FILES = sorted(
    [*(ROOT / "twostage").rglob("*.py"), *(ROOT / "callbacks").rglob("*.py")]
)
HEAVY = {
    "PIL",
    "jax",
    "sklearn",
    "tensorflow",
    "tensorflow_datasets",
    "tensorflow_probability",
    "torch",
}


def imports(path, top_only):
    tree = ast.parse(path.read_text())
    for node in tree.body if top_only else ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            yield "." if node.level else node.module


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(ROOT)))
def test_no_framework_at_a_modules_top(path):
    """The layers are import-linter's contract, in setup.cfg."""
    top = {name.split(".")[0] for name in imports(path, True)}
    if path.relative_to(ROOT).parts[:2] != ("twostage", "data"):
        assert not top & HEAVY
    if path.parent.name == "callbacks":
        assert top <= {"", "keras", "numpy"} | sys.stdlib_module_names
        everywhere = imports(path, False)
        assert not any(name.startswith("twostage") for name in everywhere)


@needs_sources
def test_no_import_by_a_string():
    """`__init__.py` loads public names lazily, and nothing else may."""
    names = [path for path in FILES if "import_module" in path.read_text()]
    assert names == [ROOT / "twostage" / "__init__.py"]


def test_the_command_line_needs_no_framework():
    script = (
        "import sys; from twostage.cli import train\n"
        "try: train.stage1(['--help'])\n"
        "except SystemExit: pass\n"
        "print(sorted({'keras', 'tensorflow', 'jax', 'numpy'} & set(sys.modules)))"
    )
    out = run(script)
    assert out.splitlines()[-1] == "[]" and "--kl-weight" in out


# A model whose classes a file names, then what reads it in a new process.
SAVE = """
import keras, numpy, sys, twostage
vae = twostage.VAE(
    twostage.dense_encoder(3, 4, 1),
    twostage.dense_decoder(3, 4, 1),
    twostage.GaussianLikelihood(),
    data_dtype="float32",
)
vae.compile(twostage.Adam(1e-3))
vae.fit(numpy.zeros((4, 3), "float32"), verbose=0)
vae.save(sys.argv[1])
"""
LOAD = """
import sys
print(type(keras.saving.load_model(sys.argv[1])).__name__)
print([finder for finder in sys.meta_path if "twostage" in type(finder).__module__])
"""
# Every module but the experiments registers nothing that `import twostage` has not.
EVERY_CLASS = """
import importlib, keras, pkgutil, twostage

def registered():
    names = keras.saving.get_custom_objects()
    return {name for name in names if name.startswith("twostage>")}

before = registered()
for module in pkgutil.walk_packages(twostage.__path__, "twostage."):
    skipped = module.name.startswith("twostage.experiments.")
    if not skipped and not module.name.endswith("__main__"):
        importlib.import_module(module.name)
classes = {
    f"twostage>{name}"
    for name in twostage.__all__
    if isinstance(getattr(twostage, name), type)
    and hasattr(getattr(twostage, name), "get_config")
}
print(len(before) > 10, sorted(registered() - before), sorted(classes - before))
"""


# Imports are the same on every backend, and JAX takes half of TensorFlow's time.
BACKEND = {"KERAS_BACKEND": "jax"} if importlib.util.find_spec("jax") else {}


def python(*arguments, cwd=ROOT, **environment):
    """The standard output of Python in a process of its own."""
    done = subprocess.run(
        [sys.executable, *map(str, arguments)],
        capture_output=True,
        text=True,
        cwd=cwd,
        env={**os.environ, **BACKEND, **environment},
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def run(script, *arguments, **options):
    return python("-c", script, *arguments, **options)


def test_any_public_name_registers_every_keras_class():
    assert run(EVERY_CLASS).strip() == "True [] []"


@pytest.fixture(scope="module")
def small_model(tmp_path_factory):
    path = tmp_path_factory.mktemp("saved") / "small.keras"
    run(SAVE, path)
    return path


@pytest.mark.parametrize("order", ["keras, twostage", "twostage, keras"])
def test_keras_loads_a_model_after_import_twostage(small_model, order):
    assert run(f"import {order}{LOAD}", small_model).splitlines() == ["VAE", "[]"]


@pytest.mark.slow
def test_register_classes_where_ours_imported_keras_first(small_model):
    """Then a module of ours is incomplete when Keras is there."""
    script = "import twostage.models.divergences, keras, twostage\n"
    script += "twostage.register_classes()" + LOAD
    assert run(script, small_model).splitlines() == ["VAE", "[]"]


@needs_sources
def test_public_names_are_the_same_for_editors():
    """`__all__`, the lazy names, and the block for type checkers."""
    tree = ast.parse((ROOT / "twostage" / "__init__.py").read_text())
    block = next(
        node
        for node in tree.body
        if isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING"
    )
    homes = {
        alias.name: node.module
        for node in block.body
        if isinstance(node, ast.ImportFrom)
        for alias in node.names
    }
    assert homes == {**twostage._KERAS_NAMES, **twostage._OTHER_NAMES}
    assert sorted([*homes, "register_classes"]) == sorted(twostage.__all__)
    assert set(twostage.__all__) <= set(dir(twostage))


def test_every_name_in_a_config_builds_something():
    assert tuple(build.NETWORKS) == config.NETWORKS
    assert tuple(build.LIKELIHOODS) == config.LIKELIHOODS


@needs_sources
def test_callbacks_folder_works_under_another_name(tmp_path):
    import shutil

    shutil.copytree(ROOT / "callbacks", tmp_path / "borrowed")
    script = "import borrowed; print(borrowed.ComputedGamma().get_config()['rule'])"
    out = run(script, cwd=tmp_path, PYTHONPATH=str(tmp_path))
    assert out.strip() == "minimum"


@needs_sources
@pytest.mark.parametrize("package", ["twostage", "callbacks"])
def test_every_file_of_a_package_is_installed(package):
    """The tests import the tree, and would not miss what a wheel lacks."""
    setup = configparser.ConfigParser()
    setup.read(ROOT / "setup.cfg")
    patterns = setup["options.package_data"][package].split(",")
    folder = ROOT / package
    data = {path for pattern in patterns for path in folder.glob(pattern.strip())}
    others = {
        path
        for path in folder.rglob("*")
        if path.is_file() and path.suffix != ".py" and "__pycache__" not in path.parts
    }
    assert others and others == data


HIDDEN = {
    "command": ["-m", "twostage", "train-stage1"],
    "script of ours": [str(ROOT / "train_stage1.py")],
    "script": [
        "-c",
        """
import sys, callbacks, twostage
from twostage.training.train import train_stage1
print(callbacks.mine, twostage.TwoStageVAE.__name__)
import twostage.experiments.catalog, twostage.evaluation.evaluate
from twostage.cli import train
sys.exit(train.stage1(sys.argv[1:]))
""",
    ],
}


@pytest.mark.parametrize(
    "case",
    ["command", pytest.param("script of ours", marks=pytest.mark.slow), "script"],
)
def test_a_users_own_callbacks_are_not_in_the_way(tmp_path, case):
    (tmp_path / "callbacks.py").write_text("mine = 'my own'")
    command = [*HIDDEN[case], "--run", "x", "--dry-run"]
    out = python(*command, cwd=tmp_path, PYTHONPATH=str(ROOT))
    assert "trainable parameters" in out
    assert ("my own TwoStageVAE" in out) == (case == "script")


def test_a_users_own_package_of_callbacks_is_left_alone(tmp_path):
    (tmp_path / "callbacks").mkdir()
    (tmp_path / "callbacks" / "__init__.py").write_text("mine = 'my own'")
    script = "import callbacks, twostage.own_callbacks as ours\n"
    script += "print(callbacks.mine, ours.callbacks.KLWarmup.__module__)"
    out = run(script, cwd=tmp_path, PYTHONPATH=str(ROOT))
    assert out.strip() == "my own twostage_callbacks.kl_warmup"
    script = "import twostage.own_callbacks as ours, callbacks\n"
    script += "print(ours.callbacks is callbacks)"
    assert run(script).strip() == "True"


@needs_sources
def test_a_package_installed_over_ours_is_named(tmp_path):
    """Another distribution has files of the same names."""
    import shutil

    for package in ("twostage", "callbacks"):
        shutil.copytree(ROOT / package, tmp_path / package)
    (tmp_path / "callbacks" / "__init__.py").write_text("")
    script = """
from twostage.errors import InputError
try: import twostage.own_callbacks
except InputError as error: print(error)
"""
    out = run(script, cwd=tmp_path, PYTHONPATH=str(tmp_path))
    assert out.strip() == (
        f"received {tmp_path}/callbacks/__init__.py, expected the package `callbacks`"
        " of two-stage-vae: uninstall the other package `callbacks`, and install"
        " two-stage-vae again"
    )
