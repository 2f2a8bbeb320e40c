"""What the commands of the experiments share: run the rows, write the table."""

import functools
from importlib import import_module
from pathlib import Path

from twostage import whole
from twostage.experiments import rows


def run(name, out, seeds, quick=False):
    """Runs the rows of `twostage.experiments.NAME` and writes OUT/results.md. A quick look has a folder of its own."""
    paper = import_module(f"twostage.experiments.{name}")
    length = max(1, paper.LENGTH // 10) if quick else paper.LENGTH
    folder = Path(out) / "quick" if quick else Path(out)
    results = rows.run(paper.ROWS, functools.partial(paper.measured, epochs=length), folder, range(min(seeds, 2) if quick else seeds))
    text = rows.table(paper.ROWS, results)
    head = f"# {name}\n\n{length} of {paper.LENGTH} epochs, {min(seeds, 2) if quick else seeds} seeds; ours is mean +- standard deviation.\n\n"
    whole.write(folder / "results.md", head + text)
    print(f"{text}\nwrote {folder / 'results.md'}")
