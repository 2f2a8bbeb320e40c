"""The models of a run."""

from twostage.runs.run import finished_stage1, finished_stage2


def load_models(run):
    """({stage1, stage2, normalizer: models of a run, what is finished of it}, stage 1's
    config).
    """
    stage = finished_stage1(run)
    models, second = {"stage1": stage.load_model()}, finished_stage2(run)
    if second:
        models |= {
            "stage2": second.load_model(),
            "normalizer": second.load_model("normalizer.keras"),
        }
    return models, stage.saved_config()
