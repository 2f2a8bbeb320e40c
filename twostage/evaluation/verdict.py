"""The conclusions of an evaluation, in at most five sentences."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

from twostage.evaluation.rounding import plus_minus, rounded
from twostage.metrics.overfitting import has_risen
from twostage.metrics.standard_error import error_of_difference

if TYPE_CHECKING:
    from twostage.evaluation.evaluation_result import EvaluationResult

RECONSTRUCTIONS = "REC"
ERRORS = 2  # standard errors beyond which two distances differ
MAX_REPEATED = 0.2  # of the test images equal a training image
# fraction of samples nearer to training images than 99% of the test images
MAX_CLOSE = 0.05
MIN_RATIO = 0.8  # of the distance to the nearest training image, samples over test
MIN_CONTRAST = 0.9  # of the test images'
# of the nats that stage 2 gains over one Gaussian on training latents, on test latents
KEPT = 0.5
NATS = 1.0  # by which that may be missed
MAX_ERROR_RATIO = 1.5  # of squared errors, held-out or test over training images
# Nats per dimension between test and training images: what that ratio r costs a
# Gaussian decoder whose gamma^2 is the training error, (r - 1) / 2.
MAX_GAP = (MAX_ERROR_RATIO - 1) / 2

Distances = Mapping[str, Mapping[str, Any]]


class Finding(NamedTuple):
    """A sentence of the verdict.

    Args:
        text: The sentence.
        good: Whether it is as one hopes; else it is shown in amber.
    """

    text: str
    good: bool


@dataclasses.dataclass(frozen=True)
class TrainingLosses:
    """Stage 1's, up to the epoch whose weights it has.

    Args:
        training: Reconstruction and KL (kappa 1) of the training images in that epoch,
            nats per image; None: not known.
        held_out: The loss of held-out images, nats per image, one per epoch; empty
            without held-out images.
        training_error: Squared error per dimension of the training images in that
            epoch; None: not known.
        held_out_error: The same of the held-out images.
    """

    training: float | None = None
    held_out: Sequence[float] = ()
    training_error: float | None = None
    held_out_error: float | None = None


def verdict(
    result: EvaluationResult, losses: TrainingLosses | None = None
) -> list[Finding]:
    """The findings, most important first.

    Args:
        result: Of the evaluation.
        losses: Of stage 1's training; None: not known.
    """
    found = [
        _best_sampler(result),
        _second_stage(result),
        _overfitting(result, losses or TrainingLosses()),
        _copies(result),
        _contrast(result),
    ]
    return [finding for finding in found if finding is not None]


def headline(result: EvaluationResult) -> str:
    """The key of the distance that comes first: `frechet`, or `frechet_infinite` where
    the extractor says so and there were enough images for it and for its error.
    """
    key = result.manifest["extractor"].get("headline", "frechet")
    errors = [values.get(f"{key}_error") for values in result.distances.values()]
    return "frechet" if None in errors else key


class _Distance(NamedTuple):
    kind: str
    value: float
    error: float
    halves: Sequence[float] | None = None

    def __str__(self) -> str:
        return plus_minus(self.value, self.error)

    def differs(self, other: _Distance) -> bool:
        """Whether the difference is more than two standard errors of it."""
        error = error_of_difference(self.error, other.error, self.halves, other.halves)
        return abs(self.value - other.value) > ERRORS * error


def _sampled(result: EvaluationResult) -> list[_Distance]:
    """The distances of all samplers, least first."""
    key = headline(result)
    found = [
        _Distance(
            kind, values[key], values[f"{key}_error"], values.get(f"{key}_halves")
        )
        for kind, values in result.distances.items()
        if kind != RECONSTRUCTIONS
    ]
    return sorted(found, key=lambda distance: distance.value)


def _best_sampler(result: EvaluationResult) -> Finding:
    best, *others = _sampled(result)
    name = result.manifest["extractor"]["frechet"]
    if headline(result) != "frechet":
        name += " at infinity"
    text = f"The best samples are those of {best.kind}: {name} {best}"
    if not others:
        return Finding(f"{text}.", True)
    following = others[0]
    relation = "next" if best.differs(following) else "no worse within the error"
    good = best.kind != "GEN-1" or not _has_second_stage(result)
    return Finding(f"{text}; {relation}: {following.kind}, {following}.", good)


def _has_second_stage(result: EvaluationResult) -> bool:
    return any(kind.startswith("GEN-2") for kind in result.distances)


def _second_stage(result: EvaluationResult) -> Finding | None:
    """Stage 2 against Gaussian mixtures that are fitted to the latents."""
    sampled = _sampled(result)
    own = [distance for distance in sampled if distance.kind.startswith("GEN-2")]
    fitted = [distance for distance in sampled if not distance.kind.startswith("GEN")]
    if not own or not fitted:
        return None
    stage2, mixture = own[0], fitted[0]
    if not stage2.differs(mixture):
        text, good = "is as good as", True
    elif stage2.value < mixture.value:
        text, good = "is better than", True
    else:
        text, good = "is worse than", False
    return Finding(
        f"Stage 2 {text} a Gaussian mixture fitted to stage 1's latents: {stage2.kind}"
        f" {stage2}, {mixture.kind} {mixture}.",
        good,
    )


def _overfitting(result: EvaluationResult, losses: TrainingLosses) -> Finding | None:
    of_stage1 = _held_out(losses) or _gap(result, losses)
    parts = [of_stage1, _stage2_overfits(result.distances)]
    found = [part for part in parts if part is not None]
    if not found:
        return None
    return Finding(
        " ".join(part.text for part in found), all(part.good for part in found)
    )


def _held_out(losses: TrainingLosses) -> Finding | None:
    """Whether stage 1's held-out loss has risen again, or its error on held-out images
    is much the larger.
    """
    if not losses.held_out:
        return None
    least, last = min(losses.held_out), losses.held_out[-1]
    risen = has_risen(losses.held_out)
    says = "overfits" if risen else "does not overfit"
    text = (
        f"Stage 1 {says}: its held-out loss ended at {last:.5g} nats, the lowest was"
        f" {least:.5g}."
    )
    gap = _error_gap(losses.training_error, losses.held_out_error, "held-out images")
    return Finding(text + gap, not risen and not gap)


def _error_gap(training: float | None, other: float | None, images: str) -> str:
    """A sentence where the second squared error is much the larger, else ""."""
    if not training or other is None or other <= MAX_ERROR_RATIO * training:
        return ""
    return (
        f" Its squared error is {other / training:.1f} times as large on {images}"
        f" ({other:.3g}) as on training images ({training:.3g}): more images would"
        " help."
    )


def _gap(result: EvaluationResult, losses: TrainingLosses) -> Finding | None:
    """How much lower stage 1's loss and squared error are on training images than on
    test images.
    """
    training, evidence = losses.training, result.likelihood.get("evidence")
    if training is None or evidence is None:
        return None
    dimensions = math.prod(result.manifest["data"]["shape"][1:])
    gap = -evidence - training
    of_test = result.distances[RECONSTRUCTIONS].get("mse")
    error_gap = _error_gap(losses.training_error, of_test, "test images")
    good = gap <= MAX_GAP * dimensions and not error_gap
    says = "does not overfit" if good else "overfits"
    remedy = "" if good else " Hold images out, to keep the best epoch."
    error = result.likelihood.get("evidence_error") or 0.0
    return Finding(
        f"Stage 1 {says}: its loss is {rounded(training, error)} nats on training"
        f" images and {rounded(-evidence, error)} on test images,"
        f" {gap / dimensions:.2g} nats per dimension apart.{error_gap}{remedy}",
        good,
    )


def _stage2_overfits(distances: Distances) -> Finding | None:
    """A better density of training latents than one Gaussian, of which less than half
    is left on test latents: too few images for so many epochs.
    """
    stage2 = distances.get("GEN-2 noise", {})
    gaussian = distances.get("Gaussian", {})
    keys = ("training_latent_nats", "latent_nats")
    if any(each.get(key) is None for each in (stage2, gaussian) for key in keys):
        return None
    train, test = (stage2[key] for key in keys)
    of_train, of_test = (gaussian[key] for key in keys)
    gain, left = train - of_train, test - of_test
    good = gain < 0 or left > KEPT * gain - NATS
    says = "does not overfit" if good else "overfits"
    remedy = "" if good else " Use fewer epochs, a narrower stage 2 or a mixture."
    return Finding(
        f"Stage 2 {says}: mean log density {train:.1f} nats on training latents and"
        f" {test:.1f} on test latents; one Gaussian {of_train:.1f} and {of_test:.1f}."
        f"{remedy}",
        good,
    )


def _copies(result: EvaluationResult) -> Finding:
    found = result.memorization
    repeated = found.get("repeated", 0.0)
    if repeated > MAX_REPEATED:
        return Finding(
            f"Whether samples are copies cannot be judged: {repeated:.0%} of the test"
            " images equal a training image. Remove duplicates before the split.",
            False,
        )
    good = found["closer"] <= MAX_CLOSE and found["ratio"] >= MIN_RATIO
    contrast = result.distances.get(found["kind"], {}).get("contrast")
    if not good and contrast is not None and contrast < MIN_CONTRAST:
        return Finding(
            f"Whether samples ({found['kind']}) are copies cannot be judged: they have"
            f" {contrast:.0%} of the contrast, and blurred images lie close to many.",
            False,
        )
    says = "are not copies" if good else "may be copies"
    return Finding(
        f"Samples ({found['kind']}) {says} of training images: {found['closer']:.1%} of"
        f" them lie closer to one than 99% of the test images do (1% is expected);"
        f" their median distance to the nearest is {found['ratio']:.2f} times the test"
        " images'.",
        good,
    )


def _contrast(result: EvaluationResult) -> Finding | None:
    kind = _sampled(result)[0].kind
    contrast = result.distances[kind]["contrast"]
    if contrast is None:  # the reference has none
        return None
    good = contrast >= MIN_CONTRAST
    says = "have the contrast" if good else "lose part of the contrast"
    return Finding(
        f"Samples ({kind}) {says} of the reference: {contrast:.0%} of its standard"
        " deviation.",
        good,
    )
