"""Records everything that a small run of both stages produces, or compares two records.

    python benchmarks/golden_record.py record golden/tensorflow
    python benchmarks/golden_record.py compare golden/tensorflow other/tensorflow

A record holds the history, the weights, the samples of two seeds and the evaluation of
two epochs of digits, every help text, and the error of every mistake listed below.
Numbers must be equal, bit for bit. Texts may differ: the comparison prints how.
"""

import argparse
import csv
import difflib
import hashlib
import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np

ROOT = Path(__file__).parents[1]
COMMANDS = ("train-stage1", "train-stage2", "sample", "evaluate", "export", "data")
TIMES = {
    "seconds",
    "seconds_per_step",
    "images_per_second",
    "minutes",
    "started",
    "finished",
}
MISTAKES = (
    ("train-stage1", "--preset", "minst", "--run", "new"),
    ("train-stage1", "--data", "empty", "--run", "new"),
    ("train-stage1", "--data", "sizes", "--run", "new"),
    ("train-stage1", "--data", "x.npy", "--run", "new"),
    ("train-stage1", "--data", "nowhere", "--run", "new"),
    ("train-stage1", "--data", "unequal.npz", "--run", "new"),
    ("train-stage1", "--data", "x.npy", "--network", "beta_sigma", "--pad", "32"),
    ("train-stage1", "--batch-size", "5000", "--run", "new"),
    ("train-stage1", "--gamma", "magic", "--run", "new"),
    ("train-stage1", "--gamma", "fixed", "--gamma-start", ".1", "--gamma-from", "run"),
    ("train-stage1", "--gamma", "scheduled", "--run", "new"),
    ("train-stage1", "--gamma-from", "run", "--run", "new"),
    ("train-stage1", "--gamma-start", "1e-4", "--run", "new"),
    ("train-stage1", "--posterior", "none", "--run", "new"),
    ("train-stage1", "--spectral-norm", "--run", "new"),
    ("train-stage1", "--epochs", "0", "--run", "new"),
    ("train-stage1", "--epochs", "ten", "--run", "new"),
    ("train-stage1", "--epoch", "3", "--run", "new"),
    ("train-stage1", "--seed", "4294967296", "--run", "new"),
    ("train-stage1", "--resume", "--run", "new"),
    ("train-stage1", "--run", "run"),
    ("train-stage1", "--run", "run", "--resume", "--epochs", "9"),
    ("train-stage1", "--run", "run", "--resume", "--kl-weight", "2"),
    ("train-stage1", "--run", "x.npy/run"),
    ("train-stage2", "--run", "new"),
    ("train-stage2", "--run", "run"),
    ("train-stage2", "--run", "run", "--preset", "mnist"),
    ("sample", "--run", "new"),
    ("sample", "--run", "run", "--n", "4294967297"),
    ("sample", "--run", "run", "--out", "empty"),
    ("evaluate",),
    ("evaluate", "--run", "new"),
    ("evaluate", "--run", "run", "--seed", "-1"),
    ("evaluate", "--run", "run", "--weights", "graph.pb"),
    ("evaluate", "--compare", "run", "run"),
    ("export", "--run", "new"),
    ("export", "--run", "run", "--mixture", "-1"),
    ("data", "nowhere"),
    ("data", "x.npy", "--side", "-1"),
)


def call(folder, command, *arguments):
    """The finished process of one command, run in `folder`."""
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "COLUMNS": "100"}
    return subprocess.run(
        [sys.executable, "-m", "twostage", command, *arguments],
        cwd=folder,
        env=environment,
        capture_output=True,
        text=True,
    )


def succeed(folder, *command):
    done = call(folder, *command)
    if done.returncode:
        raise SystemExit(f"{' '.join(command)} failed:\n{done.stderr[-3000:]}")


