"""What an experiment is: the rows of a paper's table, and how each is measured."""

import dataclasses
import re
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any

# What is measured of one row with one seed, in JSON's types. Numbers stand in the
# table.
Result = dict[str, Any]
# Of each row, by its name: a result per seed.
Results = dict[str, list[Result]]


@dataclasses.dataclass(frozen=True)
class Row:
    """A row of a paper's table.

    Args:
        name: As in the table, unique within the experiment.
        settings: What differs from the experiment's defaults.
        paper: What the paper reports, as text, by the name of the quantity.
        continues: Name of an earlier row whose stage 1 this row trains further where
            its folder is there; None: it starts from random weights.
        needs: Name of an earlier row whose result this row is made from; None: of none.
    """

    name: str
    settings: dict[str, Any]
    paper: dict[str, str] = dataclasses.field(default_factory=dict)
    continues: str | None = None
    needs: str | None = None


@dataclasses.dataclass(frozen=True)
class Setting:
    """What all rows of an experiment share when it runs.

    Args:
        folder: Where results, run folders and figures go.
        epochs: Length of the longest row's training; shorter rows keep their share.
        data: Images, as `data` of a `Stage1Config`; "" where the experiment makes its
            own.
        extractor: Name of the feature extractor of distances, as `chosen_extractor`
            takes it; None: a classifier of the data where they have labels.
        weights: File that the extractor is read from; None where it needs none.
        partial: Whether an incomplete CelebA is accepted.
        precision: Dtype policy of the networks, as `precision` of a `Stage1Config`.
    """

    folder: Path
    epochs: int
    data: str = ""
    extractor: str | None = None
    weights: str | None = None
    partial: bool = False
    precision: str = "float32"

    @property
    def stage1_settings(self) -> dict[str, Any]:
        """Fields of a `Stage1Config` that all rows share."""
        return {"data": self.data, "partial": self.partial, "precision": self.precision}

    def path(self, row_name: str, seed: int, suffix: str = "") -> Path:
        """Where something of a row and a seed is kept; a run folder without suffix."""
        safe_name = re.sub(r"[^a-zA-Z0-9.-]+", "_", row_name)
        return self.folder / f"{safe_name}-{seed}{suffix}"


@dataclasses.dataclass(frozen=True)
class Figure:
    """A figure of the report.

    Args:
        image: A chart as SVG text, or the path of a PNG.
        caption: Below it.
    """

    image: str | Path
    caption: str


# measure(row, seed, earlier, setting): `earlier` has the results of the rows before,
# with the same seed.
Measure = Callable[[Row, int, dict[str, Result], Setting], Result]
Figures = Callable[[Results, Setting], Iterable[Figure]]


@dataclasses.dataclass(frozen=True, kw_only=True)
class Experiment:
    """A paper's table: its rows, and how they are measured.

    Args:
        name: Of the experiment, as the command line takes it.
        title: Which tables of which paper, in a sentence.
        rows: In an order in which each needs only those before it.
        measure: Trains and measures a row with one seed.
        full_epochs: Length of the longest row in the paper.
        quick_epochs: A length for two cores.
        seeds: Number of seeds in the paper.
        description: Explains the report beside the title.
        data: Default of the images; None: the experiment makes its own data.
        figures: Figures of the report, from the results of all rows; None: it has none.
        measures_distances: Whether a feature extractor measures distances between
            images.
        takes_precision: Whether the rows train with the setting's precision.
    """

    name: str
    title: str
    rows: Sequence[Row]
    measure: Measure
    full_epochs: int
    quick_epochs: int
    seeds: int
    description: str = ""
    data: str | None = None
    figures: Figures | None = None
    measures_distances: bool = False
    takes_precision: bool = False
