"""Compares two evaluation results, where their protocols allow it."""

from pathlib import Path

from twostage.errors import InputError
from twostage.system import files

# places in the manifest, and why figures with different ones are not comparable
MUST_AGREE = {
    (
        "extractor",
        "frechet",
    ): ("the features are others, so the numbers have other units"),
    ("extractor", "digest"): "the extractor's weights are others",
    (
        "extractor",
        "resize",
    ): ("the images were enlarged in another way before the extractor"),
    ("protocol", "split"): "the reference is another split",
    ("protocol", "count"): "a distance falls with the number of images",
    ("protocol", "quirks"): "the images were altered before they were measured",
    ("reference_images",): "a distance falls with the number of images",
    ("data", "crop"): "the faces are cropped in another way",
    ("data", "resize"): "the reference was resized in another way",
    ("data", "jpeg_roundtrip"): "one reference went through JPEG files",
    ("data", "shape"): "the images are of another size or number",
    ("data", "crc32"): "the reference images are others",
    ("batch_normalisation",): "the networks' statistics are others",
}


def compare(first, second):
    """The text that says which differences forbid a comparison of two JSON files, and
    the distances side by side.
    """
    results = [_read(path) for path in (first, second)]
    reasons = []
    for place, why in MUST_AGREE.items():
        found = [_at(result["manifest"], place) for result in results]
        if found[0] != found[1]:
            reasons.append(f"- {' '.join(place)}: {found[0]} and {found[1]}: {why}")
    head = (
        ["These may not be compared:", *reasons]
        if reasons
        else ["These may be compared: extractor, protocol and data are the same."]
    )
    rows = [
        "",
        "| images | first | second | difference, in standard errors |",
        "| --- | --- | --- | --- |",
    ]
    for kind in [
        kind for kind in results[0]["distances"] if kind in results[1]["distances"]
    ]:
        a, b = (result["distances"][kind] for result in results)
        error = (a["frechet_error"] ** 2 + b["frechet_error"] ** 2) ** 0.5
        apart = "-" if reasons else f"{(b['frechet'] - a['frechet']) / error:+.1f}"
        rows.append(
            f"| {kind} | {a['frechet']:.3f} +- {a['frechet_error']:.3f} |"
            f" {b['frechet']:.3f} +- {b['frechet_error']:.3f} | {apart} |"
        )
    return "\n".join(head + rows)


def _read(path):
    result = files.read_json(Path(path))
    if not isinstance(result, dict) or not {"manifest", "distances"} <= result.keys():
        raise InputError(
            f"received {path}, which is no result of twostage.evaluate: give"
            " RUN/evaluation/NAME.json"
        )
    return result


def _at(manifest, place):
    for name in place:
        manifest = manifest.get(name, {})
    return None if manifest == {} else manifest
