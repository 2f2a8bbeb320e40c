"""What the papers report of a run, with how it was got.

A straight line: models and data -> images of each kind -> features -> distances; then
likelihoods, latents, pictures. RUN/evaluation holds it all, RUN/report.html shows it.
"""

import functools
from pathlib import Path

import keras
import numpy as np

import callbacks
from twostage import data, gallery, measures, normalisation, page, runs, sampling, whole
from twostage.environment import environment, fingerprint
from twostage.errors import InputError
from twostage.latents import encode, redraw
from twostage.lock import held
from twostage.measures import BATCH
from twostage.metrics import inception
from twostage.metrics.classifier import BATCH as CLASSIFIER_BATCH
from twostage.metrics.classifier import classifier
from twostage.metrics.extractor import digest_of
from twostage.metrics.random_network import random_network
from twostage.protocol import Protocol
from twostage.results import table
from twostage.samplers import samplers

_split = functools.lru_cache(2)(data.load_for)  # extractor and evaluation need the same
INCEPTIONS = ("inception2015", "keras")  # extractors that are read from a file
# test images that are reconstructed, interpolated, and tell which latents are active
PICTURED = 200
NEIGHBOURS = 50_000  # training images among which copies are looked for
FEWEST = 6  # images of a reference: a measure looks at the fifth neighbour of each
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
    models, config = load(run)
    stage1, measured = (
        models["stage1"],
        digest_of(
            weight for model in models.values() for weight in model.get_weights()
        ),
    )
    images = {split: _split(config, split)[0] for split in ("train", "test")}
    runs.finished_stage1(run).check_data(fingerprint(images["train"]))
    mode = {"batch_normalisation": normalisation.MOVING}
    if recalibrated:
        mode = {
            "batch_normalisation": normalisation.RECALIBRATED,
            "batch_normalisation_choice": normalisation.better(stage1, config, seed),
        }
        normalisation.recalibrate(stage1, images["train"], seed=seed)
    some = functools.partial(callbacks.contract.random_subset, seed=seed)
    bounded, reference = (
        some(images["test"], bound_images),
        protocol.reference(images[protocol.split]),
    )
    if len(reference) < FEWEST:
        raise InputError(
            f"received {len(reference)} images in the {protocol.split} split, a"
            f" distance needs {FEWEST} and is of use from thousands on: give it more"
            " images"
        )
    real, pixels = extractor(reference, BATCH), measures.pixel_moments(reference)
    drawing = list(
        samplers(models, images["train"], mixtures, seed, importance_samples)
    )
    distances, shown, lookup = {}, {}, None
    for kind, batches in generated(stage1, drawing, reference, protocol.count, seed):
        features, shown[kind], made, errors = _features(
            extractor, protocol, batches, pixels
        )
        distances[kind] = {
            **measures.distances(real, features, repeats, seed, paired=bool(errors)),
            **measures.tone(made, pixels),
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
        z = redraw(
            np.stack(encode(stage1, few), axis=1), np.random.default_rng((seed, 8))
        )
        for sampler in drawing:
            distances[sampler.name][key] = (
                float(sampler.log_density(z).mean()) if sampler.log_density else None
            )
    near = some(images["train"], NEIGHBOURS)
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
            **environment(),
        },
        "distances": distances,
        "copying": {
            "kind": lookup[0],
            **measures.copying(lookup[1], of_train, of_test, seed),
        },
        "likelihood": measures.likelihood(
            stage1,
            bounded,
            importance_samples,
            seed,
            config.gamma == "fixed" and config.likelihood == "gaussian",
        ),
        "latents": measures.latents(
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
        gallery.neighbours(shown[lookup[0]], lookup[1], near, of_train),
        Path(run) / "evaluation",
    )
    folder.mkdir(exist_ok=True)
    with held(folder):  # another evaluation may end now
        result["latents"]["traversed"] = gallery.write(
            folder / name, stage1, some(images["test"], PICTURED), shown, nearby
        )
        whole.write_json(folder / f"{name}.json", result)
        whole.write(folder / f"{name}.md", table(result))
        page.write(run, name)
    return result, folder / f"{name}.md"


