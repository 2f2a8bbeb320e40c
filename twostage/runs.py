"""The run folder: created once, locked while it is used, resumed or refused when it exists. Files appear whole or not at all."""

import dataclasses
import fcntl
import io
import json
import os
import platform
import sys
import time
import zipfile
from importlib import metadata
from pathlib import Path

import keras
import numpy as np

from twostage import config as configs
from twostage.errors import InputError

PACKAGES = ("two-stage-vae", "keras", "tensorflow", "jax", "numpy", "pillow", "scikit-learn")


class Stage:
    """`runs/NAME/stage1` or `stage2`: config.json, environment.json, history.csv, checkpoints/, images/, model.keras.

    Args:
        run: The run folder.
        number: 1 or 2.
        resume: Whether to go on with what is there.

    Raises:
        InputError: the stage exists and `resume` is off, or there is nothing to resume.
    """

    def __init__(self, run, number, resume=False):
        self.run, self.number, self.resume = Path(run), number, resume
        self.path = self.run / f"stage{number}"
        exists = (self.path / "config.json").exists()
        command = f"python train_stage{number}.py"
        if exists and not resume:
            raise InputError(
                f"{self.path} exists: go on with it by `{command} --run {self.run} --resume`, "
                f"or start another by `{command} --run {_free_name(self.run)}`"
            )
        if resume and not exists:
            raise InputError(f"received --resume, but {self.path} does not exist: start it by `{command} --run {self.run}`")

    @property
    def command(self):
        return f"python train_stage{self.number}.py --run {self.run}"

    def saved_config(self):
        """(preset, config) as the stage was started."""
        saved = json.loads((self.path / "config.json").read_text())
        return saved["preset"], configs.build((configs.Stage1Config, configs.Stage2Config)[self.number - 1], saved["config"])

    def begin(self, preset, config, data):
        """Creates the folder, or checks that what is resumed has the same config (only `epochs` may grow) and the same data."""
        self.path.mkdir(parents=True, exist_ok=True)
        self._lock()
        if self.resume:
            _, saved = self.saved_config()
            changed = configs.differences(dataclasses.replace(saved, epochs=config.epochs), config)
            if changed:
                raise InputError(f"{self.path} was started with other settings ({'; '.join(changed)}): drop those flags, or start another run")
            if json.loads((self.path / "environment.json").read_text())["data"] != data:
                raise InputError(f"{self.path} was started on other data than {data}: give the same --data, or start another run")
        (self.path / "checkpoints").mkdir(exist_ok=True)
        (self.path / "images").mkdir(exist_ok=True)
        write_json(self.path / "environment.json", {**environment(), "data": data})
        write_json(self.path / "config.json", {"preset": preset, "config": dataclasses.asdict(config)})

    def _lock(self):
        self._lock_file = open(self.path / ".lock", "w")  # held until `end`
        try:
            fcntl.flock(self._lock_file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            raise InputError(f"{self.path} is in use by another process: wait for it, or start another run") from None

    def end(self):
        """Lets go of the lock. The end of the process does too, however it comes."""
        self._lock_file.close()

    def save_model(self, name, model):
        """Writes `name` (a `.keras` file) whole."""
        aside = self.path / f"part-{name}"
        model.save(aside)
        _replace(aside, self.path / name)

    def restore(self, model):
        """Loads the newest whole checkpoint into a compiled model. Returns (epochs done, history rows); (0, []) without one."""
        model.optimizer.build(model.trainable_variables)
        for path in sorted((self.path / "checkpoints").glob("epoch-*.npz"), reverse=True):
            try:
                with np.load(path, allow_pickle=False) as arrays:
                    state = {name: arrays[name] for name in arrays.files}  # reading checks each array's checksum
                progress = json.loads(str(state.pop("progress")))
            except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile) as error:
                print(f"{path} is damaged ({error}); the checkpoint before it is used", file=sys.stderr)
                continue
            variables = _variables(model)
            if {name: v.shape for name, v in variables.items()} != {name: a.shape for name, a in state.items()}:
                raise InputError(f"{path} holds the weights of another network: it was written by another version; start another run")
            for name, variable in variables.items():
                variable.assign(state[name])
            return progress["epoch"], progress["rows"]
        return 0, []


class Checkpoint(keras.callbacks.Callback):
    """After each epoch: weights, optimiser, seeds and history into `checkpoints/`, and the whole history into history.csv.

    Goes last in the list, after the callbacks whose figures it keeps. The two newest checkpoints stay.
    """

    def __init__(self, stage, rows):
        super().__init__()
        self.stage, self.rows = stage, list(rows)

    def on_epoch_end(self, epoch, logs=None):
        self.rows.append({"epoch": epoch + 1, **{name: float(value) for name, value in (logs or {}).items()}})
        state = {name: keras.ops.convert_to_numpy(v) for name, v in _variables(self.model).items()}
        buffer = io.BytesIO()
        np.savez(buffer, progress=json.dumps({"epoch": epoch + 1, "rows": self.rows}), **state)
        folder = self.stage.path / "checkpoints"
        write_whole(folder / f"epoch-{epoch + 1:05d}.npz", buffer.getbuffer())
        for old in sorted(folder.glob("epoch-*.npz"))[:-2]:
            old.unlink()
        write_whole(self.stage.path / "history.csv", _csv(self.rows))


def write_whole(path, content):
    """Writes text or bytes so that a reader, or a crash, finds the old file or the new one."""
    path = Path(path)
    aside = path.with_name(f"part-{path.name}")
    aside.write_bytes(content.encode() if isinstance(content, str) else content)
    _replace(aside, path)


def write_json(path, content):
    write_whole(path, json.dumps(content, indent=2) + "\n")


def environment():
    """What a result depends on beside its config."""
    versions = {}
    for package in PACKAGES:
        try:
            versions[package] = metadata.version(package)
        except metadata.PackageNotFoundError:
            versions[package] = None
    return {
        "backend": keras.backend.backend(), "versions": versions, "python": platform.python_version(),
        "platform": platform.platform(), "command": " ".join(sys.argv), "started": time.strftime("%Y-%m-%d %H:%M:%S %z"),
    }


def _replace(aside, path):
    with open(aside, "rb+") as file:
        os.fsync(file.fileno())
    os.replace(aside, path)


def _variables(model):
    """All state of a training run: weights and seeds of the model, then the optimiser's, numbered: Keras's names depend on the process."""
    return {f"{i:04d}": variable for i, variable in enumerate([*model.variables, *model.optimizer.variables])}


def _csv(rows):
    names = list(rows[-1])
    return "\n".join([",".join(names), *(",".join(str(row.get(name, "")) for name in names) for row in rows)]) + "\n"


def _free_name(run):
    return next(name for i in range(2, 10_000) if not (name := run.with_name(f"{run.name}-{i}")).exists())
