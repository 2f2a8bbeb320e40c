"""The results of `python -m twostage.evaluate`: as tables and sentences, and whether
two of them may be compared, in words.
"""

from pathlib import Path

from twostage import whole
from twostage.errors import InputError

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


def table(result):
    """Markdown: `tables` and `sentences`."""
    lines = [f"# {result['manifest']['run']}", ""]
    for heading, header, rows in tables(result):
        lines += [f"## {heading}", "", markdown(header, rows)]
    return "\n".join([*lines, "\n\n".join(sentences(result))]) + "\n"


def markdown(header, rows):
    """Rows of strings as a table."""
    return (
        "\n".join(
            f"| {' | '.join(row)} |" for row in (header, ["---"] * len(header), *rows)
        )
        + "\n"
    )


def tables(result):
    """Yields (heading, header, rows), of strings: distances of each kind of images,
    latents of each stage, how normal they are.
    """
    name = result["manifest"]["extractor"]["frechet"]
    rows = []
    for kind, found in result["distances"].items():
        told = {
            "frechet_infinite": ".3f",
            "brightness": "+.3f",
            "contrast": ".3f",
            "latent_nats": ".1f",
        }
        infinite, *tone, nats = (
            f"{found[key]:{form}}" if found.get(key) is not None else "-"
            for key, form in told.items()
        )
        numbers = [
            f"{found['frechet']:.3f} +- {found['frechet_error']:.3f}",
            infinite,
            f"{1000 * found['kernel']:.3f} +- {1000 * found['kernel_error']:.3f}",
        ]
        rows.append(
            [
                kind,
                *numbers,
                *[
                    f"{found[key]:.3f}"
                    for key in ("precision", "recall", "density", "coverage")
                ],
                *tone,
                nats,
            ]
        )
    yield (
        "Images",
        [
            "images",
            name,
            "at infinity",
            "kernel x 1000",
            "precision",
            "recall",
            "density",
            "coverage",
            "brightness",
            "contrast",
            "nats of test latents",
        ],
        rows,
    )
    stages = {
        key: value
        for key, value in result["latents"].items()
        if key.startswith("posterior")
    }
    names = [
        key for key, value in stages["posterior"].items() if not isinstance(value, list)
    ]
    yield (
        "Latents",
        ["", *[name.replace("_", " ") for name in names]],
        [
            [stage, *[f"{found[name]:.4g}" for name in names]]
            for stage, found in stages.items()
        ],
    )
    normal = result["latents"]["normality"]
    names = list(next(iter(normal.values())))
    yield (
        "How normal the latents are",
        ["", *[name.replace("_", " ") for name in names]],
        [
            [stage, *[f"{found[name]:.3f}" for name in names]]
            for stage, found in normal.items()
        ],
    )


def sentences(result):
    """How the figures were got, and those that are no table."""
    manifest, nats, copies = result["manifest"], result["likelihood"], result["copying"]
    protocol, extractor, choice = (
        manifest["protocol"],
        manifest["extractor"],
        manifest.get("batch_normalisation_choice"),
    )
    return [
        (
            f"Extractor {extractor['name']}, weights {extractor['digest']}; protocol"
            f" {protocol['name']}: {protocol['count']:,} images against"
            f" {manifest['reference_images']:,} of the {protocol['split']} split,"
            f" {protocol['quantisation']}, quirks"
            f" {', '.join(protocol['quirks']) or 'none'}; batch normalisation:"
            f" {manifest['batch_normalisation']}; seed {manifest['seed']}; +- is one"
            f" standard error over {manifest['half_samples']} half-samples."
        ),
        _bounds(manifest, nats),
        (
            f"Copying: {copies['kind']} lie {copies['ratio']:.2f} times as far from the"
            f" nearest of {copies['training_images']:,} training images as test images"
            f" do (medians over the extractor's features); {copies['closer']:.1%} are"
            " nearer than 99 % of the test images (1 % were expected)."
        ),
        *_learned_by_heart(result["distances"]),
        *(
            [
                f"By {choice['images']:,} of {choice['decided_by']}, the better batch"
                f" normalisation is: {choice['chosen']} (recalibration changes the"
                f" evidence bound by {choice['gain']:+.2f} +-"
                f" {choice['gain_error']:.2f} nats an image)."
            ]
            if choice
            else []
        ),
    ]


def _learned_by_heart(distances):
    """Said where stage 2 tells more of training latents than one Gaussian does, and
    less of test latents by more than a nat: it has seen too few images too often.
    """
    second, gaussian = (distances.get(kind, {}) for kind in ("GEN-2 noise", "Gaussian"))
    if (
        second.get("training_latent_nats") is None
        or gaussian.get("training_latent_nats") is None
    ):
        return []
    if (
        second["training_latent_nats"] < gaussian["training_latent_nats"]
        or second["latent_nats"] > gaussian["latent_nats"] - 1
    ):
        return []
    return [
        "Stage 2 knows its training latents by heart: it gives them"
        f" {second['training_latent_nats']:.1f} nats, one Gaussian"
        f" {gaussian['training_latent_nats']:.1f}; test latents"
        f" {second['latent_nats']:.1f}, the Gaussian {gaussian['latent_nats']:.1f}."
        " Take fewer epochs, a smaller --width or more images, or a mixture."
    ]


def _bounds(manifest, nats):
    if "evidence" not in nats:
        return (
            f"An autoencoder has no likelihood bound; mse {nats['mse']:.5f} a dimension"
            f" on {manifest['bound_images']:,} test images."
        )
    bits = (
        "no bits a dimension, as the likelihood is no probability"
        if nats["bits_per_dimension"] is None
        else f"{nats['bits_per_dimension']:.3f} bits a dimension"
    )
    read = nats.get("readings", {})
    constant = (
        f" Read with sigma^2 = 1/2 the evidence is {read['half']:.1f}, with beta / 2"
        f" {read['beta']:.1f}, with the best for all images {read['optimal']:.1f}."
        if read
        else ""
    )
    return (
        f"Likelihood of {manifest['bound_images']:,} test images, kappa 1, nats an"
        f" image: evidence {nats['evidence']:.1f} +- {nats['evidence_error']:.1f}"
        f" (distortion {nats['distortion']:.1f}, rate {nats['rate']:.1f}),"
        f" importance-weighted with {manifest['importance_samples']} draws"
        f" {nats['importance']:.1f}; {bits}; mse {nats['mse']:.5f} a"
        f" dimension.{constant}"
    )


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
    result = whole.read_json(Path(path))
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
