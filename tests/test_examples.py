"""The examples run as they stand, and their numbers are what they say."""

import ast
import os
import re
import subprocess
import sys
from pathlib import Path

import keras
import numpy as np
import pytest
from PIL import Image

import twostage

ROOT = Path(__file__).parents[1]
EXAMPLES = ROOT / "examples"
ON_TENSORFLOW = keras.backend.backend() == "tensorflow"
EPOCHS, WARMUP_EPOCHS = 8, 5
KEPT = 200_000  # bytes of the notebook, with its outputs


def run(command, folder):
    """What a command printed, on the backend of the tests."""
    done = subprocess.run(
        [sys.executable, *map(str, command)],
        capture_output=True,
        text=True,
        cwd=folder,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
    )
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
    return done.stdout


def tables(printed):
    """{number of the VAE: {column: an array of a value per epoch}}."""
    found = {}
    for number, text in re.findall(r"^(\d)\. (.*?)\n\n", printed, re.M | re.S):
        lines = [line.split() for line in text.splitlines()[1:] if "  " in line]
        if lines:
            values = np.array(lines[1:], "float64").T
            found[int(number)] = dict(zip(lines[0], values, strict=True))
    return found


@pytest.mark.slow
def test_callbacks_in_three_vaes(tmp_path):
    script = EXAMPLES / "callbacks_in_three_vaes.py"
    printed = run([script, "--epochs", EPOCHS], tmp_path)
    logged = tables(printed)
    assert sorted(logged) == ([1, 2, 3] if ON_TENSORFLOW else [2, 3])
    for columns in logged.values():
        assert columns["epoch"].tolist() == list(range(1, EPOCHS + 1))
        assert columns["loss"][-1] < columns["loss"][0]
        assert 0.6 < columns["variance_law"][-1] < 1.6
        assert 3 <= columns["active_latents"][-1] <= 8
    # the running minimum never rises; a data set's standard deviation bounds it
    gamma = logged[2]["gamma"]
    assert (np.diff(gamma) <= 0).all() and 0.1 < gamma[-1] < 0.25 < gamma[0] < 0.5
    # the weight of an epoch's last step, 18 steps an epoch
    last_steps = 18 * np.arange(1, EPOCHS + 1) - 1
    weights = np.minimum(last_steps / (18 * WARMUP_EPOCHS), 1)
    np.testing.assert_allclose(logged[3]["kl_weight"], weights, rtol=1e-3)
    assert re.search(r"One NaN in the data: step \d+: not finite: .*1 NaN", printed)
    assert "gamma" not in logged.get(1, {})


@pytest.mark.slow
def test_own_images_of_the_patches(tmp_path):
    printed = run([EXAMPLES / "own_images.py", "--out", "out"], tmp_path)
    out = tmp_path / "out"
    assert len(list((out / "images").glob("*.png"))) == 800
    explained = float(re.search(r"explained: (-?[\d.]+)", printed)[1])
    assert 0.7 < explained < 0.99
    contrast = float(re.search(r"contrast of samples: ([\d.]+)", printed)[1])
    assert 0.4 < contrast < 1.5
    drawing = np.asarray(Image.open(out / "images.png"))
    assert drawing.ndim == 3 and drawing.std() > 30
    model = twostage.load(out / "model")
    assert model.sample(3, seed=1).shape == (3, 16, 16, 3)


def test_own_images_of_a_folder_without_images(tmp_path):
    (tmp_path / "empty").mkdir()
    done = subprocess.run(
        [sys.executable, str(EXAMPLES / "own_images.py"), "empty"],
        capture_output=True,
        text=True,
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
    )
    assert done.returncode == 1 and "Traceback" not in done.stderr
    assert "empty, which holds no image" in done.stderr


@pytest.mark.slow
def test_a_row_is_reproduced_and_kept(tmp_path):
    """500 steps suffice for this row: its full length has -1.060 +- .003."""
    script = EXAMPLES / "reproduce_a_row.py"
    printed = run([script, "--out", "rows"], tmp_path)
    assert re.search(r"paper +-1\.14 \+- \.02", printed)
    assert re.search(r"ours, 20,000 steps, ten seeds +-1\.060 \+- \.003", printed)
    number = float(re.search(r"here, 500 steps, seed 0 +(-?[\d.]+)", printed)[1])
    assert number == pytest.approx(-1.06, abs=0.03)
    kept = tmp_path / "rows" / "5-epochs"
    assert (kept / "F-VAE_1.0-0.json").exists()
    assert (kept / "results.md").read_text().count("-1.14 +- .02") == 1


def test_numbers_of_a_full_length_are_those_of_the_notes():
    page = (ROOT / "docs" / "notes" / "results" / "berger_sebag.md").read_text()
    source = (EXAMPLES / "reproduce_a_row.py").read_text()
    numbers = ast.literal_eval(re.search(r"^FULL_LENGTH = (.*)$", source, re.M)[1])
    assert len(numbers) == 2
    for number in numbers.values():
        assert page.count(f"**{number}**") == 1


@pytest.mark.slow
def test_notebook_runs_and_prints_its_numbers(tmp_path, monkeypatch):
    """By nbmake, in a copy, whose outputs are then those of this run."""
    pytest.importorskip("tensorflow")  # for the export
    copy = tmp_path / "quickstart.ipynb"
    copy.write_bytes((EXAMPLES / "quickstart.ipynb").read_bytes())
    flags = ["--nbmake", "--nbmake-timeout=900", "--overwrite", "-n", "0"]
    options = ["-p", "no:cacheprovider", "-o", "addopts=", "--rootdir", tmp_path]
    run(["-m", "pytest", *flags, *options, copy], tmp_path)
    check_notebook(copy)


def test_kept_outputs_of_the_notebook():
    path = EXAMPLES / "quickstart.ipynb"
    assert path.stat().st_size < KEPT
    assert path.read_text().count('"image/png"') == 3
    check_notebook(path)


def check_notebook(path):
    """Training, stage 2 and the law, as the notebook's outputs have them."""
    import nbformat

    cells = nbformat.read(path, as_version=4).cells
    outputs = [output for cell in cells for output in cell.get("outputs", ())]
    assert not [one for one in outputs if one.output_type == "error"]
    assert sum("image/png" in one.get("data", {}) for one in outputs) == 3
    streams = [one.text for one in outputs if one.get("name") == "stdout"]
    frames = [one.data.get("text/plain", "") for one in outputs if "data" in one]
    text = "\n".join([*streams, *frames])
    law = float(re.search(r"variance law ([\d.]+)", text)[1])
    assert 0.8 < law < 1.3
    assert 0.005 < float(re.search(r"test error ([\d.]+)", text)[1]) < 0.03
    rows = re.findall(r"^([A-Z].*?) +297 +([\d.]+) ", text, re.M)
    distances = {kind: float(value) for kind, value in rows}
    assert distances["REC"] < min(
        distances[kind] for kind in distances if "GEN" in kind
    )
    assert "(4, 8, 8, 1)" in text and "['model', 'saved_model']" in text
