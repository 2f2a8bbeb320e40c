"""Evaluates a finished run."""

import functools
from pathlib import Path

import keras
import numpy as np

import callbacks
from twostage.errors import InputError
from twostage.evaluation import (
    figures,
    html_report,
    image_metrics,
    latent_metrics,
    likelihood_metrics,
    memorization,
    recalibration,
)
from twostage.evaluation.image_metrics import BATCH
from twostage.evaluation.tables import table
from twostage.features.choose import _split
from twostage.features.extractor import digest_of
from twostage.models.posterior import draw_latents, encode_dataset
from twostage.models.recalibrate import recalibrate
from twostage.runs.models import load_models
from twostage.runs.run import finished_stage1
from twostage.sampling import generate
from twostage.sampling.latent_samplers import samplers
from twostage.system import files
from twostage.system.locks import held
from twostage.system.provenance import fingerprint, provenance
from twostage.system.random_streams import Stream

# test images that are reconstructed, interpolated, and tell which latents are active
IMAGES_IN_FIGURES = 200


MAX_TRAINING_NEIGHBORS = 50_000  # training images among which copies are looked for


MIN_REFERENCE_IMAGES = (
    6  # images of a reference: a measure looks at the fifth neighbour of each
)


LOOKED_AT = (
    "GEN-1",
    "GEN-2 normalised",
)  # the last of them that there is, is compared with the training images


def evaluate(
    run,
    extractor,
    protocol,
    seed=0,
    repeats=10,
    bound_images=500,
    importance_samples=50,
    mixtures=(1, 10),
    recalibrated=False,
):
    """Measures a finished run and writes RUN/evaluation/NAME.json, NAME.md, the
    pictures NAME/*.png, and RUN/report.html.

    Args:
        run: The run folder; stage 2 is measured where it is finished.
        extractor: An `Extractor`.
        protocol: A `Protocol`.
        seed: Of all samples.
        repeats: Half-samples that the standard errors come from.
        bound_images: Test images, a random choice, whose likelihood is bounded, and
            whose latents' density is; as many training images for the density alone.
        importance_samples: Draws of z for the importance-weighted bound.
        mixtures: Numbers of Gaussians in the mixtures that are fitted to stage 1's
            latents.
        recalibrated: Whether stage 1's batch normalisation is measured anew on training
            images first.

    Returns:
        (result, path): a dict with `manifest`, `distances` (one dict a kind of image),
        `copying`, `likelihood` and `latents`, and where its table was written.
    """
    models, config = load_models(run)
    stage1, measured = (
        models["stage1"],
        digest_of(
            weight for model in models.values() for weight in model.get_weights()
        ),
    )
    images = {split: _split(config, split)[0] for split in ("train", "test")}
    finished_stage1(run).check_data(fingerprint(images["train"]))
    mode = {"batch_normalisation": recalibration.MOVING}
    if recalibrated:
        mode = {
            "batch_normalisation": recalibration.RECALIBRATED,
            "batch_normalisation_choice": recalibration.better(stage1, config, seed),
        }
        recalibrate(stage1, images["train"], seed=seed)
    some = functools.partial(callbacks.contract.random_subset, seed=seed)
    bounded, reference = (
        some(images["test"], bound_images),
        protocol.reference(images[protocol.split]),
    )
    if len(reference) < MIN_REFERENCE_IMAGES:
        raise InputError(
            f"received {len(reference)} images in the {protocol.split} split, a"
            f" distance needs {MIN_REFERENCE_IMAGES} and is of use from thousands on: give it more"
            " images"
        )
    real, pixels = extractor(reference, BATCH), image_metrics.pixel_moments(reference)
    drawing = list(
        samplers(models, images["train"], mixtures, seed, importance_samples)
    )
    distances, shown, lookup = {}, {}, None
    for kind, batches in generated(stage1, drawing, reference, protocol.count, seed):
        features, shown[kind], made, errors = _features(
            extractor, protocol, batches, pixels
        )
        distances[kind] = {
            **image_metrics.image_distances(
                real, features, repeats, seed, paired=bool(errors)
            ),
            **image_metrics.tone(made, pixels),
            **errors,
        }
        lookup = (kind, features) if kind in LOOKED_AT else lookup
        print(
            f"{kind}: {extractor.frechet_name} {distances[kind]['frechet']:.4g} +-"
            f" {distances[kind]['frechet_error']:.2g}",
            flush=True,
        )
    for key, few in (
        ("latent_nats", bounded),
        ("training_latent_nats", some(images["train"], bound_images)),
    ):
        z = draw_latents(
            np.stack(encode_dataset(stage1, few), axis=1),
            np.random.default_rng((seed, Stream.DENSITY_LATENTS)),
        )
        for sampler in drawing:
            distances[sampler.name][key] = (
                float(sampler.log_density(z).mean()) if sampler.log_density else None
            )
    near = some(images["train"], MAX_TRAINING_NEIGHBORS)
    of_train, of_test = (
        extractor(near, BATCH),
        (
            real
            if protocol.split == "test"
            else extractor(some(images["test"], 1_000), BATCH)
        ),
    )
    result = {
        "manifest": {
            "run": str(run),
            "extractor": extractor.manifest(),
            "protocol": protocol.manifest(),
            "reference_images": len(reference),
            "data": {
                **{
                    name: getattr(config, name)
                    for name in ("crop", "side", "resize", "jpeg_roundtrip", "pad")
                },
                "source": config.data,
                **fingerprint(reference),
            },
            **mode,
            "models": measured,
            "seed": seed,
            "half_samples": repeats,
            "bound_images": len(bounded),
            "importance_samples": importance_samples,
            **provenance(),
        },
        "distances": distances,
        "copying": {
            "kind": lookup[0],
            **memorization.memorization(lookup[1], of_train, of_test, seed),
        },
        "likelihood": likelihood_metrics.likelihood_metrics(
            stage1,
            bounded,
            importance_samples,
            seed,
            config.gamma == "fixed" and config.likelihood == "gaussian",
        ),
        "latents": latent_metrics.latent_metrics(
            models,
            images["train"],
            [one for one in drawing if one.name in LOOKED_AT],
            seed,
        ),
    }
    name = "-".join(
        [
            extractor.name.replace(" ", "_"),
            protocol.name,
            *protocol.quirks,
            *["recalibrated"] * recalibrated,
        ]
    )
    nearby, folder = (
        figures.neighbours(shown[lookup[0]], lookup[1], near, of_train),
        Path(run) / "evaluation",
    )
    folder.mkdir(exist_ok=True)
    with held(folder):  # another evaluation may end now
        result["latents"]["traversed"] = figures.write(
            folder / name,
            stage1,
            some(images["test"], IMAGES_IN_FIGURES),
            shown,
            nearby,
        )
        files.write_json(folder / f"{name}.json", result)
        files.write(folder / f"{name}.md", table(result))
        html_report.write(run, name)
    return result, folder / f"{name}.md"


