"""`train-stage1` and `train-stage2`: load the data, train in a run folder, export.

The lines that matter, below `twostage/`:

- the order of both trainings: `training/train.py`, `train_stage1`, `train_stage2`
- a file becomes pixels: `data/preprocessing.py`, `Preprocessing`
- the images of each batch: `data/batches.py`, `Batches`
- the loss: `models/vae.py`, `VAE.compute_loss`
- the reconstruction term, and gamma from the error of a batch:
  `likelihoods/gaussian_likelihood.py`, `GaussianLikelihood`
- the KL: `models/divergences.py`, `gaussian_kl`
- the latents that stage 2 is trained on: `models/posterior.py`, `draw_latents`
- the optimizer and `fit`: `training/fit.py`, `compile_vae`, `fit`
- the callbacks: `training/default_callbacks.py`, `default_callbacks`
- what a checkpoint holds: `training/checkpoint.py`, `Checkpoint`
- what "auto" chooses: `training/auto.py`, `auto_stage1`, `auto_stage2`
"""

from collections.abc import Sequence
from importlib.util import find_spec
from pathlib import Path

from twostage.cli.arguments import stage_parser
from twostage.cli.backend import load_backend
from twostage.cli.errors import RESUME, guarded
from twostage.cli.invocation import command
from twostage.errors import InputError


def stage1(argv: Sequence[str] | None = None) -> None:
    """Trains stage 1, the ResNet VAE, on images."""
    guarded(_train, 1, argv, again=RESUME)


def stage2(argv: Sequence[str] | None = None) -> None:
    """Trains stage 2 on the latents of a finished stage 1."""
    guarded(_train, 2, argv, again=RESUME)


def _train(number: int, argv: Sequence[str] | None) -> None:
    parser = stage_parser(number, command(f"train-stage{number}"))
    changes = vars(parser.parse_args(argv))
    options = {name: changes.pop(name) for name in ("preset", "run", "resume")}
    dry_run = changes.pop("dry_run")
    from twostage.runs.run import default_run, open_stage

    if changes.get("distribute"):
        load_backend(devices=False)
        from twostage.training import distribution

        run = options["run"] or default_run(options["preset"], changes.get("data"))
        options["run"] = distribution.join(run)
    elif options["resume"]:
        # on the command line alone, as the number of devices may differ
        changes["distribute"] = False
    stage, config = open_stage(number, changes, **options)
    load_backend()
    from twostage.training.train_run import train_stage1_run, train_stage2_run

    train = train_stage1_run if number == 1 else train_stage2_run
    try:
        trained = train(config, stage, dry_run=dry_run)
    finally:
        stage.end()
    if trained is not None:
        _export(stage.run, number)


def _export(run: Path, number: int) -> None:
    """Writes the SavedModel and prints what is where, and the next command."""
    from twostage.training import distribution

    if not distribution.is_first():
        return
    print(f"wrote {run / f'stage{number}'}: model.keras, history.csv, images")
    print(f"wrote {run}: results.json, report.md")
    again = command("export", "--run", run)
    if find_spec("tensorflow"):
        _export_on_tensorflow(run, again)
        print(f"wrote {run / 'saved_model'}")
    else:
        print(
            f"TensorFlow is not installed here; where it is, `{again}` writes the"
            " SavedModel"
        )
    following = {
        1: command("train-stage2", "--run", run),
        2: command(
            *("sample", "--run", run, "--n", 64, "--seed", 1, "--out", "samples.png")
        ),
    }
    print(f"next: {following[number]}")


def _export_on_tensorflow(run: Path, again: str) -> None:
    """In this process where it runs on TensorFlow, else in one that does, so that a
    seed means the same images whatever trained.
    """
    import keras

    if keras.backend.backend() == "tensorflow":
        from twostage.export.export_run import export_run

        export_run(run)
        return
    from twostage.export.export_models import run_on_tensorflow

    try:
        run_on_tensorflow("export", "--run", str(run))
    except InputError as error:
        raise InputError(
            f"{run / 'saved_model'} was not written, see above; everything else was:"
            f" fix that, then `{again}`"
        ) from error
