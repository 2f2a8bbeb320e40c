"""Evaluates a run folder: loads, measures, writes."""

from __future__ import annotations

import dataclasses
import logging
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from twostage.config import Stage1Config
from twostage.evaluation.evaluate import check_numbers, evaluate
from twostage.evaluation.evaluation_data import EvaluationData
from twostage.evaluation.evaluation_result import EvaluationResult
from twostage.evaluation.protocol import Protocol
from twostage.evaluation.write import write
from twostage.features.choose import (
    LabeledData,
    check_extractor,
    chosen_extractor,
    load_labeled,
)
from twostage.features.extractor import Extractor
from twostage.features.feature_cache import FeatureCache
from twostage.runs.data import config_with_data, validation_images
from twostage.runs.models import load_models
from twostage.runs.run import finished_stage1
from twostage.system.locks import held
from twostage.system.progress import announced
from twostage.system.provenance import fingerprint

logger = logging.getLogger(__name__)


def evaluate_run(
    run: str | Path,
    *,
    extractor: str | None = None,
    weights: str | None = None,
    inception_resize: str = "tf1",
    protocol: str = "fid10k_test",
    quirks: Sequence[str] = (),
    samples: int = 0,
    recalibrate: bool = False,
    mixtures: Sequence[int] = (1, 10),
    seed: int = 0,
    half_samples: int = 10,
    bound_images: int = 500,
    importance_samples: int = 50,
) -> EvaluationResult:
    """Measures a finished run, writes RUN/evaluation and RUN/report.html, and logs the
    tables.

    Args:
        run: The run folder; stage 2 is measured where it is finished.
        extractor: Name of the feature extractor; None: as `chosen_extractor` chooses.
        weights: File of an Inception.
        inception_resize: `"tf1"` or `"antialiased"`, of the Inception of 2015.
        protocol: Name of the `Protocol`.
        quirks: Its quirks.
        samples: Images of each kind; 0: as the protocol says.
        recalibrate: Whether to evaluate with recalibrated batch normalization, too.
        mixtures: Numbers of Gaussians in mixtures of latents to sample from.
        seed: Of all samples.
        half_samples: Random halves that the standard errors come from.
        bound_images: Test images whose likelihood is bounded.
        importance_samples: Draws of z for the importance-weighted bound.

    Returns:
        The result, that of the models as trained.

    Raises:
        InputError: no finished run, or a number out of range.
    """
    numbers = {
        "seed": seed,
        "half_samples": half_samples,
        "bound_images": bound_images,
        "importance_samples": importance_samples,
    }
    check_numbers(numbers, mixtures)
    check_extractor(extractor, weights)
    chosen = Protocol(protocol, tuple(sorted(set(quirks))), samples)
    config = config_with_data(finished_stage1(run))
    folder = Path(run) / "evaluation"
    folder.mkdir(exist_ok=True)
    with held(folder):  # a run without write permission fails before the work
        pass
    labeled = load_labeled(config)
    network = chosen_extractor(labeled, extractor, weights, resize=inception_resize)
    settings = {**numbers, "mixtures": tuple(mixtures)}
    if recalibrate:
        _, path = measure_run(
            run, labeled, chosen, network, recalibrated=True, **settings
        )
        _log_written(path)
    # the report shows the last
    result, path = measure_run(run, labeled, chosen, network, **settings)
    _log_written(path)
    logger.info("wrote %s and model_card.md", Path(run) / "report.html")
    return result


def measure_run(
    run: str | Path,
    data: LabeledData,
    protocol: Protocol,
    extractor: Extractor,
    *,
    recalibrated: bool = False,
    **settings: Any,
) -> tuple[EvaluationResult, Path]:
    """Measures a finished run by an extractor, and writes the result.

    Args:
        run: The run folder.
        data: Its images, as `load_labeled` reads them.
        protocol: The `Protocol`.
        extractor: The `Extractor`.
        recalibrated: Whether stage 1's batch normalization is recalibrated first.
        settings: Further arguments of `evaluate`.

    Returns:
        The result, and the path of its tables.

    Raises:
        InputError: the run was trained on other data.
    """
    with announced("loading the models"):
        models, config = load_models(run)
    finished_stage1(run).check_data(fingerprint(data.train.images))
    result = evaluate(
        models,
        EvaluationData(
            data.train.images,
            data.test.images,
            validation_images(config) if recalibrated else None,
            description=_description(config),
        ),
        protocol,
        extractor,
        recalibrated=recalibrated,
        fixed_gamma=config.gamma == "fixed" and config.likelihood == "gaussian",
        features_of=_feature_cache(config, extractor),
        name=str(run) if Path(run).name else Path(run).resolve().name,
        **settings,
    )
    return result, write(run, result)


def _feature_cache(config: Stage1Config, extractor: Extractor) -> FeatureCache:
    """Beside the prepared images."""
    folder = Path(config.cache) / "features" if config.cache else None
    return FeatureCache(extractor, folder)


def _description(config: Stage1Config) -> dict[str, Any]:
    """How the images were prepared."""
    values = dataclasses.asdict(config)
    names = ["crop", "side", "fit", "resize", "jpeg_roundtrip", "channels", "pad"]
    names += [name for name in ("key", "scale", "use_unlabeled") if values[name]]
    return {**{name: values[name] for name in names}, "source": config.data}


def _log_written(path: Path) -> None:
    json_name = path.with_suffix(".json").name
    logger.info(
        "%s\nwrote %s and %s", path.read_text(encoding="utf-8"), path, json_name
    )
