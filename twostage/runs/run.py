"""The run folder: created once, locked while it is used, resumed or refused when it
exists.
"""

import csv
import dataclasses
import fcntl
from pathlib import Path

from twostage import presets
from twostage.config import Stage1Config, Stage2Config, build, differences
from twostage.errors import InputError
from twostage.models import serialization
from twostage.system import files
from twostage.system.provenance import provenance


def open_stage(number, changes, preset=None, run=None, resume=False):
    """(stage, config) of a command, before anything is written or any framework loaded.

    Args:
        number: 1 or 2; stage 2 needs a finished stage 1 in the run folder, and takes
            the preset from it.
        changes: Settings that differ from the preset's, by field name; on a resumed
            stage, from those it was started with.
        preset: Name of the preset; None: digits, or what the run says.
        run: The run folder; None: runs/PRESET.
        resume: Whether to go on with what is there.

    Raises:
        InputError: an unknown preset or setting, a stage that exists already or is
            missing.
    """
    run = Path(run or default_run(preset))
    preset = finished_stage1(run, preset).preset if number == 2 else preset
    stage = Stage(run, number, preset, resume)
    if not resume:
        config = presets.resolve(number, stage.preset, **changes)
        if config.gamma_from:
            if "gamma_start" in changes:
                raise InputError(
                    f"received --gamma-start {config.gamma_start:g} with --gamma-from"
                    f" {config.gamma_from}, which tells where gamma starts: drop one of"
                    " them"
                )
            gammas = [
                max(gamma, config.gamma_floor)
                for gamma in recorded_gammas(config.gamma_from, number)
            ]  # one at the floor was recorded in float32, a little below
            config = build(
                type(config),
                {
                    **dataclasses.asdict(config),
                    "gamma_start": gammas[-1] if config.gamma == "fixed" else gammas[0],
                },
            )
        return stage, config
    return stage, build(
        type(stage.saved_config()),
        {**dataclasses.asdict(stage.saved_config()), **changes},
    )


def default_run(preset):
    return f"runs/{preset or 'digits'}"


