"""The guide's examples run as they stand, and do what they say; no link of any page
leads nowhere.
"""

import ast
import collections
import importlib.util
import re

import keras
import numpy as np
import pytest
from keras import layers, ops
from sources import ROOT, needs_sources

PAGES = [*sorted(ROOT.glob("*.md")), *sorted((ROOT / "docs").rglob("*.md"))]
GUIDE = (ROOT / "docs" / "reference" / "callbacks.md").read_text()
SECTIONS = [section.split("\n", 1) for section in GUIDE.split("\n## ")[1:]]
BLOCKS = [
    (title, code)
    for title, text in SECTIONS
    for code in re.findall(r"```python\n(.*?)```", text, re.S)
]


ROWS = re.findall(r"^\| (.*?) \| `([A-Z]\w+\(.*\))` \|$", GUIDE, re.M)
SIDE = 4
LATENTS = 3


def images(rows=60):
    generator = np.random.default_rng(0)
    return generator.random((rows, SIDE, SIDE, 1)).astype("float32")


class KerasIoVAE(keras.Model):
    """An encoder with three outputs and a decoder, as on keras.io, on any backend."""

    def __init__(self):
        super().__init__()
        pixels = keras.Input((SIDE, SIDE, 1))
        flat = layers.Flatten()(pixels)
        heads = [layers.Dense(LATENTS)(flat), layers.Dense(LATENTS)(flat)]
        self.encoder = keras.Model(pixels, [*heads, Draw()(heads)])
        z = keras.Input((LATENTS,))
        drawn = layers.Dense(SIDE * SIDE, "sigmoid")(z)
        self.decoder = keras.Model(z, layers.Reshape((SIDE, SIDE, 1))(drawn))

    def call(self, x):
        mean, log_var, z = self.encoder(x)
        kl = ops.sum(mean**2 + ops.exp(log_var) - log_var - 1, axis=-1) / 2
        return self.decoder(z), kl

    def compute_loss(self, x, y, y_pred, sample_weight=None, training=True):
        decoded, kl = y_pred
        return 50 * ops.mean(ops.sum((x - decoded) ** 2, (1, 2, 3))) + ops.mean(kl)


class Draw(layers.Layer):
    def __init__(self):
        super().__init__()
        self.seed = keras.random.SeedGenerator(0)

    def call(self, heads):
        noise = keras.random.normal(ops.shape(heads[0]), seed=self.seed)
        return heads[0] + ops.exp(heads[1] / 2) * noise


@pytest.mark.parametrize("title, code", BLOCKS, ids=[title[:20] for title, _ in BLOCKS])
def test_example(title, code, tmp_path, monkeypatch):
    if "TensorFlow" in title and keras.backend.backend() != "tensorflow":
        pytest.skip("the example's train_step is TensorFlow's")
    monkeypatch.chdir(tmp_path)
    scope = {"x": images(), "vae": KerasIoVAE()}
    scope["vae"].compile("adam")
    exec(code, scope)
    history = scope["history"]
    for values in history.values():
        assert len(values) == 3 and np.isfinite(values).all()
    wanted = {
        "Watch": "variance_law",
        "train_step": "active_latents",
        "functional": "variance_law",
        "free bits": "posterior_variance_max",
        "this project": "gamma",
    }
    assert ("twostage" in code) == ("this project" in title)
    assert next(key for word, key in wanted.items() if word in title) in history
    if "gamma" in history:
        assert 0 < history["gamma"][-1] < 1
    if "Watch" in title:
        assert len([line for line in code.splitlines() if line]) == 4
        assert len(list((tmp_path / "images").iterdir())) == 6
    if "functional" in title:
        model = scope["model"]
        model.save(tmp_path / "model.keras")
        again = keras.saving.load_model(tmp_path / "model.keras")
        gammas = [float(m.layers[-1].gamma) for m in (model, again)]
        assert gammas == [pytest.approx(history["gamma"][-1])] * 2


def inverse_sigmoid(images):
    inside = ops.clip(images, 1e-3, 1 - 1e-3)
    return ops.log(inside / (1 - inside))


class Stranger:
    """A model that has what a row of the table says, and nothing else."""

    def __init__(self, has):
        vae = KerasIoVAE()
        three, encoder = vae.encoder, lambda x: vae.encoder(np.asarray(x))[:2]
        self.truth = lambda x: [ops.convert_to_numpy(part) for part in encoder(x)]
        self.encoder, self.decoder = encoder, vae.decoder
        if "z, mean" in has:
            self.encoder = lambda x: [three(x)[2], *three(x)[:2]]
        elif "dict" in has:
            self.encoder = lambda x: dict(
                zip(["z_mean", "z_log_var"], encoder(x), strict=True)
            )
        elif "namedtuple" in has:
            fields = collections.namedtuple("Fields", "z_log_var z_mean")
            self.encoder = lambda x: fields(*encoder(x)[::-1])
        elif "scale" in has:
            self.scale = lambda x: x / np.float32(255)
            self.encoder = lambda x: encoder(255 * x)
        elif "by 255" in has:
            self.encoder = lambda x: encoder(255 * x)
        elif "returns a standard" in has:
            self.encoder = lambda x: [encoder(x)[0], ops.exp(encoder(x)[1] / 2)]
        elif "log standard" in has:
            self.encoder = lambda x: [encoder(x)[0], encoder(x)[1] / 2]
        elif "halves" in has:
            self.encoder = lambda x: ops.concatenate(encoder(x), axis=-1)
        elif "`encode`" in has:
            self.encode, self.encoder = encoder, None
        elif "by name" in has:
            self.encoder = lambda x: encoder(x["image"])
        elif "several inputs" in has or "labels" in has:
            self.encoder = lambda x: encoder(x[0])
        if "takes labels" in has:
            self.decoder = lambda x: vae.decoder(x[0]) * x[1][:, None, None]
        elif "[-1, 1]" in has:
            self.encoder = lambda x: encoder((x + 1) / 2)
            self.decoder = lambda z: 2 * vae.decoder(z) - 1
        elif "logits" in has:
            self.decoder = lambda z: inverse_sigmoid(vae.decoder(z))


