"""What the papers report of a run, with how it was got.

A straight line: models and data -> images of each kind -> features -> distances; then likelihoods and latents. RUN/evaluation holds the tables.
"""

import functools
from pathlib import Path

import keras
import numpy as np

import callbacks
import twostage
from twostage import data, runs, sampling, whole
from twostage.densities.mixture import Mixture
from twostage.errors import InputError
from twostage.latents import encode, redraw
from twostage.metrics import bounds, inception
from twostage.metrics.classifier import classifier
from twostage.metrics.frechet import extrapolated, frechet_of
from twostage.metrics.half_samples import interval
from twostage.metrics.kernel import kernel_distance
from twostage.metrics.neighbours import neighbour_measures
from twostage.metrics.normality import normality
from twostage.metrics.random_network import random_network
from twostage.models.recalibrate import recalibrate
from twostage.protocol import Protocol
from twostage.results import table

BATCH = 250  # images that go through a network together
MOST_NEIGHBOURS = 5_000  # rows between which all distances are taken


def evaluate(run, extractor, protocol, seed=0, repeats=10, bound_images=500, importance_samples=50, recalibrated=False):
    """Measures a finished run and writes RUN/evaluation/NAME.json.

    Args:
        run: The run folder; stage 2 is measured where it is finished.
        extractor: An `Extractor`.
        protocol: A `Protocol`.
        seed: Of all samples.
        repeats: Half-samples that the standard errors come from.
        bound_images: Test images, a random choice, whose likelihood is bounded.
        importance_samples: Draws of z for the importance-weighted bound.
        recalibrated: Whether stage 1's batch normalisation is measured anew on training images first.

    Returns:
        (result, path): a dict with `manifest`, `distances` (one dict a kind of image), `likelihood` and `latents`, and where its table was written.
    """
    models, config = load(run)
    images, _ = data.load_for(config, protocol.split)
    train, test = data.load_for(config, "train")[0], data.load_for(config, "test")[0]
    if recalibrated:
        recalibrate(models["stage1"], train, seed=seed)
    bounded = callbacks.contract.random_subset(test, bound_images, seed)
    reference = protocol.reference(images)
    real = extractor(reference, BATCH)
    distances = {}
    for kind, batches in generated(models, train, reference, protocol.count, seed):
        if kind == "REC" and "contrast" in protocol.quirks:  # which looks at the whole set
            batches = [(np.concatenate([batch for batch, _ in batches]), reference)]
        features = np.concatenate([extractor(protocol.prepared(batch, part), BATCH) for batch, part in batches])
        distances[kind] = _distances(real, features, repeats, seed)
        print(f"{kind}: {extractor.frechet_name} {distances[kind]['frechet']:.4g} +- {distances[kind]['frechet_error']:.2g}", flush=True)
    result = {
        "manifest": {
            "run": str(run), "extractor": extractor.manifest(), "protocol": protocol.manifest(), "reference_images": len(reference),
            "data": {"source": config.data, "crop": config.crop, "side": config.side, "resize": config.resize, "jpeg_roundtrip": config.jpeg_roundtrip, "pad": config.pad,
                     **runs.fingerprint(reference)},
            "batch_normalisation": "recalibrated on training images" if recalibrated else "moving averages of training", "seed": seed,
            "half_samples": repeats, "bound_images": len(bounded),
            "importance_samples": importance_samples, **runs.environment(),
        },
        "distances": distances, "likelihood": likelihood(models["stage1"], bounded, importance_samples, seed),
        "latents": latents(models, train, seed),
    }  # fmt: skip
    folder = Path(run) / "evaluation"
    folder.mkdir(exist_ok=True)
    name = "-".join([extractor.name.replace(" ", "_"), protocol.name, *protocol.quirks, *["recalibrated"] * recalibrated])
    whole.write_json(folder / f"{name}.json", result)
    whole.write(folder / f"{name}.md", table(result))
    return result, folder / f"{name}.md"


def load(run):
    """({stage1, stage2, normalizer: models of a run, what is finished of it}, stage 1's config)."""
    stage = runs.finished_stage1(run)
    twostage.VAE  # registers the classes that the files name
    read = functools.partial(keras.saving.load_model, compile=False)
    models = {"stage1": read(stage.path / "model.keras")}
    second = Path(run) / "stage2"
    if (second / "model.keras").exists() and (second / "normalizer.keras").exists():
        models |= {"stage2": read(second / "model.keras"), "normalizer": read(second / "normalizer.keras")}
    return models, stage.saved_config()


def generated(models, train, reference, count, seed):
    """Yields (kind, iterator of (images in [0, 1], the images that they reconstruct or None)), each kind made when its turn comes."""
    stage1, width = models["stage1"], models["stage1"].decoder.input_shape[-1]

    def decoded(z):
        return ((keras.ops.convert_to_numpy(stage1.decode(z[i : i + BATCH])), None) for i in range(0, len(z), BATCH))

    parts = (reference[i : i + BATCH] for i in range(0, len(reference), BATCH))
    yield "REC", ((keras.ops.convert_to_numpy(sampling.reconstruct(stage1, part)), part) for part in parts)
    u, noise = (np.random.default_rng((seed, stream)).standard_normal((count, width), dtype="float32") for stream in (2, 3))
    yield "GEN-1", decoded(u)
    for how in sampling.HOW if "stage2" in models else ():
        z = sampling.sample_latents(models["stage2"], u, how, models["normalizer"], noise)
        yield f"GEN-2 {how}", decoded(keras.ops.convert_to_numpy(z))
    mean, log_var = encode(stage1, train[np.sort(np.random.default_rng((seed, 0)).permutation(len(train))[:50_000])])
    posterior = redraw(np.stack([mean, log_var], axis=1), np.random.default_rng((seed, 1)))
    for name, components in (("Gaussian", 1), ("mixture of 10", 10)):
        yield name, decoded(Mixture(posterior, components, seed).draw(count, seed))


