"""Evaluates a run folder: loads, measures, writes."""

from collections.abc import Sequence
from pathlib import Path

from twostage.errors import InputError
from twostage.evaluation.evaluate import evaluate
from twostage.evaluation.protocol import Protocol
from twostage.evaluation.tables import table
from twostage.features.choose import chosen_extractor
from twostage.runs.run import finished_stage1
from twostage.system.locks import held


def evaluate_run(
    run: str | Path,
    *,
    extractor: str | None = None,
    weights: str | None = None,
    inception_resize: str = "tf1",
    protocol: str = "fid10k_test",
    quirks: Sequence[str] = (),
    recalibrate: bool = False,
    mixtures: Sequence[int] = (1, 10),
    seed: int = 0,
    half_samples: int = 10,
    bound_images: int = 500,
    importance_samples: int = 50,
) -> None:
    """Measures a finished run, and writes RUN/evaluation and RUN/report.html.

    Raises:
        InputError: no finished run, or a number out of range.
    """
    numbers = {
        "seed": seed,
        "half_samples": half_samples,
        "bound_images": bound_images,
        "importance_samples": importance_samples,
    }
    for (name, value), least in zip(numbers.items(), (0, 2, 2, 1), strict=True):
        if value < least:
            raise InputError(f"`{name}={value}`", f"at least {least}")
    if min(mixtures, default=1) < 1:
        raise InputError(
            f"`mixtures={list(mixtures)}`", "numbers of Gaussians, each at least 1"
        )
    chosen = Protocol(protocol, tuple(sorted(set(quirks))))
    config = finished_stage1(run).saved_config()
    folder = Path(run) / "evaluation"
    folder.mkdir(exist_ok=True)
    with held(folder):  # a run without write permission fails before the work
        pass
    network = chosen_extractor(config, extractor, weights, inception_resize)
    numbers["repeats"] = numbers.pop("half_samples")
    # the report shows the last
    for recalibrated in (True, False) if recalibrate else (False,):
        result, path = evaluate(
            run,
            network,
            chosen,
            mixtures=tuple(mixtures),
            **numbers,
            recalibrated=recalibrated,
        )
        print(f"{table(result)}\nwrote {path} and {path.with_suffix('.json').name}")
    print(f"wrote {Path(run) / 'report.html'}")
