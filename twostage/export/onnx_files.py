"""ONNX files: encoding, decoding and sampling with ONNX Runtime alone."""

import contextlib
import logging
from collections.abc import Callable, Iterator
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import keras
import numpy as np

from twostage.errors import InputError, first_line
from twostage.export import graph_checks
from twostage.export.latent_transform import LatentTransform
from twostage.models.gaussian_mixture import Mixture
from twostage.models.two_stage_models import TwoStageModels
from twostage.sampling import generate
from twostage.system.files import replace_folder

CONTENT = ("encoder.onnx", "decoder.onnx", "sampler.onnx")


def save(
    path: str | Path,
    models: TwoStageModels,
    *,
    method: str = "normalized",
    mixture: Mixture | None = None,
) -> Path:
    """Writes encoder.onnx, decoder.onnx and sampler.onnx into the folder `path`, where
    an earlier export is replaced, and returns the path.

    encoder: `images`, uint8 (n, height, width, channels) -> `mean` and `log_var`,
    float32 (n, k). decoder: `z`, float32 (n, k) -> `images`, float32 (n, height, width,
    channels) in [0, 1]. sampler: `u`, float32 (n, k), standard normal -> `images`, of
    both stages; under the method "noise" and with a mixture it has a second input, see
    `LatentTransform`, and gives NaN where its inputs are of different n or a uniform
    number is not in [0, 1). Any n from 1 on will do. Everything is computed in float32.

    Args:
        path: Folder of the files.
        models, method, mixture: As for `twostage.export.saved_model.save`.

    Raises:
        InputError: the backend is not TensorFlow's, tf2onnx is not installed, or a
            model has an operation that ONNX lacks.
    """
    check_converter()
    import tensorflow as tf

    stage1 = models.stage1
    transform = LatentTransform(models, method, mixture)

    def encode(images):
        mean, log_var = stage1.posterior(images)
        return {"mean": mean, "log_var": log_var}

    def decode(z):
        return {"images": generate.decode(stage1, z)}

    def sample(*draws):
        # ONNX drops assertions
        right = graph_checks.right_draws(transform.inputs, draws)
        images = generate.decode(stage1, transform(*draws))
        return {"images": tf.where(right, images, np.nan)}

    shape, width = stage1.encoder.input_shape, stage1.decoder.input_shape[-1]
    images = tf.TensorSpec((None, *shape[1:]), stage1.data_dtype, "images")

    def write(folder: Path) -> None:
        folder.mkdir()
        latents = [tf.TensorSpec((None, width), name="z")]
        _convert(encode, [images], ["mean", "log_var"], folder / "encoder.onnx")
        _convert(decode, latents, ["images"], folder / "decoder.onnx")
        _convert(sample, transform.specs(), ["images"], folder / "sampler.onnx")

    with _in_float32(models):
        return replace_folder(path, write, CONTENT)


def check_converter() -> None:
    """Raises InputError where nothing here can write ONNX."""
    backend = keras.backend.backend()
    if backend != "tensorflow":
        raise InputError(
            f"the backend {backend}", "TensorFlow's", "set KERAS_BACKEND=tensorflow"
        )
    if not find_spec("tf2onnx"):
        raise InputError("no tf2onnx, which ONNX needs: pip install tf2onnx")


@contextlib.contextmanager
def _in_float32(models: TwoStageModels) -> Iterator[None]:
    """Within, networks of mixed precision compute in float32: ONNX Runtime has no
    convolutions in bfloat16.
    """
    parts = models.parts
    layers = [layer for part in parts for layer in part._flatten_layers()]
    policies = [layer.dtype_policy for layer in layers]
    try:
        for layer in layers:
            layer.dtype_policy = "float32"
        yield
    finally:
        for layer, policy in zip(layers, policies, strict=True):
            layer.dtype_policy = policy


def _convert(
    function: Callable, specs: list[Any], outputs: list[str], path: Path
) -> None:
    """Writes a function of tensors, which returns a dict of them, as an ONNX file whose
    inputs and outputs have the names of the specs and of the dict, in this order.

    Raises:
        InputError: ONNX lacks an operation of the function.
    """
    import onnx
    import tensorflow as tf
    import tf2onnx

    # it logs an operation that it cannot convert, and goes on
    logging.getLogger("tf2onnx").setLevel(logging.CRITICAL)
    traced = tf.function(function, autograph=False)
    model, _ = tf2onnx.convert.from_function(
        traced, input_signature=specs, custom_op_handlers={"Log1p": (_log1p, [])}
    )
    # TensorFlow sorts a dict by its keys
    by_name = {value.name: value for value in model.graph.output}
    del model.graph.output[:]
    model.graph.output.extend(by_name[name] for name in outputs)
    for value in (*model.graph.input, *model.graph.output):
        value.type.tensor_type.shape.dim[0].dim_param = "n"
    try:
        onnx.checker.check_model(model)
    except onnx.checker.ValidationError as error:
        raise InputError(
            f"a model whose {path.name} would not be valid ({first_line(error)})",
            "operations that ONNX has",
            "export a SavedModel instead",
        ) from error
    onnx.save(model, path)


def _log1p(context: Any, node: Any, name: str, arguments: Any) -> None:
    """tf2onnx's handler of TensorFlow's log(1 + x), which ONNX has as two operations:
    `BoundedLogVariance` uses it.
    """
    import tf2onnx

    one = context.make_const(tf2onnx.utils.make_name("one"), np.array(1, "float32"))
    total = context.make_node("Add", [node.input[0], one.output[0]])
    context.remove_node(node.name)
    context.make_node("Log", [total.output[0]], name=node.name, outputs=node.output)
