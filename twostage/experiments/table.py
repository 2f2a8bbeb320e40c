"""Rows of a paper's table, run one by one with several seeds, each kept as soon as it
is done, and set beside the paper's figures.
"""

import dataclasses
import re
from pathlib import Path

import numpy as np

from twostage.errors import DivergedError, InputError
from twostage.system import files


@dataclasses.dataclass(frozen=True)
class Row:
    """Args:
    name: As in the table.
    settings: What differs from the experiment's defaults.
    paper: {figure: what the paper reports, as text}.
    """

    name: str
    settings: dict
    paper: dict = dataclasses.field(default_factory=dict)


@dataclasses.dataclass(frozen=True)
class Setting:
    """Args: folder: Where everything goes. epochs: Length of each row's training. data:
    Images, as `train_stage1.py --data` takes them; "" where an experiment makes its
    own. extractor, weights: What sees the images, as `python -m twostage.evaluate`
    takes them; None: a classifier of the data, where they have labels. partial: Whether
    the images may be a part of CelebA. precision: Of the networks' arithmetic, as
    `train_stage1.py --precision`; of experiments that train by its recipe.
    """

    folder: Path
    epochs: int
    data: str = ""
    extractor: str | None = None
    weights: str | None = None
    partial: bool = False
    precision: str = "float32"

    @property
    def common(self):
        """What all rows have, as settings of `train_stage1.py`."""
        return {"data": self.data, "partial": self.partial, "precision": self.precision}

    def path(self, row, seed, ending=""):
        """What a row and a seed are kept under."""
        return (
            self.folder / f"{re.sub(r'[^a-zA-Z0-9.-]+', '_', row.name)}-{seed}{ending}"
        )


def named(data, names, what):
    """Which of `names` a data set's name begins with, hyphens and underscores apart.
    `what`: that these have, for the message.

    Raises:
        InputError: none.
    """

    def plain(name):
        return re.sub(r"[-_]", "", name.lower())

    found = [name for name in names if plain(Path(data).name).startswith(plain(name))]
    if not found:
        *most, last = names
        raise InputError(
            f"received --data {data}, expected a name that begins with"
            f" {', '.join(most)} or {last}, whose {what} these rows have: rename it"
        )
    return found[0]


def run(rows, measure, setting, seeds):
    """Measures every row with every seed, but those that the setting's folder has
    already, as ROW-SEED.json.

    Args:
        rows: `Row`s, in an order in which each needs only those before it.
        measure: `measure(row, seed, found, setting)` -> dict in JSON's types; numbers
            stand in the table. `found` is {row's name: dict} of this seed so far.
        setting: A `Setting`.
        seeds: Seeds, in order. All rows of a seed come before the next.

    Returns:
        {row's name: list of dicts, one a seed}; of a row whose training diverged with
        `diverged` alone, why.
    """
    setting.folder.mkdir(parents=True, exist_ok=True)
    results = {row.name: [] for row in rows}
    for seed in seeds:
        found = {}
        for row in rows:
            path = setting.path(row, seed, ".json")
            result = files.read_json(path)
            if not result:
                try:
                    result = measure(row, seed, found, setting)
                except DivergedError as error:  # the others are as good as before
                    result = {"diverged": str(error)}
                files.write_json(path, result)
                print(
                    f"{row.name}, seed {seed}:"
                    f" {result.get('diverged') or ', '.join(f'{key} {value:.4g}' for key, value in numbers(result).items())}",
                    flush=True,
                )
            found[row.name] = result
            results[row.name].append(result)
    return results


def numbers(result):
    return {
        key: value for key, value in result.items() if isinstance(value, (int, float))
    }


def table(rows, results):
    """(header, lines): a line a row, `ours` as mean +- standard deviation over the
    seeds, beside the paper's figure where it has one.
    """
    ours = list(
        dict.fromkeys(
            name
            for row in rows
            for result in results[row.name]
            for name in numbers(result)
        )
    )
    theirs = list(dict.fromkeys(name for row in rows for name in row.paper))
    header = ["row", *[f"{name}, paper" for name in theirs if name not in ours]]
    header += [
        title
        for name in ours
        for title in [f"{name}, paper"] * (name in theirs) + [f"{name}, ours"]
    ]
    lines = []
    for row in rows:
        cells = [
            row.name,
            *[row.paper.get(name, "-") for name in theirs if name not in ours],
        ]
        for name in ours:
            cells += [row.paper.get(name, "-")] * (name in theirs) + [
                spread([result[name] for result in results[row.name] if name in result])
            ]
        lines.append([*cells, str(len(results[row.name]))])
    return [*header, "seeds"], lines


def spread(values):
    """`mean +- standard deviation` of values; the value alone of one."""
    if not values:
        return "-"
    with np.errstate(invalid="ignore"):  # of values that are none
        return f"{np.mean(values):.4g}" + (
            f" +- {np.std(values, ddof=1):.2g}" if len(values) > 1 else ""
        )