class Stage:
    """`runs/NAME/stage1` or `stage2`: config.json, environment.json, history.csv,
    checkpoints/, images/, model.keras.

    Args:
        run: The run folder.
        number: 1 or 2.
        preset: Name of the preset; None: digits, or what the folder says.
        resume: Whether to go on with what is there.

    Raises:
        InputError: the stage exists and `resume` is off, or there is nothing to resume,
            or it has another preset.
    """

    def __init__(self, run, number, preset=None, resume=False):
        self.run, self.number, self.resume = Path(run), number, resume
        self.path, self._lock_file = self.run / f"stage{number}", None
        self.command = f"python train_stage{number}.py --run {self.run}"
        saved = (
            self._saved()["preset"] if (self.path / "config.json").exists() else None
        )
        if saved and not resume:
            another = (
                f"python train_stage1.py --preset {saved} --run {_free_name(self.run)}"
            )
            remove = f"remove {self.path} to begin it anew, " if number == 2 else ""
            raise InputError(
                f"{self.path} exists: go on with it by `{self.command} --resume`,"
                f" {remove}or start another run by `{another}` and your other flags,"
                " such as --data"
            )
        if resume and not saved:
            raise InputError(
                f"received --resume, but {self.path} does not exist: start it by the"
                " same command without --resume, or check --run"
            )
        if saved and preset not in (None, saved):
            raise InputError(
                f"{self.path} was started with preset {saved}, received {preset}: drop"
                " --preset, or start another run"
            )
        self.preset = saved or preset or "digits"

    def saved_config(self):
        """The config as the stage was started."""
        return build(
            (Stage1Config, Stage2Config)[self.number - 1],
            self._saved()["config"],
        )

    def _saved(self):
        return files.read_config(self.path / "config.json")

    def begin(self, config, data):
        """Locks the run and creates the stage's folder; checks that what is resumed has
        the same config and data.

        Only `epochs`, `checkpoint_every`, `distribute`, `steps_per_execution` and where
        the data lie may differ.
        """
        self.run.mkdir(parents=True, exist_ok=True)
        self.lock()
        self.path.mkdir(exist_ok=True)
        if self.resume:
            saved = self.saved_config()
            free = {
                name: getattr(config, name)
                for name in (
                    "epochs",
                    "checkpoint_every",
                    "data",
                    "data_dir",
                    "cache",
                    "distribute",
                    "steps_per_execution",
                )
                if hasattr(config, name)
            }
            changed = differences(dataclasses.replace(saved, **free), config)
            if changed:
                raise InputError(
                    f"{self.path} was started with other settings"
                    f" ({'; '.join(changed)}): drop those flags, or start another run"
                )
            self.check_data(data)
            if config.epochs < self.epochs_begun():
                raise InputError(
                    f"{self.path} was trained for {self.epochs_begun()} epochs already,"
                    f" received --epochs {config.epochs}: give at least as many, or"
                    " start another run"
                )
            finished = (self.path / "model.keras").exists()
            if (
                self.number == 1
                and config.epochs > self._newest()[0]
                and (self.run / "stage2").exists()
            ):
                raise InputError(
                    f"{self.run}/stage2 was trained on this stage 1 as it is: remove"
                    f" {self.run}/stage2 first, or start another run"
                )
            if (
                finished and config.epochs > saved.epochs
                # the checkpoint has all of it; a model of fewer epochs than the config
                # says
                # would pass for the finished one
            ):
                (self.path / "model.keras").unlink()
        (self.path / "checkpoints").mkdir(exist_ok=True)
        (self.path / "images").mkdir(exist_ok=True)
        files.write_json(self.path / "environment.json", {**provenance(), "data": data})
        files.write_json(
            self.path / "config.json",
            {"preset": self.preset, "config": dataclasses.asdict(config)},
        )

    def check_data(self, data):
        """Raises `InputError` unless the stage was started on data of this fingerprint."""
        if files.read_config(self.path / "environment.json")["data"] != data:
            raise InputError(
                f"{self.path} was started on other data than {data}: bring those back,"
                " or start another run"
            )

    def epochs_begun(self):
        """Epochs of the newest checkpoint, one that it is in the middle of among them."""
        epoch, step = self._newest()
        return epoch + (step > 0)

    def _newest(self):
        newest = max(
            (path.stem for path in (self.path / "checkpoints").glob("epoch-*.npz")),
            default="epoch-0-step-0",
        )
        _, epoch, _, step = newest.split("-")
        return int(epoch), int(step)

    def gamma_curve(self, config):
        """The gammas that `--gamma scheduled` replays, one an epoch; kept in the
        stage's folder, so that a resumed run needs no other.
        """
        path = self.path / "gamma_schedule.json"
        if not path.exists():
            files.write_json(path, recorded_gammas(config.gamma_from, self.number))
        return files.read_config(path)

    def lock(self):
        """Locks the run, for this process alone.

        Raises:
            InputError: another process has it.
        """
        self._lock_file = open(  # noqa: SIM115
            self.run / ".lock", "w"
        )  # held until `end`; one for both stages, as stage 2 reads stage 1's files
        try:
            fcntl.flock(self._lock_file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            raise InputError(
                f"{self.run} is in use by another process: wait for it, or start"
                " another run"
            ) from None

    def lock_number(self):
        """The lock's file descriptor: a child that inherits it keeps the run locked,
        should this process be killed.
        """
        return self._lock_file.fileno()

    def end(self):
        """Lets go of the lock. The end of the process does too, however it comes."""
        if self._lock_file is not None:
            self._lock_file.close()

    def load_model(self, name="model.keras"):
        """Reads a `.keras` file of this stage, uncompiled.

        Raises:
            InputError: it is damaged.
        """
        return serialization.load_model(
            self.path / name,
            f"remove it, then `{self.command} --resume` writes it again",
        )

    def save_model(self, name, model):
        """Writes `name` (a `.keras` file) whole."""
        serialization.save_model(self.path / name, model)


def finished_stage1(run, preset=None):
    """Stage 1 of a run, for stage 2 to build on."""
    path = Path(run) / "stage1"
    command = f"python train_stage1.py --run {run}" + (
        f" --preset {preset}" if preset else ""
    )
    if not (path / "config.json").exists():
        raise InputError(
            f"{path} does not exist, a finished stage 1 is needed: check --run, or run"
            f" `{command}` with your other flags, such as --data, first"
        )
    if not (path / "model.keras").exists():
        raise InputError(
            f"{path} is not finished: run `python train_stage1.py --run {run} --resume`"
            " first"
        )
    return Stage(run, 1, preset, resume=True)


def finished_stage2(run):
    """Stage 2 of a run, or None."""
    finished = all(
        (Path(run) / "stage2" / name).exists()
        for name in ("config.json", "model.keras", "normalizer.keras")
    )
    return Stage(run, 2, resume=True) if finished else None


def recorded_gammas(run, number):
    """Gamma at the end of each epoch of a stage of a run, from its history.

    Raises:
        InputError: there is no such stage, or its likelihood has no gamma.
    """
    path = Path(run) / f"stage{number}" / "history.csv"
    if not path.exists():
        raise InputError(
            f"received --gamma-from {run}, but {path} does not exist: give the folder"
            f" of a run whose stage {number} was trained"
        )
    with open(path) as file:
        gammas = [
            float(row["gamma"]) for row in csv.DictReader(file) if row.get("gamma")
        ]
    if not gammas:
        raise InputError(
            f"received --gamma-from {run}, but {path} has no gamma: give a run with"
            " --likelihood gaussian"
        )
    return gammas


def _free_name(run):
    run = run if run.name.strip(".") else run.resolve()  # "." and ".."
    return next(
        name
        for i in range(2, 10_000)
        if not (name := run.with_name(f"{run.name}-{i}")).exists()
    )
