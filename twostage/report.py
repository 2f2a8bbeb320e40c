"""results.json and report.md of a run: what the training itself measured."""

import json
from pathlib import Path

from twostage.runs import write_json, write_whole


def write(run, **figures):
    """Merges `figures` into RUN/results.json and writes RUN/report.md from the whole."""
    path = Path(run) / "results.json"
    results = {**(json.loads(path.read_text()) if path.exists() else {}), **figures}
    write_json(path, results)
    write_whole(Path(run) / "report.md", _text(Path(run).name, results))


def _text(name, results):
    lines = [f"# Run {name}", "", "Figures of the training set at the last epoch, in the training mode. Losses in nats an example, mse a dimension."]
    for stage in ("stage1", "stage2"):
        if stage in results:
            lines += ["", f"## {stage}", "", "| figure | value |", "| --- | --- |"]
            lines += [f"| {key} | {_show(value)} |" for key, value in results[stage].items() if not isinstance(value, list)]
            lines += ["", f"![latents]({stage}/images/latents.png)"]
    if "latents" in results:
        before, after = results["latents"]["deviation_before"], results["latents"]["deviation_after"]
        lines += ["", "## Latents of stage 2", "", "Standard deviation over 10,000 draws; mean, smallest and largest latent."]
        lines += [f"- {when} normalisation: {d['mean']:.3f}, {d['smallest']:.3f}, {d['largest']:.3f}" for when, d in (("before", before), ("after", after))]
    return "\n".join(lines) + "\n"


def _show(value):
    return f"{value:.5g}" if isinstance(value, float) else str(value)
