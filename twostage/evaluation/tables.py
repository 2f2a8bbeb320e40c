"""Tables and sentences of an evaluation result."""

from twostage.reporting.markdown import markdown_table


def table(result):
    """Markdown: `tables` and `sentences`."""
    lines = [f"# {result['manifest']['run']}", ""]
    for heading, header, rows in tables(result):
        lines += [f"## {heading}", "", markdown_table(header, rows)]
    return "\n".join([*lines, "\n\n".join(sentences(result))]) + "\n"


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
