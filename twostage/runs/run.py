"""The run folder: created once, locked while it is used, resumed or refused when it
exists.
"""

import csv
import dataclasses
import logging
from collections.abc import Collection
from pathlib import Path
from typing import TYPE_CHECKING, Any

from twostage.config import Stage1Config, Stage2Config
from twostage.errors import InputError, reading
from twostage.models import serialization
from twostage.presets import AUTO, PRESETS, resolve
from twostage.runs.checkpoint_folder import CheckpointFolder
from twostage.system import files
from twostage.system.locks import acquire_now
from twostage.system.provenance import provenance

if TYPE_CHECKING:
    import keras
    from filelock import FileLock

logger = logging.getLogger(__name__)

SAMPLING = "sampling.json"  # what `sampling="auto"` chose, and why
Config = Stage1Config | Stage2Config
KINDS: dict[int, type[Config]] = {1: Stage1Config, 2: Stage2Config}
# Settings that may differ when a stage is resumed.
FREE = (
    "epochs",
    "checkpoint_every",
    "data",
    "data_dir",
    "cache",
    "distribute",
    "steps_per_execution",
    "watch_every",
)


class StageRun:
    """`RUN/stage1` or `RUN/stage2`: config.json, environment.json, history.csv,
    checkpoints/, images/, model.keras.

    Args:
        run: The run folder.
        number: 1 or 2.
        preset: Name of the preset, kept in config.json; None: none.
        resume: Whether `begin` may find the stage there.
        given: Names of the settings that the caller gave, which no preset changes.
    """

    def __init__(
        self,
        run: str | Path,
        number: int,
        *,
        preset: str | None = None,
        resume: bool = False,
        given: Collection[str] = (),
    ):
        self.run, self.number = Path(run), number
        self.preset, self.resume = preset, resume
        self.given = frozenset(given)
        self.path = self.run / f"stage{number}"
        self._lock: FileLock | None = None
        self._distribute = False

    @classmethod
    def create(
        cls,
        run: str | Path,
        number: int,
        *,
        preset: str | None = None,
        given: Collection[str] = (),
    ) -> "StageRun":
        """A stage that is not there yet.

        Raises:
            InputError: it is.
        """
        stage = cls(run, number, preset=preset, given=given)
        if stage.exists:
            raise InputError(stage._refusal())
        return stage

    @classmethod
    def open(
        cls, run: str | Path, number: int, *, preset: str | None = None
    ) -> "StageRun":
        """A stage that is there, to read or to resume.

        Raises:
            InputError: it is not, or it has another preset.
        """
        stage = cls(run, number, resume=True)
        if not stage.exists:
            raise InputError(
                f"received `resume=True`, but {stage.path} does not exist: start it"
                " without `resume`, or check `run`"
            )
        stage.preset = stage._saved()["preset"]
        if preset not in (None, stage.preset):
            raise InputError(
                f"{stage.path} was started with preset {stage.preset}, received"
                f" {preset}: drop `preset`, or start another run"
            )
        return stage

    @property
    def exists(self) -> bool:
        with reading():
            return (self.path / "config.json").exists()

    @property
    def finished(self) -> bool:
        with reading():
            return self.exists and (self.path / "model.keras").exists()

    def saved_config(self) -> Any:
        """The config as the stage was started, a `Stage1Config` or `Stage2Config`."""
        # runs of before there was a choice were trained by plain Adam
        saved = {"optimizer": "adam", **self._saved()["config"]}
        return KINDS[self.number].from_dict(saved)

    def _saved(self) -> dict:
        return files.read_config(self.path / "config.json")

    def call(self, **options: Any) -> str:
        """The call that trains this stage, for messages."""
        if self._distribute:  # which a resumed stage does not take from its config
            options["distribute"] = True
        return _call(self.number, {"run": str(self.run), **options})

    def begin(self, config: Config, data: dict, held_out: dict | None = None) -> None:
        """Locks the run and writes the stage's config, or checks that what is resumed
        has the same.

        Args:
            config: Its settings. Those of `FREE` may differ from those saved.
            data: The images' fingerprint.
            held_out: That of the held-out images; None: there are none.
        """
        self._distribute = config.distribute
        self.run.mkdir(parents=True, exist_ok=True)
        self.lock()
        self.path.mkdir(exist_ok=True)
        if self.exists:
            saved = self.saved_config()
            self._check_resumable(saved, config, data)
            self.check_held_out(held_out)
            if self._trains_on(saved, config):
                self._remove_outdated()
        (self.path / "checkpoints").mkdir(exist_ok=True)
        (self.path / "images").mkdir(exist_ok=True)
        used = {"data": data, "held_out": held_out}
        files.write_json(self.path / "environment.json", {**provenance(), **used})
        files.write_json(
            self.path / "config.json",
            {"preset": self.preset, "config": dataclasses.asdict(config)},
        )
        logger.info("all settings: %s", self.path / "config.json")

    def _check_resumable(self, saved: Config, config: Config, data: dict) -> None:
        if not self.resume:
            raise InputError(self._refusal())
        changed = fixed_differences(saved, config)
        if changed:
            raise InputError(
                f"{self.path} was started with other settings"
                f" ({'; '.join(changed)}): drop those, or start another run"
            )
        self.check_data(data)
        begun = self.epochs_begun()
        if config.epochs < begun:
            raise InputError(
                f"{self.path} was trained for {begun} epochs already, received"
                f" `epochs={config.epochs}`: give at least as many, or start another"
                " run"
            )
        if self.finished and not self._checkpoints.paths():
            raise InputError(
                f"{self.path} is finished and its checkpoints were removed, so it"
                " cannot be resumed: start another run; where only the images have"
                f" moved, write their place into {self.run}/stage1/config.json"
            )
        is_built_on = self.number == 1 and (self.run / "stage2").exists()
        if is_built_on and self._trains_on(saved, config):
            raise InputError(
                f"{self.run}/stage2 was trained on this stage 1 as it is: remove"
                f" {self.run}/stage2 first, or start another run"
            )

    @property
    def _checkpoints(self) -> CheckpointFolder:
        return CheckpointFolder(self.path / "checkpoints")

    def _remove_outdated(self) -> None:
        """Removes the models of fewer epochs, which would pass for the finished ones.

        Raises:
            InputError: all checkpoints, from which the stage trains on, are damaged.
        """
        if self.finished:
            self._checkpoints.newest()
        for name in ("recalibrated.keras", "model.keras"):
            (self.path / name).unlink(missing_ok=True)

    def _trains_on(self, saved: Config, config: Config) -> bool:
        """Whether epochs are missing. A stage that patience may have ended has all,
        unless it gets more epochs or patience.
        """
        if config.epochs <= self._newest_checkpoint()[0]:
            return False
        gets_more = config.epochs > saved.epochs or config.patience > saved.patience
        return gets_more or not saved.patience

    def check_data(self, data: dict) -> None:
        """Raises `InputError` unless the stage was started on these data.

        Args:
            data: A fingerprint.
        """
        own = files.read_config(self.path / "environment.json")["data"]
        if own != data:
            raise InputError(
                f"received {_described(data)}, but {self.path} was started on other"
                f" data, {_described(own)}: bring those back, or start another run"
            )

    def check_held_out(self, data: dict | None) -> None:
        """As `check_data`, of the held-out images, which choose the best epoch, batch
        normalization and the sampler. Earlier versions did not note them.

        Args:
            data: A fingerprint, or None: there are none.
        """
        found = files.read_config(self.path / "environment.json")
        own = found.get("held_out", data)
        if own != data:
            raise InputError(
                f"received {_described(data)} as held-out images, but {self.path} was"
                f" started with {_described(own)}: bring those back, or start another"
                " run"
            )

    def epochs_begun(self) -> int:
        """Epochs of the newest checkpoint, with the one that it is in the middle of."""
        epoch, step = self._newest_checkpoint()
        return epoch + (step > 0)

    def _newest_checkpoint(self) -> tuple[int, int]:
        names = [path.stem for path in self._checkpoints.paths()]
        _, epoch, _, step = (names or ["epoch-0-step-0"])[-1].split("-")
        return int(epoch), int(step)

    def gamma_curve(self, config: Config) -> list[float]:
        """The gammas that `gamma='scheduled'` replays, one per epoch; kept in the
        stage's folder, so that a resumed run needs no other.
        """
        path = self.path / "gamma_schedule.json"
        if not path.exists():
            files.write_json(path, recorded_gammas(config.gamma_from, self.number))
        return files.read_config(path)

    def lock(self) -> None:
        """Locks the run for this process. Stage 1 and 2 share one lock, as stage 2
        reads stage 1's files. It vanishes with the process, however that ends.

        Raises:
            InputError: another process has it.
        """
        try:
            self._lock = acquire_now(self.run / ".lock")
        except TimeoutError:
            raise InputError(
                f"{self.run} is in use by another process: wait for it, or start"
                " another run"
            ) from None

    def end(self) -> None:
        """Releases the lock."""
        if self._lock is not None:
            self._lock.release()
            self._lock = None

    def sampling_method(self) -> str:
        """How stage 2's latents are sampled: as its config says, or as was chosen."""
        method = self.saved_config().sampling
        if method == "auto":
            return files.read_config(self.path / SAMPLING)["method"]
        return method

    def load_model(self, name: str = "model.keras") -> Any:
        """Reads a `.keras` file of this stage, uncompiled.

        Raises:
            InputError: it is damaged.
        """
        return serialization.load_model(
            self.path / name,
            f"remove it, then `{self.call(resume=True)}` writes it again",
        )

    def save_model(self, name: str, model: "keras.Model") -> None:
        """Writes `name` (a `.keras` file), whole or not at all."""
        serialization.save_model(self.path / name, model)

    def _refusal(self) -> str:
        preset = self._saved()["preset"]
        free = {"preset": preset} if preset else {}
        another = _call(1, {**free, "run": str(_free_name(self.run))})
        again = f"remove {self.path} to start it over, " if self.number == 2 else ""
        return (
            f"{self.path} exists: resume it by `{self.call(resume=True)}`,"
            f" {again}or start another run by `{another}` and your other options, such"
            " as `data`"
        )


