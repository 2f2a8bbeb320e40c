"""The SavedModel: sampling with TensorFlow alone. `python -m twostage.export --run RUN`
writes it from a run's `.keras` files.
"""

import functools
import os
import shutil
from pathlib import Path

import numpy as np

from twostage.errors import InputError, first_line
from twostage.models import serialization
from twostage.runs.run import finished_stage1, finished_stage2
from twostage.system.random_streams import SavedModelStream

# images that go through a network at once, so that sample(10_000, seed) needs little
# memory
CHUNK = 256


def write(run, how="normalised", mixture=None):
    """Writes RUN/saved_model from stage 1, recalibrated where
    `RUN/stage1/recalibrated.keras` is there, and, once it is finished, stage 2. Returns
    its path.

    Args:
        run: The run folder.
        how, mixture: As `save` takes them.
    """
    run, second = Path(run), finished_stage2(run)
    stage2, normalizer = (
        second.load_model(name) if second else None
        for name in ("model.keras", "normalizer.keras")
    )
    return save(run / "saved_model", stage1_of(run), stage2, normalizer, how, mixture)


def save(path, stage1, stage2=None, normalizer=None, how="normalised", mixture=None):
    """Writes a SavedModel of models to `path`, which is replaced, and returns it.

    Endpoints, also as signatures; `n` and `seed` are int32 scalars, images float32 (n,
    height, width, channels) in [0, 1]: `sample(n, seed)`, `sample_first_stage(n,
    seed)`, `encode(images)` -> mean, log_var; `decode(z)`, `reconstruct(images)`. The
    images that go in are uint8. The same seed gives the same images on every load.

    Args:
        stage1, stage2: `VAE`s, on images and on latents; without the second `sample`
            draws from the first's prior.
        normalizer: A model of stage 2's latents that is applied before they are
            decoded, where `how` is normalised.
        how: How stage 2's latents are sampled, see `twostage.sampling`.
        mixture: A fitted `Mixture` of stage 1's latents that `sample` draws from
            instead of stage 2.
    """
    import keras
    import tensorflow as tf

    from twostage.sampling import generate

    if keras.backend.backend() != "tensorflow":
        raise InputError(
            f"received the backend {keras.backend.backend()}, a SavedModel needs"
            " TensorFlow's: set KERAS_BACKEND=tensorflow"
        )
    width = stage1.decoder.input_shape[-1]
    scalar, images = (
        tf.TensorSpec((), tf.int32),
        tf.TensorSpec((None, *stage1.encoder.input_shape[1:]), stage1.data_dtype),
    )
    decode = functools.partial(generate.decode, stage1)

    def normal(n, seed, stream):
        return tf.random.stateless_normal((n, width), [seed, stream], alg="philox")

    def sample_first_stage(n, seed):
        return in_chunks(decode, normal(n, seed, SavedModelStream.PRIOR))

    density = None if mixture is None else mixture.as_distribution()

    def sample(n, seed):
        if density is not None:
            return in_chunks(
                decode,
                density.sample(n, seed=tf.stack([seed, SavedModelStream.MIXTURE])),
            )
        if stage2 is None:
            return sample_first_stage(n, seed)
        z = generate.sample_latents(
            stage2,
            normal(n, seed, SavedModelStream.PRIOR),
            how,
            normalizer,
            normal(n, seed, SavedModelStream.DECODER_NOISE),
        )
        return in_chunks(decode, z)

    def checked(
        images,
        # TensorFlow turns floats in [0, 1] into the whole numbers 0 and 1 without a
        # word
    ):
        told = (
            "no images, or all of them black: were they floats? Give uint8, 0 to 255;"
            " black ones in a batch with others"
        )
        enough = tf.debugging.Assert(tf.reduce_any(images > 1), [told])
        with tf.control_dependencies([enough]):
            return tf.identity(images)

    def encode(images):
        mean, log_var = stage1.posterior(checked(images))
        return {"mean": mean, "log_var": log_var}

    archive = keras.export.ExportArchive()
    for name, model in {
        "stage1": stage1,
        "stage2": stage2,
        "normalizer": normalizer,
    }.items():
        if model is not None:
            archive.add_variable_collection(
                name, model.weights
            )  # not track(model): it traces a call of its own on floats
    archive.add_endpoint("sample", sample, [scalar, scalar])
    archive.add_endpoint("sample_first_stage", sample_first_stage, [scalar, scalar])
    archive.add_endpoint("encode", encode, [images])
    archive.add_endpoint("decode", decode, [tf.TensorSpec((None, width), tf.float32)])
    archive.add_endpoint(
        "reconstruct",
        lambda images: generate.reconstruct(stage1, checked(images)),
        [images],
    )
    return _place(archive, Path(path))


