"""From a finished run to its SavedModel, or to ONNX files."""

import logging
from pathlib import Path

from twostage.errors import InputError
from twostage.export.formats import writer
from twostage.models import recalibration
from twostage.models.gaussian_mixture import Mixture
from twostage.models.posterior import EncodedDataset
from twostage.models.serialization import load_model
from twostage.models.two_stage_models import TwoStageModels, saved_mixture
from twostage.models.vae import VAE
from twostage.runs import export_record, summary
from twostage.runs.data import training_images, validation_images
from twostage.runs.run import StageRun, finished_stage1, finished_stage2
from twostage.sampling.latent_samplers import drawn_latents

logger = logging.getLogger(__name__)


def export_run(
    run: str | Path,
    *,
    recalibrate: bool = False,
    mixture: int = 0,
    format: str = "saved_model",
) -> Path:
    """Writes RUN/saved_model, or the files in RUN/onnx, sampled as stage 2's config
    says, and locks the run meanwhile. Returns its path.

    Args:
        run: The run folder. Stage 2 is exported once it is finished, and stage 1 with
            recalibrated batch-norm statistics where they were found better.
        recalibrate: Whether to re-estimate stage 1's batch-norm statistics and export
            whichever validates better; which it was is logged and kept in results.json.
        mixture: Number of Gaussians of a mixture, fitted to stage 1's latents, to
            sample from instead of stage 2; 0: none.
        format: "saved_model" or "onnx".

    Raises:
        InputError: no finished stage 1, another process has the run, or nothing here
            can write the format.
    """
    write = writer(format)
    first = finished_stage1(run)
    first.lock()
    try:
        if not (first.run / "stage2").exists():
            summary.write(first.run, **summary.WITHOUT_STAGE2)
        if recalibrate:
            _recalibrate(first)
        models, method = _models(run)
        density = models.density_of(method)
        if mixture:
            density = _mixture(first, models.stage1, mixture)
        path = write(Path(run) / format, models, method=method, mixture=density)
        export_record.set_current(run, format)
        return path
    finally:
        first.end()


def _models(run: str | Path) -> tuple[TwoStageModels, str]:
    """What is exported, and how its latents are sampled."""
    stage1, second = exported_stage1(run), finished_stage2(run)
    if second is None:
        return TwoStageModels(stage1), "normalized"
    normalizer = second.load_model("normalizer.keras")
    mixture = saved_mixture(second.path)
    models = TwoStageModels(stage1, second.load_model(), normalizer, mixture)
    return models, second.sampling_method()


def exported_stage1(run: str | Path) -> VAE:
    """The stage 1 that is exported: recalibrated, where that was found better."""
    stage = finished_stage1(run)
    recalibrated = stage.path / "recalibrated.keras"
    if not recalibrated.exists():
        return stage.load_model()
    return load_model(
        recalibrated,
        "remove it, or write it again by"
        f" `export_run(run={str(run)!r}, recalibrate=True)`",
    )


def _recalibrate(first: StageRun) -> None:
    train = training_images(first)
    validation = validation_images(first.saved_config())
    vae = first.load_model()
    choice = recalibration.recalibrate_if_better(vae, train, validation)
    if choice["chosen"] == recalibration.RECALIBRATED:
        first.save_model("recalibrated.keras", vae)
    else:
        (first.path / "recalibrated.keras").unlink(missing_ok=True)
    summary.write(first.run, exported_batch_normalization=choice)
    logger.info(recalibration.summary(choice))


def _mixture(first: StageRun, stage1: VAE, components: int) -> Mixture:
    """Fitted to the latents of the training images under the exported stage 1."""
    if components < 0:
        raise InputError(
            f"`mixture={components}`", "a number of Gaussians, or 0 for none"
        )
    train = EncodedDataset(stage1, training_images(first))
    return Mixture(drawn_latents(train), components)
