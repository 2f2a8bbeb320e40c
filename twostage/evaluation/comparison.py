"""Compares two evaluation results, where their protocols allow it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from twostage.errors import InputError
from twostage.metrics.standard_error import error_of_difference
from twostage.reporting.markdown import markdown_table
from twostage.system import files

# places in the manifest, and why numbers with different ones are not comparable
MUST_AGREE = {
    ("extractor", "frechet"): "other features have distances in other units",
    ("extractor", "digest"): "the extractor's weights differ",
    ("extractor", "resize"): "the images were enlarged differently for the extractor",
    ("protocol", "split"): "the reference is another split",
    ("protocol", "count"): "a distance falls with the number of images",
    ("protocol", "quirks"): "the images were altered before they were measured",
    ("reference_images",): "a distance falls with the number of images",
    ("data", "crop"): "the faces are cropped differently",
    ("data", "resize"): "the reference was resized differently",
    ("data", "jpeg_roundtrip"): "one reference went through JPEG files",
    ("data", "shape"): "the images have another size or number",
    ("data", "crc32"): "the reference images differ",
    ("batch_normalization",): "the statistics of batch normalization differ",
}

MIN_ERROR = 1e-300  # of a result compared with itself
# entries of the manifest that give the halves which the errors come from
HALVES_AGREE = ("seed", "half_samples")


def compare(first: str | Path, second: str | Path) -> str:
    """Which differences forbid a comparison of two results, and the distances side by
    side.

    Args:
        first: RUN/evaluation/NAME.json.
        second: Another one.

    Raises:
        InputError: a file is no result of an evaluation.
    """
    results = _read(first), _read(second)
    reasons = _reasons(results[0]["manifest"], results[1]["manifest"])
    if reasons:
        head = ["These may not be compared:", *reasons]
    else:
        head = ["These may be compared: extractor, protocol and data are the same."]
    same = all(
        results[0]["manifest"].get(name) == results[1]["manifest"].get(name)
        for name in HALVES_AGREE
    )
    rows = [
        _row(kind, distances, results[1]["distances"][kind], bool(reasons), paired=same)
        for kind, distances in results[0]["distances"].items()
        if kind in results[1]["distances"]
    ]
    header = ["images", "first", "second", "difference, in standard errors"]
    return "\n".join([*head, "", markdown_table(header, rows).rstrip("\n")])


def _reasons(first: dict[str, Any], second: dict[str, Any]) -> list[str]:
    """A line of Markdown for each difference between two manifests that matters."""
    reasons = []
    for place, reason in MUST_AGREE.items():
        values = _at(first, place), _at(second, place)
        if values[0] != values[1]:
            reasons.append(
                f"- {' '.join(place)}: {values[0]} and {values[1]}: {reason}"
            )
    return reasons


def _row(
    kind: str,
    first: dict[str, Any],
    second: dict[str, Any],
    forbidden: bool,
    *,
    paired: bool,
) -> list[str]:
    """The cells of one kind of images; `paired`: both have the same halves."""
    halves = [
        each.get("frechet_halves") if paired else None for each in (first, second)
    ]
    error = error_of_difference(
        first["frechet_error"], second["frechet_error"], *halves
    )
    difference = second["frechet"] - first["frechet"]
    return [
        kind,
        f"{first['frechet']:.3f} +- {first['frechet_error']:.3f}",
        f"{second['frechet']:.3f} +- {second['frechet_error']:.3f}",
        "-" if forbidden else f"{difference / max(error, MIN_ERROR):+.1f}",
    ]


def _read(path: str | Path) -> dict[str, Any]:
    result = files.read_json(Path(path))
    if not isinstance(result, dict) or not {"manifest", "distances"} <= result.keys():
        raise InputError(
            str(path), "the result of an evaluation", "give RUN/evaluation/NAME.json"
        )
    return result


def _at(manifest: dict[str, Any], place: tuple[str, ...]) -> Any:
    """The value at a place; None where there is none."""
    value: Any = manifest
    for name in place:
        value = value.get(name, {})
    return None if value == {} else value
