"""Rows of a paper's table, run one by one with several seeds, each kept as soon as it is done, and set beside the paper's figures."""

import dataclasses
import statistics
from pathlib import Path

from twostage import whole


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


def run(rows, measure, folder, seeds):
    """Measures every row with every seed, but those that `folder` has already.

    Args:
        rows: `Row`s, in an order in which each needs only those before it.
        measure: `measure(row, seed, found)` -> dict in JSON's types; numbers stand in the table. `found` is {row's name: dict} of this seed so far.
        folder: Where the results go, ROW-SEED.json.
        seeds: Seeds, in order. All rows of a seed come before the next.

    Returns:
        {row's name: list of dicts, one a seed}.
    """
    Path(folder).mkdir(parents=True, exist_ok=True)
    results = {row.name: [] for row in rows}
    for seed in seeds:
        found = {}
        for row in rows:
            path = Path(folder) / f"{row.name.replace(' ', '_').replace('/', '_')}-{seed}.json"
            result = whole.read_json(path)
            if not result:
                result = measure(row, seed, found)
                whole.write_json(path, result)
                print(f"{row.name}, seed {seed}: {', '.join(f'{key} {value:.4g}' for key, value in numbers(result).items())}", flush=True)
            found[row.name] = result
            results[row.name].append(result)
    return results


def numbers(result):
    return {key: value for key, value in result.items() if isinstance(value, (int, float))}


def table(rows, results):
    """Markdown: a line a row, `ours` as mean +- standard deviation over the seeds, beside the paper's figure where it has one."""
    names = list(dict.fromkeys(name for row in rows for name in numbers(results[row.name][0])))
    told = [name for name in names if any(name in row.paper for row in rows)]
    header = ["row", *[title for name in names for title in ([f"{name}, paper"] * (name in told) + [f"{name}, ours"])], "seeds"]
    lines = [header, ["---"] * len(header)]
    for row in rows:
        cells = [row.name]
        for name in names:
            cells += [row.paper.get(name, "-")] * (name in told) + [spread([result[name] for result in results[row.name] if name in result])]
        lines.append([*cells, str(len(results[row.name]))])
    return "\n".join(f"| {' | '.join(line)} |" for line in lines) + "\n"


def spread(values):
    """`mean +- standard deviation` of values; the value alone of one."""
    if not values:
        return "-"
    mean = statistics.fmean(values)
    return f"{mean:.4g}" + (f" +- {statistics.stdev(values):.2g}" if len(values) > 1 else "")