def stage1_of(run):
    """The stage 1 that is exported: recalibrated, where that was found better."""
    stage = finished_stage1(run)
    recalibrated = stage.path / "recalibrated.keras"
    if recalibrated.exists():
        return serialization.load_model(
            recalibrated,
            f"remove it, or write it again by `python -m twostage.export --run {run}"
            " --recalibrate`",
        )
    return stage.load_model()


class SavedVAE:
    """A SavedModel of `write`, with NumPy arrays in and out. Images are float32 (n,
    height, width, channels) in [0, 1].

    Args:
        path: RUN/saved_model.

    Raises:
        InputError: no SavedModel there, or no TensorFlow to load it.
    """

    def __init__(self, path):
        if not (Path(path) / "saved_model.pb").exists():
            raise InputError(
                f"received {path}, which holds no SavedModel: give RUN/saved_model of a"
                " trained run"
            )
        try:
            import tensorflow as tf
        except ImportError as error:
            raise InputError(
                "a SavedModel needs TensorFlow, which is not installed: pip install"
                " tensorflow"
            ) from error
        try:
            self.model = tf.saved_model.load(str(path))
        except (OSError, ValueError, IndexError, tf.errors.OpError) as error:
            raise InputError(
                f"received {path}, which is damaged ({first_line(error)}): write it"
                f" again by `python -m twostage.export --run {Path(path).parent}`"
            ) from error

    def sample(self, n, seed):
        """`n` images of both stages (of stage 1 until stage 2 is trained); the same
        seed gives the same images.
        """
        return self.model.sample(n, seed).numpy()

    def sample_first_stage(self, n, seed):
        """`n` images of stage 1 alone."""
        return self.model.sample_first_stage(n, seed).numpy()

    def encode(self, images):
        """(mean, log_var), each (n, k), of uint8 images."""
        found = self.model.encode(_uint8(images))
        return found["mean"].numpy(), found["log_var"].numpy()

    def decode(self, z):
        """Images of latents (n, k)."""
        return self.model.decode(np.asarray(z, "float32")).numpy()

    def reconstruct(self, images):
        """Stage 1's reconstructions of uint8 images, without noise."""
        return self.model.reconstruct(_uint8(images)).numpy()


def load(path):
    """The `SavedVAE` at RUN/saved_model."""
    return SavedVAE(path)


def _uint8(images):
    images = np.asarray(images)
    if images.dtype != np.uint8:
        raise ValueError(
            f"received images of type {images.dtype}, expected uint8, 0 to 255"
        )
    return images


def in_chunks(function, z):
    """`function` over at most CHUNK rows of z at a time, in the graph."""
    import tensorflow as tf

    count = tf.shape(z)[0]
    with tf.control_dependencies(
        [
            tf.debugging.Assert(
                count > 0, ["received n below 1, expected at least 1 sample"]
            )
        ]
    ):
        count = tf.identity(count)
    pieces = tf.TensorArray(
        tf.float32,
        size=(count + CHUNK - 1) // CHUNK,
        infer_shape=False,
        element_shape=None,
    )
    _, pieces = tf.while_loop(
        lambda i, _: i * CHUNK < count,
        lambda i, pieces: (
            i + 1,
            pieces.write(i, function(z[i * CHUNK : (i + 1) * CHUNK])),
        ),
        (0, pieces),
        parallel_iterations=1,
    )
    return pieces.concat()


def _place(archive, path):
    """Writes aside, then swaps. Where a crash falls between the two renames, the next
    export still finds nothing half-written.
    """
    import tensorflow as tf

    aside, old = path.with_name("part-saved_model"), path.with_name("old-saved_model")
    if old.exists() and not path.exists():  # killed between the two renames
        os.rename(old, path)
    for leftover in (aside, old):
        shutil.rmtree(leftover, ignore_errors=True)
    try:
        archive.write_out(str(aside), verbose=False)
    except (
        OSError,
        tf.errors.OpError,
    ) as error:  # the second is how TensorFlow tells of a full disk
        shutil.rmtree(aside, ignore_errors=True)
        if isinstance(error, OSError):
            raise
        reason = (error.message or type(error).__name__).splitlines()[0]
        raise InputError(
            f"{path} was not written ({reason}), the run is whole: make room, then"
            f" `python -m twostage.export --run {path.parent}`"
        ) from error
    if path.exists():
        os.rename(path, old)
    os.rename(aside, path)
    shutil.rmtree(old, ignore_errors=True)
    return path
