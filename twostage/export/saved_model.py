"""The SavedModel: sampling with TensorFlow alone."""

import functools
import logging
import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import keras

from twostage.errors import InputError
from twostage.export import graph_checks
from twostage.export.latent_transform import LatentTransform
from twostage.models.gaussian_mixture import Mixture
from twostage.models.two_stage_models import KERAS_MODELS, TwoStageModels
from twostage.models.vae import VAE
from twostage.sampling import generate
from twostage.system.files import replace_folder
from twostage.system.random_streams import SavedModelStream

logger = logging.getLogger(__name__)

# Images that go through a network at once, so that sample(10_000, seed) needs little
# memory.
CHUNK = 256
# what a SavedModel's folder holds
CONTENT = ("saved_model.pb", "fingerprint.pb", "variables", "assets")


def save(
    path: str | Path,
    models: TwoStageModels,
    *,
    method: str = "normalized",
    mixture: Mixture | None = None,
) -> Path:
    """Writes a SavedModel to `path`, where an earlier one is replaced, and returns the
    path.

    Endpoints, also as signatures; `n` and `seed` are int32 scalars, images float32 (n,
    height, width, channels) in [0, 1]: `sample(n, seed)`, `sample_first_stage(n,
    seed)`, `sample_from(u)`, `encode(images)` -> mean, log_var; `decode(z)`,
    `reconstruct(images)`. The images that go in are uint8, or whole numbers from 0 to
    255 of other types; the signatures take float32, so that the graph sees what a
    caller gives, and refuses what is no such image. The same seed gives the same images
    on every load.

    Args:
        path: Folder of the SavedModel.
        models: Without stage 2 `sample` draws from stage 1's prior.
        method: How stage 2's latents are sampled, see `twostage.sampling.generate`.
        mixture: A fitted `Mixture` of stage 1's latents that `sample` draws from
            instead of stage 2.

    Raises:
        InputError: the backend is not TensorFlow's, or the disk is full.
    """
    backend = keras.backend.backend()
    if backend != "tensorflow":
        raise InputError(
            f"received the backend {backend}, a SavedModel needs TensorFlow's: set"
            " KERAS_BACKEND=tensorflow"
        )
    logger.info("writing the SavedModel %s", path)
    import tensorflow as tf

    module = tf.Module()
    # Not the models: TensorFlow would trace calls of their own on floats.
    for name in KERAS_MODELS:
        model = getattr(models, name)
        weights = [] if model is None else model.weights
        setattr(module, name, [weight.value for weight in weights])
    signatures = {
        **_add_samplers(module, models, method, mixture),
        **_add_coders(module, models.stage1),
    }
    signatures["serving_default"] = signatures["sample"]
    return _write(module, signatures, Path(path))


def _add_samplers(
    module: Any, models: TwoStageModels, method: str, mixture: Mixture | None
) -> dict[str, Any]:
    """Adds the endpoints that draw, and returns their signatures."""
    import tensorflow as tf

    decode = functools.partial(generate.decode, models.stage1)
    transform = LatentTransform(models, method, mixture)
    density = None if mixture is None else mixture.as_distribution()
    width = models.stage1.decoder.input_shape[-1]
    shape = models.stage1.encoder.input_shape[1:]

    def normal(n, seed, stream):
        return tf.random.stateless_normal((n, width), (seed, stream), alg="philox")

    def sample_first_stage(n, seed):
        n = graph_checks.checked_count(n)
        return in_chunks(decode, normal(n, seed, SavedModelStream.PRIOR), shape)

    def sample(n, seed):
        n = graph_checks.checked_count(n)
        if density is not None:
            mixed = tf.stack([seed, SavedModelStream.MIXTURE])
            return in_chunks(decode, density.sample(n, seed=mixed), shape)
        streams = {"u": SavedModelStream.PRIOR, "noise": SavedModelStream.DECODER_NOISE}
        draws = (normal(n, seed, streams[name]) for name in transform.inputs)
        return in_chunks(decode, transform(*draws), shape)

    def sample_from(*draws):
        draws = graph_checks.checked_draws(list(transform.inputs), draws)
        return decode(transform(*draws))

    scalars = [tf.TensorSpec((), tf.int32, name) for name in ("n", "seed")]
    draws = transform.specs()
    return {
        "sample": _add(module, sample, scalars),
        "sample_first_stage": _add(module, sample_first_stage, scalars),
        "sample_from": _add(module, sample_from, draws),
    }


