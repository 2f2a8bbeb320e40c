"""Rows of two-stage experiments: both stages by the commands' own recipes, then
measured as `python -m twostage.evaluate` does.
"""

import shutil

from twostage.evaluation import evaluate_run
from twostage.evaluation.protocol import Protocol
from twostage.experiments import image_runs
from twostage.features import choose
from twostage.runs.run import finished_stage1


def measured(row, seed, setting, full, preset, mixtures=()):
    """What the papers' tables have of a row: `told` of what is `evaluated`, whose
    arguments it takes.
    """
    return told(evaluated(row, seed, setting, full, preset, mixtures))


def evaluated(row, seed, setting, full, preset, mixtures=()):
    """What `python -m twostage.evaluate` finds of a row, after both stages were
    trained.

    Args:
        row: A `Row` with settings `stage1` and `stage2`, as differences from the
            preset; and `grown`, the `Row` whose stage 1 it goes on from.
        seed: Of both stages.
        setting: The `Setting`. All lengths of the settings are of the paper; they are
            multiplied by setting.epochs / full.
        full: The experiment's length.
        preset: Name of the preset.
        mixtures: Numbers of Gaussians of the fitted mixtures.
    """
    run, share = setting.path(row, seed), setting.epochs / full
    if "grown" in row.settings and not (run / "stage1").exists():
        _grow(setting.path(row.settings["grown"], seed), run)
    image_runs.train(
        1,
        run,
        {**setting.common, "seed": seed, **_shortened(row.settings["stage1"], share)},
        preset,
    )
    image_runs.train(
        2,
        run,
        {
            "precision": setting.precision,
            "seed": seed,
            **_shortened(row.settings["stage2"], share),
        },
        preset,
    )
    data = choose.load_labeled(finished_stage1(run).saved_config())
    extractor = choose.chosen_extractor(data, setting.extractor, setting.weights)
    result, _ = evaluate_run.measure_run(
        run, data, Protocol(), extractor, seed=seed, mixtures=mixtures
    )
    return result.to_json()


def told(result):
    """Numbers of an evaluation, in the units of its extractor: distances of
    reconstructions and of each kind of sample, squared error a dimension of the
    reference's reconstructions, variance law and inactive latents, by E[sigma^2] as the
    papers define them and by E[sigma] as Asperti & Trentin's code has them.
    """
    latents = result["latents"]["posterior"]
    distances = {name: found["frechet"] for name, found in result["distances"].items()}
    law = {
        "variance law": latents["variance_law"],
        "variance law, E[sigma]": latents["variance_law_sd"],
    }
    inactive = {
        f"inactive{by}": latents["latents"] - latents[key]
        for by, key in (("", "active"), (", E[sigma]", "active_sd"))
    }
    return {**distances, "mse": result["distances"]["REC"]["mse"], **law, **inactive}


def _shortened(settings, share):
    return {
        name: (
            max(1, round(value * share)) if name in ("epochs", "halve_every") else value
        )
        for name, value in settings.items()
    }


def _grow(before, run):
    """Stage 1 of a shorter row, to be trained further: all but what says that it is
    finished.
    """
    aside = run.with_name(f"{run.name}.part")
    shutil.rmtree(aside, ignore_errors=True)
    shutil.copytree(
        before / "stage1",
        aside / "stage1",
        ignore=shutil.ignore_patterns("model.keras", "recalibrated.keras"),
    )
    run.parent.mkdir(parents=True, exist_ok=True)
    shutil.rmtree(run, ignore_errors=True)
    aside.rename(run)