def load(run):
    """({stage1, stage2, normalizer: models of a run, what is finished of it}, stage 1's
    config).
    """
    stage = runs.finished_stage1(run)
    models, second = {"stage1": stage.load_model()}, runs.finished_stage2(run)
    if second:
        models |= {
            "stage2": second.load_model(),
            "normalizer": second.load_model("normalizer.keras"),
        }
    return models, stage.saved_config()


def generated(stage1, drawing, reference, count, seed):
    """Yields (kind, iterator of (images in [0, 1], the images that they reconstruct or
    None)), each kind made when its turn comes.
    """
    parts = (reference[i : i + BATCH] for i in range(0, len(reference), BATCH))
    yield (
        "REC",
        (
            (keras.ops.convert_to_numpy(sampling.reconstruct(stage1, part)), part)
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
                        sampling.decode(stage1, z[i : i + BATCH])
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
        first = batch[: gallery.SHOWN] if first is None else first
        prepared = protocol.prepared(batch, reference, pixels)
        found.append(extractor(prepared, BATCH))
        made = measures.pixel_moments(prepared, made)
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


def main(options):
    """The command, with its flags."""
    protocol = Protocol(options.protocol, tuple(sorted(set(options.quirk))))
    numbers = {
        "seed": options.seed,
        "repeats": options.half_samples,
        "bound_images": options.bound_images,
        "importance_samples": options.importance_samples,
    }
    numbers["mixtures"] = tuple(options.mixtures)
    for name, least in (
        ("seed", 0),
        ("half_samples", 2),
        ("bound_images", 2),
        ("importance_samples", 1),
    ):
        if getattr(options, name) < least:
            raise InputError(
                f"received --{name.replace('_', '-')} {getattr(options, name)},"
                f" expected at least {least}"
            )
    if min(options.mixtures, default=1) < 1:
        raise InputError(
            f"received --mixtures {' '.join(map(str, options.mixtures))}, expected"
            " numbers of Gaussians, each at least 1"
        )
    config = runs.finished_stage1(options.run).saved_config()
    folder = Path(options.run) / "evaluation"
    folder.mkdir(exist_ok=True)
    with held(folder):  # a run that may not be written to is told before the work
        pass
    extractor = chosen_extractor(
        config, options.extractor, options.weights, options.inception_resize
    )
    for recalibrated in (
        (True, False) if options.recalibrate else (False,)
    ):  # the report shows the last
        result, path = evaluate(
            options.run, extractor, protocol, **numbers, recalibrated=recalibrated
        )
        print(f"{table(result)}\nwrote {path} and {path.with_suffix('.json').name}")
    print(f"wrote {Path(options.run) / 'report.html'}")


def check_extractor(name, weights):
    """Raises `InputError` unless a name comes with weights where it needs them, and
    only there.
    """
    if name in INCEPTIONS and not weights:
        raise InputError(
            f"received --extractor {name} without --weights, expected the file to read"
            " it from"
        )
    if weights and name not in INCEPTIONS:
        raise InputError(
            f"received --weights {weights} for"
            f" {f'--extractor {name}' if name else 'no --extractor'}, which reads none:"
            f" add --extractor {' or '.join(INCEPTIONS)}"
        )


def chosen_extractor(config, name=None, weights=None, resize="tf1"):
    """The `Extractor` of a name, for the data of a `Stage1Config`. None: a classifier
    of the data where they have labels and enough images for one, else the random
    network.
    """
    check_extractor(name, weights)
    if name == "inception2015":
        return inception.inception_2015(weights, resize)
    if name == "keras":
        return inception.keras_inception(weights)
    if name == "random":
        return random_network()
    train, test = _split(config, "train"), _split(config, "test")
    if name is None and (
        train[1] is None or test[1] is None or len(train[0]) < CLASSIFIER_BATCH
    ):
        return random_network()
    return classifier(Path(config.data).name, train, test)
