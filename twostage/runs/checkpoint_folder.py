"""The files of a stage's checkpoints: whole or not at all, the newest ones kept."""

import dataclasses
import errno
import json
import logging
import zipfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from twostage.errors import InputError, reading
from twostage.system import files

logger = logging.getLogger(__name__)

CHECKPOINTS_KEPT = 2
# Epochs done, and steps done of the next one: the order of names is that of time.
CHECKPOINT_NAME = "epoch-{epoch:05d}-step-{step:06d}.npz"


@dataclasses.dataclass(frozen=True)
class Progress:
    """Where a training stands: epochs done, steps done of the next, the history (a dict
    per epoch), and the states of the callbacks by class name, in JSON's types.
    """

    epoch: int
    step: int
    rows: list[dict[str, float]]
    callbacks: dict[str, Any]


class CheckpointFolder:
    """The checkpoints of a stage: written whole, read back newest first.

    Args:
        path: The folder `checkpoints` of the stage.
    """

    def __init__(self, path: Path):
        self.path = path

    def paths(self) -> list[Path]:
        """The checkpoints, oldest first."""
        return sorted(self.path.glob("epoch-*.npz"))

    def save(self, progress: Progress, arrays: Mapping[str, np.ndarray]) -> None:
        """Writes a checkpoint, and removes all but the newest and what a kill left."""
        name = CHECKPOINT_NAME.format(epoch=progress.epoch, step=progress.step)
        text = json.dumps(dataclasses.asdict(progress))
        files.write_npz(self.path / name, {"progress": text, **arrays})
        outdated = self.paths()[:-CHECKPOINTS_KEPT]
        leftovers = [*self.path.glob("*.part"), *self.path.glob("part.npz")]
        for path in [*outdated, *leftovers]:
            path.unlink()

    def newest(self) -> tuple[Path, Progress, dict[str, np.ndarray]] | None:
        """(path, progress, arrays) of the newest whole checkpoint; None: there is no
        checkpoint. Damaged ones are named and set aside.

        Raises:
            InputError: all are damaged, or one may not be read.
        """
        damaged: dict[Path, Exception] = {}
        for path in reversed(self.paths()):
            try:
                with reading():
                    found = _read(path)
            except InputError:  # a ValueError, too
                raise
            except files.NPZ_DAMAGE as error:
                damaged[path] = error
            else:
                _set_aside(damaged)
                return path, *found
        if damaged:
            path, error = next(iter(damaged.items()))
            raise InputError(
                f"all checkpoints in {self.path} are damaged, such as {path.name}"
                f" ({error}): bring one back from a copy, or remove them, and training"
                " starts from the beginning"
            )
        return None


def _set_aside(damaged: Mapping[Path, Exception]) -> None:
    for path, error in damaged.items():
        aside = path.rename(path.with_name(f"damaged-{path.name}"))
        logger.warning(
            "%s is damaged (%s): kept as %s, the checkpoint before it is used",
            path,
            error,
            aside.name,
        )


def _read(path: Path) -> tuple[Progress, dict[str, np.ndarray]]:
    try:
        with np.load(path) as archive:
            arrays = dict(_checked(archive))
    except OSError as error:
        if error.errno not in (None, errno.EINVAL):  # the disk's, and not the archive's
            raise
        raise zipfile.BadZipFile(str(error)) from error
    progress = Progress(**json.loads(str(arrays.pop("progress"))))
    return progress, arrays


def _checked(archive) -> Iterator[tuple[str, np.ndarray]]:
    """Reading an array checks its checksum."""
    for name in archive.files:
        yield name, archive[name]
