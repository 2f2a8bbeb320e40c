"""One row of a paper's table, recomputed and printed beside the paper's number.

    python examples/reproduce_a_row.py
    python examples/reproduce_a_row.py --row "F-VAE 0.3" --epochs 20

The row is the first of Table 1 in "Not all failures are equal" (Berger & Sebag): a VAE
of points in the plane, whose decoder has the fixed standard deviation 1. The whole
table, nine rows and ten seeds, is one command:

    twostage experiment berger_sebag --out runs/berger_sebag

This script calls what that command calls, with one row, one seed and 500 steps instead
of 20,000. It takes under a minute on two cores. The command keeps the row and does not
run it again. Other tables, and how far each was run: docs/notes/results.md.
"""

import argparse
import dataclasses
from collections.abc import Sequence

from twostage import InputError
from twostage.experiments import runner
from twostage.experiments.berger_sebag import EXPERIMENT
from twostage.experiments.experiment import Result, Row

ROW = "F-VAE 1.0"
EPOCHS = 5  # of 100 steps; the table's length is 200
# Our mean and standard deviation over ten seeds at full length, from docs/notes/results
FULL_LENGTH = {"F-VAE 1.0": "-1.060 +- .003", "F-VAE 0.3": "-.146 +- .129"}


def find_row(name: str) -> Row:
    """The row of the table.

    Raises:
        InputError: the table has no such row, or the row needs another one first.
    """
    rows = {row.name: row for row in EXPERIMENT.rows}
    possible = [name for name, row in rows.items() if not _needs_another(row)]
    if name not in possible:
        raise InputError(f"the row {name!r}", f"one of {', '.join(possible)}")
    return rows[name]


def _needs_another(row: Row) -> bool:
    return "of LS-VAE" in str(row.settings["sigma"])


def measure(row: Row, epochs: int, out: str) -> Result:
    """Trains and measures the row with seed 0, as the command does."""
    experiment = dataclasses.replace(EXPERIMENT, rows=[row], figures=None)
    return runner.run(experiment, out, epochs=epochs, seeds=1)[row.name][0]


def print_comparison(row: Row, result: Result, epochs: int) -> None:
    """Prints the evidence bounds and how far the lengths and seeds differ."""
    numbers = {"paper": row.paper["elbo"]}
    if row.name in FULL_LENGTH:
        numbers["ours, 20,000 steps, ten seeds"] = FULL_LENGTH[row.name]
    numbers[f"here, {100 * epochs:,} steps, seed 0"] = f"{result['elbo']:.3f}"
    print(f"\nTable 1 of Berger & Sebag, row {row.name}: evidence bound in nats\n")
    for label, number in numbers.items():
        print(f"  {label:34}{number}")
    print(
        """
How far this can be compared
- The paper gives neither its curve of points nor the length of training. Ours are in
  docs/notes/results/berger_sebag.md.
- One seed has no spread. The paper's +- and ours are over several seeds.
- In this row few steps suffice. Rows with a smaller sigma need many more, and end in
  one of several local optima, by the seed and the backend."""
    )


def main(argv: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description="Reproduces a row of a paper's table.")
    parser.add_argument("--row", default=ROW)
    parser.add_argument("--epochs", type=int, default=EPOCHS, help="of 100 steps")
    parser.add_argument("--out", default="runs/berger_sebag")
    options = parser.parse_args(argv)
    row = find_row(options.row)
    result = measure(row, options.epochs, options.out)
    print_comparison(row, result, options.epochs)


if __name__ == "__main__":
    try:
        main()
    except InputError as error:
        raise SystemExit(str(error)) from None
