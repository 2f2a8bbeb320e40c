"""The results of `python -m twostage.evaluate`: as a table, and whether two of them may be compared, in words."""

from pathlib import Path

from twostage import whole
from twostage.errors import InputError

MUST_AGREE = {  # places in the manifest, and why figures with different ones are not comparable
    ("extractor", "frechet"): "the features are others, so the numbers have other units",
    ("extractor", "digest"): "the extractor's weights are others",
    ("extractor", "resize"): "the images were enlarged in another way before the extractor",
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


def table(result):
    """Markdown: the distances, their protocol, likelihoods and latents."""
    manifest, name = result["manifest"], result["manifest"]["extractor"]["frechet"]
    lines = [f"# {manifest['run']}", "", f"| images | {name} | at infinity | kernel x 1000 | precision | recall | density | coverage |", "| --- | " * 8 + "|"]
    lines[-1] = "|" + " --- |" * 8
    for kind, found in result["distances"].items():
        numbers = [f"{found['frechet']:.3f} +- {found['frechet_error']:.3f}", "-" if found["frechet_infinite"] is None else f"{found['frechet_infinite']:.3f}", f"{1000 * found['kernel']:.3f} +- {1000 * found['kernel_error']:.3f}"]
        lines.append(f"| {kind} | {' | '.join([*numbers, *[f'{found[key]:.3f}' for key in ('precision', 'recall', 'density', 'coverage')]])} |")
    protocol, nats = manifest["protocol"], result["likelihood"]
    lines += [
        "", f"Extractor {manifest['extractor']['name']}, weights {manifest['extractor']['digest']}; protocol {protocol['name']}: {protocol['count']:,} images against "
        f"{manifest['reference_images']:,} of the {protocol['split']} split, {protocol['quantisation']}, quirks {', '.join(protocol['quirks']) or 'none'}; "
        f"batch normalisation: {manifest['batch_normalisation']}; seed {manifest['seed']}; +- is one standard error over {manifest['half_samples']} half-samples.",
        "", f"Likelihood of {manifest['bound_images']:,} test images, kappa 1, nats an image: evidence {nats['evidence']:.1f} +- {nats['evidence_error']:.1f} "
        f"(distortion {nats['distortion']:.1f}, rate {nats['rate']:.1f}), importance-weighted with {manifest['importance_samples']} draws {nats['importance']:.1f}; "
        f"dequantised {nats['bits_per_dimension']:.3f} bits a dimension; mse {nats['mse']:.5f} a dimension.", "",
    ]  # fmt: skip
    for stage, found in ((key, value) for key, value in result["latents"].items() if key != "normality"):
        lines.append(f"{stage}: " + ", ".join(f"{key} {value:.4g}" for key, value in found.items() if not isinstance(value, list)))
    lines += ["", "| normality | " + " | ".join(next(iter(result["latents"]["normality"].values()))) + " |"]
    lines.append("|" + " --- |" * (1 + len(next(iter(result["latents"]["normality"].values())))))
    lines += [f"| {stage} | " + " | ".join(f"{value:.3f}" for value in found.values()) + " |" for stage, found in result["latents"]["normality"].items()]
    return "\n".join(lines) + "\n"


def compare(first, second):
    """The text that says which differences forbid a comparison of two JSON files, and the distances side by side."""
    results = [_read(path) for path in (first, second)]
    reasons = []
    for place, why in MUST_AGREE.items():
        found = [_at(result["manifest"], place) for result in results]
        if found[0] != found[1]:
            reasons.append(f"- {' '.join(place)}: {found[0]} and {found[1]}: {why}")
    head = ["These may not be compared:", *reasons] if reasons else ["These may be compared: extractor, protocol and data are the same."]
    rows = ["", "| images | first | second | difference, in standard errors |", "| --- | --- | --- | --- |"]
    for kind in [kind for kind in results[0]["distances"] if kind in results[1]["distances"]]:
        a, b = (result["distances"][kind] for result in results)
        error = (a["frechet_error"] ** 2 + b["frechet_error"] ** 2) ** 0.5
        apart = "-" if reasons else f"{(b['frechet'] - a['frechet']) / error:+.1f}"
        rows.append(f"| {kind} | {a['frechet']:.3f} +- {a['frechet_error']:.3f} | {b['frechet']:.3f} +- {b['frechet_error']:.3f} | {apart} |")
    return "\n".join(head + rows)


def _read(path):
    result = whole.read_json(Path(path))
    if not {"manifest", "distances"} <= result.keys():
        raise InputError(f"received {path}, which is no result of twostage.evaluate: give RUN/evaluation/NAME.json")
    return result


def _at(manifest, place):
    for name in place:
        manifest = manifest.get(name, {})
    return None if manifest == {} else manifest