def likelihood(stage1, images, samples, seed):
    """Bounds of test images in nats an image, in bits a dimension, and the squared error a dimension."""
    plain = bounds.bounds(stage1, images, samples, seed)
    noisy = bounds.dequantised(images, seed)
    bits = bounds.bits_per_dimension(bounds.bounds(stage1, noisy, samples, seed)["importance"].mean(), noisy[0].size, noisy)
    error = [keras.ops.convert_to_numpy(sampling.reconstruct(stage1, images[i : i + BATCH])) - images[i : i + BATCH] / 255 for i in range(0, len(images), BATCH)]
    errors = {f"{name}_error": float(values.std(ddof=1) / len(values) ** 0.5) for name, values in plain.items()}
    return {**{name: float(values.mean()) for name, values in plain.items()}, **errors, "bits_per_dimension": bits, "mse": float(np.mean(np.concatenate(error) ** 2))}


def latents(models, train, seed):
    """Statistics of stage 1's posterior over at most 10,000 training images, and how normal its draws and stage 2's are."""
    rows = np.sort(np.random.default_rng((seed, 4)).permutation(len(train))[:10_000])
    mean, log_var = encode(models["stage1"], train[rows])
    z = redraw(np.stack([mean, log_var], axis=1), np.random.default_rng((seed, 5)))
    found = {"posterior": _summary(mean, log_var), "normality": {"z of stage 1": normality(z)}}
    if "stage2" in models:
        mean, log_var = encode(models["stage2"], z)
        found["posterior of stage 2"] = _summary(mean, log_var)
        found["normality"]["u of stage 2"] = normality(redraw(np.stack([mean, log_var], axis=1), np.random.default_rng((seed, 6))))
    return found


def _summary(mean, log_var):
    statistics = callbacks.statistics
    by_variance, by_mean, by_kl = statistics.count_active(mean, log_var)
    return {
        "latents": mean.shape[1], "variance_law": float(statistics.variance_law(mean, log_var).mean()),
        "variance_law_sd": float(statistics.variance_law_sd(mean, log_var).mean()), "active": by_variance, "active_mu": by_mean, "active_kl": by_kl,
        "kl_per_latent": np.sort(statistics.kl_per_latent(mean, log_var))[::-1].tolist(), "posterior_variance": np.sort(statistics.mean_variance(log_var)).tolist(),
    }  # fmt: skip


def _distances(real, features, repeats, seed):
    value, error, *_ = interval(frechet_of, real, features, repeats, seed)
    kernel, kernel_error, *_ = interval(kernel_distance, real, features, repeats, seed)
    enough = min(len(real), len(features)) >= 4 * real.shape[1]
    infinite = extrapolated(real, features, seed=seed)[0] if enough else None
    some = [each[np.random.default_rng(seed).permutation(len(each))[:MOST_NEIGHBOURS]] for each in (real, features)]
    return {
        "images": len(features), "frechet": value, "frechet_error": error, "frechet_infinite": infinite, "kernel": kernel, "kernel_error": kernel_error,
        **neighbour_measures(*some),
    }  # fmt: skip


def main(options):
    """The command, with its flags."""
    protocol = Protocol(options.protocol, tuple(sorted(set(options.quirk))))
    numbers = {"seed": options.seed, "repeats": options.half_samples, "bound_images": options.bound_images, "importance_samples": options.importance_samples}
    numbers["recalibrated"] = options.recalibrate
    for name, least in (("half_samples", 2), ("bound_images", 2), ("importance_samples", 1)):
        if getattr(options, name) < least:
            raise InputError(f"received --{name.replace('_', '-')} {getattr(options, name)}, expected at least {least}")
    config = runs.finished_stage1(options.run).saved_config()
    extractor = chosen_extractor(config, options.extractor, options.weights, options.inception_resize)
    result, path = evaluate(options.run, extractor, protocol, **numbers)
    print(f"{table(result)}\nwrote {path} and {path.with_suffix('.json').name}")


def chosen_extractor(config, name=None, weights=None, resize="tf1"):
    """The `Extractor` of a name, for the data of a `Stage1Config`. None: a classifier of the data where they have labels, else the random network."""
    if name in ("inception2015", "keras") and not weights:
        raise InputError(f"received --extractor {name} without --weights, expected the file to read it from")
    if name == "inception2015":
        return inception.inception_2015(weights, resize)
    if name == "keras":
        return inception.keras_inception(weights)
    train, test = data.load_for(config, "train"), data.load_for(config, "test")
    if name == "random" or name is None and train[1] is None:
        return random_network()
    return classifier(Path(config.data).name, train, test)
