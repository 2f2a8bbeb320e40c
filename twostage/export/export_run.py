"""From a finished run to its SavedModel."""

from twostage.evaluation import recalibration
from twostage.export import saved_model
from twostage.runs import summary
from twostage.runs.data import training_images, validation_images
from twostage.runs.run import finished_stage1, finished_stage2
from twostage.sampling import latent_samplers
from twostage.sampling.gaussian_mixture import Mixture


def export_run(run, recalibrate=False, mixture=0):
    """Writes the SavedModel of a run, sampled as stage 2's config says, and locks the
    run meanwhile. Returns its path.

    Args:
        run: The run folder.
        mixture: Number of Gaussians of a mixture, fitted to stage 1's latents, to
            sample from instead of stage 2; 0: none.
        recalibrate: Whether to recalibrate stage 1's batch normalisation and export the
            better by validation images; which it was is printed and kept in
            results.json.
    """
    first = finished_stage1(run)
    first.lock()
    try:
        if recalibrate:
            _recalibrate(first)
        return export_locked_run(run, _mixture(first, mixture) if mixture else None)
    finally:
        first.end()


def export_locked_run(run, mixture=None):
    """`export` of a run that this process, or the one that started it, has locked;
    `mixture`: a fitted `Mixture`.
    """
    second = finished_stage2(run)
    return saved_model.write(
        run, second.saved_config().sampling if second else "normalised", mixture
    )


def _recalibrate(first):
    train = training_images(first)
    validation = validation_images(first.saved_config())
    vae = first.load_model()
    choice = recalibration.recalibrate_if_better(vae, train, validation)
    if choice["chosen"] == recalibration.RECALIBRATED:
        first.save_model("recalibrated.keras", vae)
    else:
        (first.path / "recalibrated.keras").unlink(missing_ok=True)
    summary.write(first.run, batch_normalisation=choice)
    print(recalibration.summary(choice))


def _mixture(first, components):
    """Of the latents of the training images under the stage 1 that is exported."""
    return Mixture(
        latent_samplers.drawn_latents(
            saved_model.stage1_of(first.run), training_images(first)
        ),
        components,
    )
