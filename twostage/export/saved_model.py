"""The SavedModel: sampling with TensorFlow alone."""

import functools
import logging
import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

from twostage.errors import InputError
from twostage.models.gaussian_mixture import Mixture
from twostage.models.two_stage_models import TwoStageModels
from twostage.system.random_streams import SavedModelStream

logger = logging.getLogger(__name__)

# Images that go through a network at once, so that sample(10_000, seed) needs little
# memory.
CHUNK = 256
# TensorFlow casts floats in [0, 1] to the whole numbers 0 and 1 without a warning.
BLACK = (
    "no images, or all of them black: were they floats? Give uint8, 0 to 255; black"
    " ones in a batch with others"
)


def save(
    path: str | Path,
    models: TwoStageModels,
    *,
    method: str = "normalised",
    mixture: Mixture | None = None,
) -> Path:
    """Writes a SavedModel to `path`, which is replaced, and returns the path.

    Endpoints, also as signatures; `n` and `seed` are int32 scalars, images float32 (n,
    height, width, channels) in [0, 1]: `sample(n, seed)`, `sample_first_stage(n,
    seed)`, `encode(images)` -> mean, log_var; `decode(z)`, `reconstruct(images)`. The
    images that go in are uint8. The same seed gives the same images on every load.

    Args:
        path: Folder of the SavedModel.
        models: Without stage 2 `sample` draws from stage 1's prior.
        method: How stage 2's latents are sampled, see `twostage.sampling.generate`.
        mixture: A fitted `Mixture` of stage 1's latents that `sample` draws from
            instead of stage 2.

    Raises:
        InputError: the backend is not TensorFlow's, or the disk is full.
    """
    import keras

    backend = keras.backend.backend()
    if backend != "tensorflow":
        raise InputError(
            f"received the backend {backend}, a SavedModel needs TensorFlow's: set"
            " KERAS_BACKEND=tensorflow"
        )
    logger.info("writing the SavedModel %s", path)
    archive = keras.export.ExportArchive()
    # Not track(model): it traces a call of its own on floats.
    for name in ("stage1", "stage2", "normalizer"):
        model = getattr(models, name)
        if model is not None:
            archive.add_variable_collection(name, model.weights)
    _add_samplers(archive, models, method, mixture)
    _add_coders(archive, models.stage1)
    return _place(archive, Path(path))


def _add_samplers(
    archive: Any, models: TwoStageModels, method: str, mixture: Mixture | None
) -> None:
    import tensorflow as tf

    from twostage.sampling import generate

    decode = functools.partial(generate.decode, models.stage1)
    width = models.stage1.decoder.input_shape[-1]
    density = None if mixture is None else mixture.as_distribution()

    def normal(n, seed, stream):
        return tf.random.stateless_normal((n, width), (seed, stream), alg="philox")

    def sample_first_stage(n, seed):
        return in_chunks(decode, normal(n, seed, SavedModelStream.PRIOR))

    def sample(n, seed):
        if density is not None:
            mixed = tf.stack([seed, SavedModelStream.MIXTURE])
            return in_chunks(decode, density.sample(n, seed=mixed))
        if models.stage2 is None:
            return sample_first_stage(n, seed)
        z = generate.sample_latents(
            models.stage2,
            normal(n, seed, SavedModelStream.PRIOR),
            method=method,
            normalizer=models.normalizer,
            noise=normal(n, seed, SavedModelStream.DECODER_NOISE),
        )
        return in_chunks(decode, z)

    scalar = tf.TensorSpec((), tf.int32)
    archive.add_endpoint("sample", sample, [scalar, scalar])
    archive.add_endpoint("sample_first_stage", sample_first_stage, [scalar, scalar])


def _add_coders(archive: Any, stage1: Any) -> None:
    import tensorflow as tf

    from twostage.sampling import generate

    def checked(images):
        enough = tf.debugging.Assert(tf.reduce_any(images > 1), [BLACK])
        with tf.control_dependencies([enough]):
            return tf.identity(images)

    def encode(images):
        mean, log_var = stage1.posterior(checked(images))
        return {"mean": mean, "log_var": log_var}

    def decode(z):
        return generate.decode(stage1, z)

    def reconstruct(images):
        return generate.reconstruct(stage1, checked(images))

    shape = (None, *stage1.encoder.input_shape[1:])
    images = tf.TensorSpec(shape, stage1.data_dtype)
    width = stage1.decoder.input_shape[-1]
    archive.add_endpoint("encode", encode, [images])
    archive.add_endpoint("decode", decode, [tf.TensorSpec((None, width), tf.float32)])
    archive.add_endpoint("reconstruct", reconstruct, [images])


def in_chunks(function: Callable, z: Any) -> Any:
    """`function` over at most CHUNK rows of z at a time, in the graph."""
    import tensorflow as tf

    count = tf.shape(z)[0]
    positive = tf.debugging.Assert(
        count > 0, ["received n below 1, expected at least 1 sample"]
    )
    with tf.control_dependencies([positive]):
        count = tf.identity(count)
    pieces = tf.TensorArray(
        tf.float32,
        size=(count + CHUNK - 1) // CHUNK,
        infer_shape=False,
        element_shape=None,
    )

    def step(i, pieces):
        return i + 1, pieces.write(i, function(z[i * CHUNK : (i + 1) * CHUNK]))

    _, pieces = tf.while_loop(
        lambda i, _: i * CHUNK < count, step, (0, pieces), parallel_iterations=1
    )
    return pieces.concat()


def _place(archive: Any, path: Path) -> Path:
    """Writes aside, then swaps. Where a crash falls between the two renames, the next
    export still finds nothing half-written.
    """
    aside, old = path.with_name(f"part-{path.name}"), path.with_name(f"old-{path.name}")
    if old.exists() and not path.exists():  # killed between the two renames
        os.rename(old, path)
    for leftover in (aside, old):
        shutil.rmtree(leftover, ignore_errors=True)
    _write_aside(archive, aside, path)
    if path.exists():
        os.rename(path, old)
    os.rename(aside, path)
    shutil.rmtree(old, ignore_errors=True)
    return path


def _write_aside(archive: Any, aside: Path, path: Path) -> None:
    import tensorflow as tf

    aside.parent.mkdir(parents=True, exist_ok=True)
    try:
        archive.write_out(str(aside), verbose=False)
    except (OSError, tf.errors.OpError) as error:
        shutil.rmtree(aside, ignore_errors=True)
        if isinstance(error, OSError):
            raise
        # TensorFlow's way to report a full disk
        reason = (error.message or type(error).__name__).splitlines()[0]
        raise InputError(
            f"{path} was not written ({reason}), everything else is intact: make room,"
            f" then `export_run(run={str(path.parent)!r})`"
        ) from error
