"""The guide's examples run as they stand, and do what they say; no link of any page
leads nowhere.
"""

import importlib.util
import re
from pathlib import Path

import keras
import numpy as np
import pytest

ROOT = Path(__file__).parents[1]
PAGES = [*sorted(ROOT.glob("*.md")), *sorted((ROOT / "docs").rglob("*.md"))]
GUIDE = (ROOT / "docs" / "callbacks.md").read_text()
BLOCKS = re.findall(r"## (.*?)\n.*?```python\n(.*?)```", GUIDE, re.S)


@pytest.mark.parametrize("title, code", BLOCKS, ids=[title[:20] for title, _ in BLOCKS])
def test_example(title, code):
    if "TensorFlow" in title and keras.backend.backend() != "tensorflow":
        pytest.skip("the example's train_step is TensorFlow's")
    keras.config.enable_unsafe_deserialization()
    scope = {}
    exec(code, scope)
    history = scope["history"]
    assert all(
        len(values) == 3 and np.isfinite(values).all() for values in history.values()
    )
    wanted = {
        "keras.io": "active_latents",
        "functional": "variance_law",
        "Heads": "kl_latent_median",
        "Plain vectors": "posterior_variance_max",
        "this project": "gamma",
    }
    assert len([line for line in code.splitlines() if line]) < 20 and (
        "twostage" in code
    ) == ("this project" in title)
    assert next(key for word, key in wanted.items() if word in title) in history
    if "gamma" in history:
        assert 0 < history["gamma"][-1] < 1


def test_table_names_every_callback_and_what_it_logs():
    import callbacks

    for name in callbacks.__all__:
        assert f"| `{name}(" in GUIDE


def test_every_link_leads_somewhere():
    linked = set()
    for page in PAGES:
        for target in re.findall(r"\]\(([^)\s]+)\)", page.read_text()):
            path, _, heading = target.partition("#")
            file = (page.parent / path).resolve() if path else page
            assert target.startswith("https://") or file.exists(), (
                f"{page.name}: {target}"
            )
            assert not heading or heading in _anchors(file), f"{page.name}: {target}"
            linked.add(file)
    kept = {file.resolve() for file in (ROOT / "docs").rglob("*") if file.is_file()}
    assert kept <= linked, f"no page leads to {kept - linked}"


COMMAND = r"(?:`|^|=jax )(?:twostage|python -m twostage) ([a-z\d-]+)(?: ([a-z_]+))?"


def test_every_command_exists():
    from twostage.cli.main import COMMANDS
    from twostage.experiments.runner import NAMES

    table = (ROOT / "docs" / "results.md").read_text().partition("| run so far |")[2]
    rows = re.findall(r"^\| `([a-z_]+)", table.partition("\n\n")[0], re.M)
    assert len(rows) > 10 and set(rows) <= set(NAMES)
    named = set()
    for page in PAGES:
        for command, argument in re.findall(COMMAND, page.read_text(), re.M):
            assert command in COMMANDS, f"{page.name}: {command}"
            if command == "experiment" and argument:
                assert argument in NAMES, f"{page.name}: {argument}"
            named.add(command)
    assert {"sample", "evaluate", "export", "data", "experiment"} <= named


def test_every_module_exists():
    """What the pages name as `twostage.a.b` is a module, or a module's name."""
    for page in PAGES:
        names = re.findall(r"`((?:twostage|callbacks)[.\w]*\.\w+)", page.read_text())
        for name in names:
            module, _, attribute = name.rpartition(".")
            found = importlib.util.find_spec(name) or hasattr(
                importlib.import_module(module), attribute
            )
            assert found, f"{page.name}: {name}"


def test_walks_name_files_and_functions_that_exist():
    text = (ROOT / "CONTRIBUTING.md").read_text()
    walks = text.partition("## Three walks through the code")[2]
    steps = re.findall(r"`([\w/]+\.py)`(?:,\s+`([\w.]+)`)?", walks)
    assert len(steps) > 30 and len(re.findall(r"^\d+\. ", walks, re.M)) > 24
    for file, name in steps:
        path = ROOT / file if (ROOT / file).exists() else ROOT / "twostage" / file
        assert path.exists(), file
        own = name.rpartition(".")[2]
        source = path.read_text()
        found = re.search(rf"\b(?:def|class) {own}\b|import {own}\b", source)
        assert not name or found, f"{file}: {name}"


def _anchors(page):
    """Of a page's headings: lower case, without punctuation, hyphens for spaces."""
    return [
        re.sub(r"[^\w -]", "", heading.lower()).replace(" ", "-")
        for heading in re.findall(r"^#+ (.*)$", page.read_text(), re.M)
    ]
