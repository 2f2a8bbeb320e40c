"""Tables and sentences of an evaluation result."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from twostage.evaluation.rounding import plus_minus
from twostage.evaluation.verdict import Finding, headline
from twostage.reporting.markdown import markdown_table

if TYPE_CHECKING:
    from twostage.evaluation.evaluation_result import EvaluationResult


@dataclasses.dataclass(frozen=True)
class Column:
    """A column of numbers.

    Args:
        title: Its heading.
        key: Of the number in a row's dict.
        format: As in an f-string; of a number with an error its error decides.
        error: Key of the number's standard error, or None; a row may lack it.
        scale: The number and its error are multiplied by it.
    """

    title: str
    key: str
    format: str
    error: str | None = None
    scale: float = 1.0

    def cell(self, values: Mapping[str, Any]) -> str:
        """The number of a row as text; "-" where there is none."""
        value = values.get(self.key)
        if value is None:
            return "-"
        error = None if self.error is None else values.get(self.error)
        if error is None:
            return f"{self.scale * value:{self.format}}"
        return plus_minus(self.scale * value, self.scale * error)


@dataclasses.dataclass(frozen=True)
class Table:
    """A table of a report, in text.

    Args:
        heading: Above the table.
        header: Of its columns; the first is that of the rows' names.
        rows: Their cells.
    """

    heading: str
    header: list[str]
    rows: list[list[str]]


def _plain_columns(style: str, *keys: str) -> list[Column]:
    """A column for each key, whose title is the key in words."""
    return [Column(_in_words(key), key, style) for key in keys]


def _in_words(key: str) -> str:
    return key.replace("_", " ").replace("deviation", "standard deviation")


DISTANCES = [
    Column("kernel x 1000", "kernel", ".3f", "kernel_error", scale=1000),
    Column("precision", "precision", ".3f"),
    Column("recall", "recall", ".3f"),
    Column("density", "density", ".3f"),
    Column("coverage", "coverage", ".3f"),
    Column("brightness", "brightness", "+.3f"),
    Column("contrast", "contrast", ".3f"),
    Column("sharpness", "sharpness", ".3f"),
    Column("nats of test latents", "latent_nats", ".1f"),
]
LATENTS = _plain_columns(
    ".4g",
    "latents",
    "variance_law",
    "variance_law_sd",
    "active",
    "active_sd",
    "active_mu",
    "active_kl",
)
NORMALITY = _plain_columns(
    ".3f",
    "mean_norm",
    "deviation",
    "least_deviation",
    "greatest_deviation",
    "off_diagonal",
    "skewness",
    "excess_kurtosis",
    "energy_distance",
    "kolmogorov_smirnov",
    "greatest_kolmogorov_smirnov",
)


def markdown(result: EvaluationResult, findings: Sequence[Finding] = ()) -> str:
    """The verdict's findings, `tables` and `sentences` as a document."""
    lines = [f"# {result.manifest['run']}", ""]
    if findings:
        lines += [*(f"- {_mark(each)}{each.text}" for each in findings), ""]
    for table in tables(result):
        text = markdown_table(table.header, table.rows)
        lines += [f"## {table.heading}", "", text]
    return "\n".join([*lines, "\n\n".join(sentences(result))]) + "\n"


def tables(result: EvaluationResult) -> list[Table]:
    """Distances of each kind of images, latents of each stage, how normal they are."""
    return [distance_table(result), latent_table(result), normality_table(result)]


def distance_table(result: EvaluationResult) -> Table:
    """A row per kind of images."""
    name = result.manifest["extractor"]["frechet"]
    frechet = Column(name, "frechet", ".3f", "frechet_error")
    at_infinity = ("frechet_infinite", ".3f", "frechet_infinite_error")
    infinite = Column(f"{name} at infinity", *at_infinity)
    columns = [frechet, infinite]
    if headline(result) == "frechet_infinite":
        columns.reverse()
    return _table("Images", "images", [*columns, *DISTANCES], result.distances)


def latent_table(result: EvaluationResult) -> Table:
    """A row per stage."""
    stages = {
        key: statistics
        for key, statistics in result.latents.items()
        if key.startswith("posterior")
    }
    return _table("Latents", "", LATENTS, stages)


def normality_table(result: EvaluationResult) -> Table:
    """A row per stage."""
    normality = result.latents["normality"]
    return _table("How normal the latents are", "", NORMALITY, normality)