def fixed_differences(saved: Any, config: Any) -> list[str]:
    """`name old -> new` for each setting that a resumed stage may not change."""
    names = [name for name in FREE if hasattr(config, name)]
    if config.schedule == "cosine":  # which ends with the last epoch
        names.remove("epochs")
    if saved.patience and config.patience:  # both have a best epoch
        names.append("patience")
    free = {name: getattr(config, name) for name in names}
    return dataclasses.replace(saved, **free).differences(config)


def open_stage(
    number: int,
    changes: dict[str, Any],
    *,
    preset: str | None = None,
    run: str | Path | None = None,
    resume: bool = False,
) -> tuple[StageRun, Any]:
    """(stage, config) of a command, before anything is written or any framework loaded.

    Args:
        number: 1 or 2; stage 2 needs a finished stage 1 in the run folder, and takes
            the preset from it.
        changes: Settings that differ from the preset's, by name; on a resumed stage,
            from those it was started with.
        preset: Name of the preset; None: `default_preset`, or what the run says.
        run: The run folder; None: runs/PRESET.
        resume: Whether to resume what is there.

    Raises:
        InputError: an unknown preset or setting, a stage that exists already or is
            missing.
    """
    run = Path(run or default_run(preset, changes.get("data")))
    if number == 2:
        preset = finished_stage1(run, preset).preset
    if resume:
        stage = StageRun.open(run, number, preset=preset)
        saved = stage.saved_config()
        return stage, saved.from_dict({**dataclasses.asdict(saved), **changes})
    preset = preset or default_preset(changes.get("data"))
    stage = StageRun.create(run, number, preset=preset, given=changes)
    config = resolve(number, preset, **changes)
    return stage, with_recorded_gamma(config, number, "gamma_start" in changes)