def _add_coders(module: Any, stage1: VAE) -> dict[str, Any]:
    """Adds the endpoints that encode and decode, and returns their signatures."""
    import tensorflow as tf

    def encode(images):
        mean, log_var = stage1.posterior(images)
        return {"mean": mean, "log_var": log_var}

    def decode(z):
        return generate.decode(stage1, *graph_checks.checked_draws(["z"], [z]))

    def reconstruct(images):
        return generate.reconstruct(stage1, images)

    width = stage1.decoder.input_shape[-1]
    return {
        "encode": _add_of_images(module, encode, stage1),
        "decode": _add(module, decode, [tf.TensorSpec((None, width), name="z")]),
        "reconstruct": _add_of_images(module, reconstruct, stage1),
    }


def _add(module: Any, function: Callable, specs: list[Any]) -> Any:
    """Adds an endpoint of the function's name, and returns its signature."""
    import tensorflow as tf

    endpoint = tf.function(function, input_signature=specs, autograph=False)
    setattr(module, function.__name__, endpoint)
    return _with_names(endpoint, specs)


def _add_of_images(module: Any, function: Callable, stage1: VAE) -> Any:
    """Adds an endpoint of images, which are checked where they are pixels, and returns
    its signature.
    """
    import tensorflow as tf

    shape = stage1.encoder.input_shape[1:]
    spec = tf.TensorSpec((None, *shape), tf.float32, "images")
    if stage1.data_dtype != "uint8":
        return _add(module, function, [spec])
    pixels = tf.TensorSpec((None, *shape), tf.uint8)
    network = tf.function(function, input_signature=[pixels], autograph=False)

    def checked(images):
        images, right = graph_checks.checked_pixels(images, shape)
        outputs = network(images)
        # where the check cannot stop the graph
        return tf.nest.map_structure(lambda x: tf.where(right, x, math.nan), outputs)

    # Of one type alone, TensorFlow would cast to it and say nothing.
    endpoint = tf.function(checked, autograph=False)
    any_shape: Any = None  # so that the check sees what does not fit
    for dtype in graph_checks.DTYPES:
        endpoint.get_concrete_function(tf.TensorSpec(any_shape, dtype, "images"))
    setattr(module, function.__name__, endpoint)
    return _with_names(checked, [spec])


def _with_names(function: Callable, specs: list[Any]) -> Any:
    """An endpoint's signature, in which inputs and outputs have names."""
    import tensorflow as tf

    names = [spec.name for spec in specs]

    def signature(**inputs):
        output = function(*(inputs[name] for name in names))
        return output if isinstance(output, dict) else {"images": output}

    named = tf.function(signature, autograph=False)
    return named.get_concrete_function(**dict(zip(names, specs, strict=True)))


def in_chunks(function: Callable, z: Any, shape: tuple[int, ...]) -> Any:
    """`function` over at most CHUNK rows of z at a time, in the graph.

    Args:
        function: Latents (n, k) -> images (n, *shape), float32.
        z: (n, k).
        shape: Of an image.
    """
    import tensorflow as tf

    count = tf.shape(z)[0]
    pieces = tf.TensorArray(
        tf.float32,
        size=(count + CHUNK - 1) // CHUNK,
        infer_shape=False,
        element_shape=(None, *shape),
    )

    def step(i, pieces):
        return i + 1, pieces.write(i, function(z[i * CHUNK : (i + 1) * CHUNK]))

    _, pieces = tf.while_loop(
        lambda i, _: i * CHUNK < count, step, (0, pieces), parallel_iterations=1
    )
    return tf.ensure_shape(pieces.concat(), (None, *shape))


def _write(module: Any, signatures: dict[str, Any], path: Path) -> Path:
    import tensorflow as tf

    def write(folder: Path) -> None:
        tf.saved_model.save(module, str(folder), signatures)

    try:
        return replace_folder(path, write, CONTENT)
    except tf.errors.OpError as error:  # TensorFlow's way to report a full disk
        reason = (error.message or type(error).__name__).splitlines()[0]
        raise InputError(
            f"{path} was not written ({reason}), everything else is intact: make room,"
            f" then `export_run(run={str(path.parent)!r})`"
        ) from error