def _mark(finding: Finding) -> str:
    return "" if finding.good else "**Attention:** "


def _table(
    heading: str,
    of_names: str,
    columns: list[Column],
    rows: Mapping[str, Mapping[str, Any]],
) -> Table:
    """Without the columns that have a value in no row."""
    columns = [
        column
        for column in columns
        if any(values.get(column.key) is not None for values in rows.values())
    ]
    header = [of_names, *[column.title for column in columns]]
    cells = [
        [name, *[column.cell(values) for column in columns]]
        for name, values in rows.items()
    ]
    return Table(heading, header, cells)


def sentences(result: EvaluationResult) -> list[str]:
    """How the numbers were measured, and those that are in no table."""
    found = [
        _protocol_sentence(result.manifest),
        _likelihood_sentence(result.manifest, result.likelihood),
        _memorization_sentence(result.memorization),
    ]
    choice = result.manifest.get("batch_normalization_choice")
    if choice:
        found.append(_choice_sentence(choice))
    return found


def _protocol_sentence(manifest: Mapping[str, Any]) -> str:
    protocol, extractor = manifest["protocol"], manifest["extractor"]
    return (
        f"Extractor {extractor['name']}, weights {extractor['digest']}; protocol"
        f" {protocol['name']}: {protocol['count']:,} images against"
        f" {manifest['reference_images']:,} of the {protocol['split']} split,"
        f" {protocol['quantization']}, quirks"
        f" {', '.join(protocol['quirks']) or 'none'}; batch normalization:"
        f" {manifest['batch_normalization']}; seed {manifest['seed']}; +- is one"
        f" standard error over {manifest['half_samples']} half-samples."
    )


def _memorization_sentence(found: Mapping[str, Any]) -> str:
    if found["ratio"] is None:
        return "Memorization: not measured, as all test images equal a training image."
    return (
        f"Memorization: samples of {found['kind']} lie {found['ratio']:.2f} times as"
        f" far from the nearest of {found['training_images']:,} training images as"
        " test images do (medians over the extractor's features);"
        f" {found['closer']:.1%} are nearer than 99% of the test images (1% is"
        " expected)."
    )


def _choice_sentence(choice: Mapping[str, Any]) -> str:
    return (
        f"By {choice['images']:,} {choice['decided_by']}, the better batch"
        f" normalization is: {choice['chosen']} (re-estimating changes the bound"
        f" (ELBO) by {choice['gain']:+.2f} +- {choice['gain_error']:.2f} nats per"
        " image)."
    )


def _likelihood_sentence(manifest: Mapping[str, Any], nats: Mapping[str, Any]) -> str:
    if "evidence" not in nats:
        return (
            "An autoencoder has no likelihood bound; mse"
            f" {nats['mse']:.5f} per dimension on {manifest['bound_images']:,} test"
            " images."
        )
    if nats["bits_per_dimension"] is None:
        bits = "no bits per dimension, as the likelihood is no probability"
    else:
        bits = f"{nats['bits_per_dimension']:.3f} bits per dimension"
    error = nats["evidence_error"]  # None: of one image
    plus_minus = "" if error is None else f" +- {error:.1f}"
    return (
        f"Likelihood of {manifest['bound_images']:,} test images, kappa 1, nats per"
        f" image: evidence {nats['evidence']:.1f}{plus_minus}"
        f" (distortion {nats['distortion']:.1f}, rate {nats['rate']:.1f}),"
        f" importance-weighted with {manifest['importance_samples']} draws"
        f" {nats['importance']:.1f}; {bits}; mse {nats['mse']:.5f} per"
        f" dimension.{_padding_sentence(manifest['data'])}"
        f"{_readings_sentence(nats.get('readings'))}"
    )


def _padding_sentence(data: Mapping[str, Any]) -> str:
    pad = data.get("pad")
    if not pad:
        return ""
    return (
        f" Images are padded to {pad}x{pad}, and the zeros around them count as"
        " dimensions: do not compare these numbers with those of images without them."
    )


def _readings_sentence(readings: Mapping[str, float] | None) -> str:
    if not readings:
        return ""
    return (
        f" Read with sigma^2 = 1/2 the evidence is {readings['half']:.1f}, with"
        f" beta / 2 {readings['beta']:.1f}, with the best for all images"
        f" {readings['optimal']:.1f}."
    )