def default_preset(data: str | None) -> str:
    """The preset of a data set: that of its name; of one's own data `"auto"`."""
    if data is None:
        return "digits"
    return data if data in PRESETS else AUTO


def default_run(preset: str | None, data: str | None = None) -> str:
    """The run folder of a preset, or of that of the data."""
    return f"runs/{preset or default_preset(data)}"


def with_recorded_gamma(config: Any, number: int, start_given: bool = False) -> Any:
    """The config with `gamma_start` from the run that `gamma_from` names.

    Raises:
        InputError: there is no such run, or `gamma_start` was given, too.
    """
    if not config.gamma_from:
        return config
    if start_given:
        raise InputError(
            f"received `gamma_start={config.gamma_start:g}` with"
            f" `gamma_from={config.gamma_from!r}`, which says where gamma starts: drop"
            " one of them"
        )
    gammas = recorded_gammas(config.gamma_from, number)
    start = gammas[-1] if config.gamma == "fixed" else gammas[0]
    # one at the floor was recorded in float32, a little below
    return dataclasses.replace(config, gamma_start=max(start, config.gamma_floor))


def finished_stage1(run: str | Path, preset: str | None = None) -> StageRun:
    """Stage 1 of a run, for stage 2 to build on."""
    stage = StageRun(run, 1)
    if not stage.exists:
        options = {"run": str(run), **({"preset": preset} if preset else {})}
        raise InputError(
            f"{stage.path} does not exist, a finished stage 1 is needed: check `run`,"
            f" or run `{_call(1, options)}` with your other options, such as `data`,"
            " first"
        )
    if not stage.finished:
        raise InputError(
            f"{stage.path} is not finished: run `{stage.call(resume=True)}` first"
        )
    return StageRun.open(run, 1, preset=preset)


