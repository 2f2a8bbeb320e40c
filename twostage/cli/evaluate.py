"""The command `evaluate`."""

from pathlib import Path

from twostage.errors import InputError
from twostage.evaluation.evaluate import evaluate
from twostage.evaluation.protocol import Protocol
from twostage.evaluation.tables import table
from twostage.features.choose import chosen_extractor
from twostage.runs import run
from twostage.system.locks import held


def main(options):
    """The command, with its flags."""
    protocol = Protocol(options.protocol, tuple(sorted(set(options.quirk))))
    numbers = {
        "seed": options.seed,
        "repeats": options.half_samples,
        "bound_images": options.bound_images,
        "importance_samples": options.importance_samples,
    }
    numbers["mixtures"] = tuple(options.mixtures)
    for name, least in (
        ("seed", 0),
        ("half_samples", 2),
        ("bound_images", 2),
        ("importance_samples", 1),
    ):
        if getattr(options, name) < least:
            raise InputError(
                f"received --{name.replace('_', '-')} {getattr(options, name)},"
                f" expected at least {least}"
            )
    if min(options.mixtures, default=1) < 1:
        raise InputError(
            f"received --mixtures {' '.join(map(str, options.mixtures))}, expected"
            " numbers of Gaussians, each at least 1"
        )
    config = run.finished_stage1(options.run).saved_config()
    folder = Path(options.run) / "evaluation"
    folder.mkdir(exist_ok=True)
    with held(folder):  # a run that may not be written to is told before the work
        pass
    extractor = chosen_extractor(
        config, options.extractor, options.weights, options.inception_resize
    )
    for recalibrated in (
        (True, False) if options.recalibrate else (False,)
    ):  # the report shows the last
        result, path = evaluate(
            options.run, extractor, protocol, **numbers, recalibrated=recalibrated
        )
        print(f"{table(result)}\nwrote {path} and {path.with_suffix('.json').name}")
    print(f"wrote {Path(options.run) / 'report.html'}")
