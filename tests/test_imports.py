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
# Each part of twostage, and the parts it may import (its own, and everything to its
# left in the order of design).
BELOW = [
    "errors",
    "quiet",
    "lock",
    "whole",
    "likelihoods",
    "models",
    "config",
    "data",
    "latents",
    "sampling",
    "densities",
    "metrics",
    "protocol",
    "pictures",
    "look",
    "progress",
    "environment",
    "runs",
    "results",
    "samplers",
    "normalisation",
    "checkpoint",
    "assemble",
    "charts",
    "page",
    "measures",
    "gallery",
    "export",
    "report",
    "distribution",
    "guard",
    "publish",
    "recipes",
    "evaluation",
    "flags",
    "experiments",
    "cli",
]
FREE = {
    "sample": {"errors", "pictures", "export", "cli"},
    "export": {"cli"},
    "cli": {"sample"},
    "evaluate": {"cli"},
    "experiments": {"cli"},
}  # the commands and cli name each other


def imports(path, top_only):
    tree = ast.parse(path.read_text())
    nodes = tree.body if top_only else ast.walk(tree)
    for node in nodes:
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            yield "." if node.level else node.module
            if node.module == "twostage":
                yield from (f"twostage.{alias.name}" for alias in node.names)


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(ROOT)))
def test_imports_go_one_way(path):
    relative = path.relative_to(ROOT)
    top, everywhere = set(imports(path, True)), set(imports(path, False))
    heavy = {
        "tensorflow",
        "tensorflow_probability",
        "tensorflow_datasets",
        "sklearn",
        "PIL",
        "jax",
        "torch",
    }
    if relative.parts[:2] != ("twostage", "data") and relative.name != "export.py":
        assert not {name.split(".")[0] for name in top} & heavy
    if relative.parts[0] == "callbacks":
        assert {name.split(".")[0] for name in top} <= {
            "",
            "keras",
            "numpy",
        } | sys.stdlib_module_names
        assert not any(name.startswith("twostage") for name in everywhere)
        return
    if relative.name not in ("recipes.py", "evaluation.py", "measures.py", "planar.py"):
        assert not any(name.split(".")[0] == "callbacks" for name in everywhere)
    part = (
        "cli"
        if relative.name == "__main__.py"
        else relative.parts[1].removesuffix(".py")
    )
    if part == "__init__":
        return
    allowed = set(BELOW[: BELOW.index(part) + 1] if part in BELOW else []) | FREE.get(
        part, set()
    )
    used = {name.split(".")[1] for name in everywhere if name.startswith("twostage.")}
    assert used - {"VAE"} <= allowed, f"{relative} imports {sorted(used - allowed)}"


def test_the_command_line_needs_no_framework():
    script = (
        "import sys; from twostage import cli\n"
        "try: cli.stage1(['--help'])\n"
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