class Batches(keras.utils.PyDataset):
    num_batches = 6

    def __getitem__(self, i):
        return images()[10 * i : 10 * i + 10], np.zeros(10)


@pytest.mark.parametrize("has, line", ROWS)
def test_lines_of_the_table(has, line, tmp_path, monkeypatch):
    """Each line, in a model that is as its row says, logs the right variance law."""
    import itertools

    import callbacks

    monkeypatch.chdir(tmp_path)
    x = images()
    scope = {
        **vars(callbacks),
        "keras": keras,
        "numpy": np,
        "itertools": itertools,
        "x": x,
        "x_val": x[:30],
        "labels": np.ones((60, 1), "float32"),
        "dataset": Batches(),
        "generator": (batch for batch in Batches()),
    }
    watch, model, logs = eval(line, scope), Stranger(has), {}
    watch.set_model(model)
    watch.on_train_begin()
    if isinstance(watch, callbacks.VarianceLaw):
        watch.on_epoch_begin(0)
    watch.on_epoch_end(0, logs)
    if "ImageGrid" in line:
        assert len(list((tmp_path / "images").iterdir())) == 2
        return
    mean, log_var = model.truth(x[:30] if "x_val" in line else x)
    key = f"{watch.prefix}variance_law"
    expected = (mean.var(0) + np.exp(log_var).mean(0)).mean()
    assert logs[key] == pytest.approx(expected, rel=1e-5)


def test_table_names_every_callback_and_what_it_logs():
    import callbacks

    assert len(ROWS) > 12
    for name in callbacks.__all__:
        assert f"| `{name}(" in GUIDE
        keys = getattr(getattr(callbacks, name), "keys", ())
        for key in keys:
            prefix = "posterior_variance" if name == "LatentMoments" else ""
            assert f"`{key.removeprefix(prefix)}`" in GUIDE or f"`{key}`" in GUIDE


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
    from twostage.experiments.catalog import EXPERIMENTS

    table = (
        (ROOT / "docs" / "notes" / "results.md")
        .read_text()
        .partition("| run so far |")[2]
    )
    rows = re.findall(r"^\| `([a-z_]+)", table.partition("\n\n")[0], re.M)
    assert len(rows) > 10 and set(rows) <= EXPERIMENTS.keys()
    named = set()
    for page in PAGES:
        for command, argument in re.findall(COMMAND, page.read_text(), re.M):
            assert command in COMMANDS, f"{page.name}: {command}"
            if command == "experiment" and argument:
                assert argument in EXPERIMENTS, f"{page.name}: {argument}"
            named.add(command)
    assert {"sample", "evaluate", "export", "data", "experiment"} <= named


def test_the_reference_has_every_command_and_its_help():
    from twostage.cli.main import COMMANDS

    page = (ROOT / "docs" / "reference" / "command_line.md").read_text()
    rows = re.findall(r"^\| \[`twostage ([a-z\d-]+)`\]\(#([a-z\d-]+)\)", page, re.M)
    assert rows == [(name, name) for name in COMMANDS]
    assert set(COMMANDS) <= set(re.findall(r"^<!-- help: ([a-z\d-]+) -->", page, re.M))


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


def named_lines(text):
    """(file, function or class) of each "`file.py`, `one`, `another`" in a text."""
    found = re.findall(r"`([\w/]+\.py)`((?:,\s+`[\w.]+`)*)", text)
    return [(file, re.findall(r"[\w.]+", names)) for file, names in found]


def check_lines(lines):
    for file, names in lines:
        path = ROOT / file if (ROOT / file).exists() else ROOT / "twostage" / file
        assert path.exists(), file
        source = path.read_text()
        for name in names:
            own = name.rpartition(".")[2]
            found = re.search(rf"\b(?:def|class) {own}\b|import {own}\b", source)
            assert found, f"{file}: {name}"


@needs_sources
def test_walks_name_files_and_functions_that_exist():
    text = (ROOT / "CONTRIBUTING.md").read_text()
    walks = text.partition("## Three walks through the code")[2]
    lines = named_lines(walks)
    assert len(lines) > 30 and len(re.findall(r"^\d+\. ", walks, re.M)) > 24
    check_lines(lines)


@needs_sources
@pytest.mark.parametrize("name", ["train", "sample", "evaluate"])
def test_a_command_names_the_lines_that_matter(name):
    path = ROOT / "twostage" / "cli" / f"{name}.py"
    lines = named_lines(ast.get_docstring(ast.parse(path.read_text())))
    assert len(lines) >= 5 and all(names for _, names in lines)
    check_lines(lines)


def _anchors(page):
    """Of a page's headings: lower case, without punctuation, hyphens for spaces."""
    return [
        re.sub(r"[^\w -]", "", heading.lower()).replace(" ", "-")
        for heading in re.findall(r"^#+ (.*)$", page.read_text(), re.M)
    ]