def record(out):
    """Trains, samples and evaluates; writes numbers.json, help.txt and errors.txt."""
    out.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as folder:
        folder = Path(folder)
        short = ("--run", "run", "--epochs", "2", "--deterministic")
        succeed(folder, "train-stage1", *short, "--watch-every", "1")
        numbers = {"first_stage_samples": samples(folder / "run")}
        succeed(folder, "train-stage2", *short, "--watch-every", "1")
        succeed(folder, "evaluate", "--run", "run")
        numbers |= collected(folder / "run")
        (out / "numbers.json").write_text(json.dumps(numbers, indent=1, sort_keys=True))
        (out / "help.txt").write_text("\n".join(helps(folder)))
        make_bad_data(folder)
        (out / "errors.txt").write_text("\n".join(errors(folder)))


def collected(run):
    numbers = {"samples": samples(run)}
    for stage in ("stage1", "stage2"):
        with open(run / stage / "history.csv", encoding="utf-8", newline="") as file:
            rows = [drop_times(row) for row in csv.DictReader(file)]
        numbers[f"{stage} history"] = rows
    for path in sorted(run.glob("stage*/*.keras")):
        numbers[str(path.relative_to(run))] = weights(path)
    for path in sorted(run.glob("evaluation/*.json")):
        result = json.loads(path.read_text())
        result.pop("manifest")
        numbers["evaluation"] = drop_times(result)
    numbers["results.json"] = drop_times(json.loads((run / "results.json").read_text()))
    return numbers


def samples(run):
    import tensorflow as tf

    model = tf.saved_model.load(str(run / "saved_model"))
    return {str(seed): digest(model.sample(16, seed).numpy()) for seed in (0, 1)}


def weights(path):
    """The digest of each array in a `.keras` file."""
    import io
    import zipfile

    import h5py

    found = {}

    def visit(name, item):
        if isinstance(item, h5py.Dataset):
            found[name] = digest(np.asarray(item))

    with zipfile.ZipFile(path) as archive:
        content = io.BytesIO(archive.read("model.weights.h5"))
    with h5py.File(content) as file:
        file.visititems(visit)
    return found


def digest(array):
    array = np.ascontiguousarray(array)
    return hashlib.sha256(str(array.shape).encode() + array.tobytes()).hexdigest()[:24]


def drop_times(value):
    if isinstance(value, dict):
        return {
            key: drop_times(item) for key, item in value.items() if key not in TIMES
        }
    return [drop_times(item) for item in value] if isinstance(value, list) else value


def helps(folder):
    for command in COMMANDS:
        yield f"$ {command} --help\n{call(folder, command, '--help').stdout}"


def make_bad_data(folder):
    from PIL import Image

    for name in ("empty", "sizes"):
        (folder / name).mkdir()
    for i in range(40):
        Image.new("RGB", (16, 16 + i % 2)).save(folder / "sizes" / f"{i}.png")
    np.save(folder / "x.npy", np.full((200, 28, 28), 255, "uint8"))
    np.savez(
        folder / "unequal.npz",
        x_train=np.zeros((200, 32, 32, 3), "uint8"),
        x_test=np.zeros((20, 28, 28), "uint8"),
    )


def errors(folder):
    for command, *arguments in MISTAKES:
        done = call(folder, command, *arguments)
        text = done.stderr.strip().replace(str(folder), "FOLDER")
        yield f"$ {' '.join((command, *arguments))}\n[{done.returncode}] {text}"


def compare(one, other):
    """Prints what differs; status 1 if a number does."""
    sys.path.insert(0, str(ROOT))
    from twostage.old_names import current_names

    first, second = (
        current_names(drop_times(json.loads((path / "numbers.json").read_text())))
        for path in (one, other)
    )
    differing = sorted(
        key for key in first.keys() | second.keys() if first.get(key) != second.get(key)
    )
    for name in ("help.txt", "errors.txt"):
        texts = [(path / name).read_text().splitlines() for path in (one, other)]
        print("\n".join(difflib.unified_diff(*texts, name, name, lineterm="", n=0)))
    print(f"numbers that differ: {', '.join(differing) or 'none'}")
    return bool(differing)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("action", choices=("record", "compare"))
    parser.add_argument("folders", nargs="+", type=Path)
    options = parser.parse_args()
    if options.action == "compare":
        sys.exit(compare(*options.folders))
    record(*options.folders)
