"""The table of an experiment: the paper's numbers beside ours."""

import dataclasses
from collections.abc import Iterable, Sequence

from twostage.experiments.experiment import Result, Results, Row


@dataclasses.dataclass(frozen=True)
class Column:
    """A column of numbers.

    Args:
        quantity: What is measured, as in `Row.paper` and in the results.
        ours: Whether the numbers are ours; False: the paper's.
    """

    quantity: str
    ours: bool

    @property
    def title(self) -> str:
        return f"{self.quantity}, {'ours' if self.ours else 'paper'}"

    def cell(self, row: Row, results: Sequence[Result]) -> str:
        """The row's number as text, `-` where there is none."""
        if not self.ours:
            return row.paper.get(self.quantity, "-")
        return spread([one[self.quantity] for one in results if self.quantity in one])


def results_table(
    rows: Sequence[Row], results: Results
) -> tuple[list[str], list[list[str]]]:
    """(header, lines) of text: a line per row. Ours is mean +- standard deviation over
    the seeds that did not diverge, beside the paper's number where it has one.
    """
    columns = _columns(rows, results)
    header = ["row", *(column.title for column in columns), "seeds"]
    lines = []
    for row in rows:
        row_results = results[row.name]
        cells = [column.cell(row, row_results) for column in columns]
        lines.append([row.name, *cells, _seeds(row_results)])
    return header, lines


def numbers(result: Result) -> dict[str, float]:
    """The numbers of a result, without its curves and texts."""
    return {
        name: value for name, value in result.items() if isinstance(value, (int, float))
    }


def spread(values: Sequence[float]) -> str:
    """`mean +- standard deviation` of values, the value alone of one, `-` of none."""
    import numpy as np

    if not values:
        return "-"
    with np.errstate(invalid="ignore"):  # infinite or NaN values
        mean = f"{np.mean(values):.4g}"
        if len(values) == 1:
            return mean
        return f"{mean} +- {np.std(values, ddof=1):.2g}"


def _seeds(row_results: Sequence[Result]) -> str:
    diverged = sum("diverged" in result for result in row_results)
    text = str(len(row_results))
    return f"{text}, {diverged} diverged" if diverged else text


def _columns(rows: Sequence[Row], results: Results) -> list[Column]:
    """First what the paper alone reports, then each of our quantities after the paper's
    same one.
    """
    in_paper = _unique(name for row in rows for name in row.paper)
    measured = _unique(
        name for row in rows for result in results[row.name] for name in numbers(result)
    )
    columns = [Column(name, ours=False) for name in in_paper if name not in measured]
    for name in measured:
        if name in in_paper:
            columns.append(Column(name, ours=False))
        columns.append(Column(name, ours=True))
    return columns


def _unique(names: Iterable[str]) -> list[str]:
    """In the order in which they first occur."""
    return list(dict.fromkeys(names))
