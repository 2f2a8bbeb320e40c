"""The direction of imports, and what may not be imported at a module's top."""

import ast
import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
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
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, cwd=ROOT
    )
    assert done.stdout.splitlines()[-1] == "[]" and "--kl-weight" in done.stdout


EVERY_CLASS = """
import importlib, keras, pkgutil, twostage
twostage.VAE
named = lambda: {name for name in keras.saving.get_custom_objects() if name.startswith("twostage>")}
before = named()
for module in pkgutil.walk_packages(twostage.__path__, "twostage."):
    if not module.name.startswith("twostage.experiments.") and not module.name.endswith("__main__"):
        importlib.import_module(module.name)
print(len(before) > 10, sorted(named() - before))
"""


def test_any_public_name_registers_every_keras_class():
    done = subprocess.run(
        [sys.executable, "-c", EVERY_CLASS], capture_output=True, text=True, cwd=ROOT
    )
    assert done.stdout.strip() == "True []", done.stderr


def test_callbacks_folder_works_under_another_name(tmp_path):
    import shutil

    shutil.copytree(ROOT / "callbacks", tmp_path / "borrowed")
    script = "import borrowed; print(borrowed.ComputedGamma().get_config()['rule'])"
    environment = {**os.environ, "PYTHONPATH": str(tmp_path)}
    done = subprocess.run(
        [sys.executable, "-c", script],
        capture_output=True,
        text=True,
        cwd=tmp_path,
        env=environment,
    )
    assert done.stdout.strip() == "minimum", done.stderr
