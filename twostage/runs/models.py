"""The models of a run."""

from pathlib import Path

from twostage.config import Stage1Config
from twostage.models.two_stage_models import TwoStageModels, saved_mixture
from twostage.runs.run import finished_stage1, finished_stage2


def load_models(run: str | Path) -> tuple[TwoStageModels, Stage1Config]:
    """The finished models of a run, and stage 1's config.

    Raises:
        InputError: stage 1 is not finished, or a file is damaged.
    """
    first, second = finished_stage1(run), finished_stage2(run)
    stage1 = first.load_model()
    if second is None:
        return TwoStageModels(stage1), first.saved_config()
    stage2 = second.load_model()
    normalizer = second.load_model("normalizer.keras")
    mixture = saved_mixture(second.path)
    return TwoStageModels(stage1, stage2, normalizer, mixture), first.saved_config()