def finished_stage2(run: str | Path) -> StageRun | None:
    """Stage 2 of a run, or None.

    Raises:
        InputError: it is finished, and its normalizer is missing.
    """
    stage = StageRun(run, 2)
    if not stage.finished:
        return None
    normalizer = stage.path / "normalizer.keras"
    if not normalizer.exists():
        raise InputError(
            f"{normalizer} is missing: copy the whole run, or write it again by"
            f" `{stage.call(resume=True)}`"
        )
    return StageRun.open(run, 2)


def recorded_gammas(run: str | Path, number: int) -> list[float]:
    """Gamma at the end of each epoch of a stage of a run, from its history.

    Raises:
        InputError: there is no such stage, or its likelihood has no gamma.
    """
    path = Path(run) / f"stage{number}" / "history.csv"
    if not path.exists():
        raise InputError(
            f"received `gamma_from={str(run)!r}`, but {path} does not exist: give the"
            f" folder of a run whose stage {number} was trained"
        )
    with open(path, encoding="utf-8") as file:
        gammas = [
            float(row["gamma"]) for row in csv.DictReader(file) if row.get("gamma")
        ]
    if not gammas:
        raise InputError(
            f"received `gamma_from={str(run)!r}`, but {path} has no gamma: give a run"
            " with `likelihood='gaussian'`"
        )
    return gammas


def _call(number: int, options: dict[str, Any]) -> str:
    """A call of `train_stage1` or `train_stage2`, as messages show it."""
    listed = ", ".join(f"{name}={value!r}" for name, value in options.items())
    return f"train_stage{number}({listed})"


def _free_name(run: Path) -> Path:
    run = run if run.name.strip(".") else run.resolve()  # "." and ".."
    names = (run.with_name(f"{run.name}-{i}") for i in range(2, 10_000))
    return next(name for name in names if not name.exists())


def _described(data: dict | None) -> str:
    """A fingerprint of images, in words."""
    if data is None:
        return "none"
    count, *shape = data["shape"]
    size = "x".join(map(str, shape))
    return f"{count:,} images of {size} (checksum {data['crc32']})"