def generated(stage1, drawing, reference, count, seed):
    """Yields (kind, iterator of (images in [0, 1], the images that they reconstruct or
    None)), each kind made when its turn comes.
    """
    parts = (reference[i : i + BATCH] for i in range(0, len(reference), BATCH))
    yield (
        "REC",
        (
            (keras.ops.convert_to_numpy(generate.reconstruct(stage1, part)), part)
            for part in parts
        ),
    )
    for sampler in drawing:
        z = sampler.draw(count, seed)
        yield (
            sampler.name,
            (
                (
                    keras.ops.convert_to_numpy(
                        generate.decode(stage1, z[i : i + BATCH])
                    ),
                    None,
                )
                for i in range(0, len(z), BATCH)
            ),
        )


def _features(extractor, protocol, batches, pixels):
    """Of one kind of images: (features of all as the protocol prepares them, the first
    as they are, `Moments` of their pixels, {mse, mse_error} of reconstructions).

    `pixels`: `Moments` of the reference's. The squared error is a dimension's, with its
    standard error.
    """
    if protocol.whole_set:
        parts, references = zip(*batches, strict=True)
        batches = [
            (
                np.concatenate(parts),
                None if references[0] is None else np.concatenate(references),
            )
        ]
    found, squared, first, made = [], [], None, None
    for batch, reference in batches:
        first = batch[: figures.MAX_SAMPLES_IN_GRID] if first is None else first
        prepared = protocol.prepared(batch, reference, pixels)
        found.append(extractor(prepared, BATCH))
        made = image_metrics.pixel_moments(prepared, made)
        if reference is not None:
            squared.extend(
                ((batch - reference / np.float32(255)) ** 2).mean(axis=(1, 2, 3))
            )
    errors = (
        {
            "mse": float(np.mean(squared)),
            "mse_error": float(np.std(squared, ddof=1) / len(squared) ** 0.5),
        }
        if squared
        else {}
    )
    return np.concatenate(found), first, made, errors
