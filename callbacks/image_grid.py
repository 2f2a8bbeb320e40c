"""Reconstructions and samples of a VAE, drawn while it trains."""

import io
import logging
import math
import os
import pathlib
from collections.abc import Callable
from importlib.util import find_spec
from typing import Any

import keras
import numpy as np

from . import files
from .arguments import function, is_number, posterior_function, whole
from .decoder import (
    check_decoder,
    check_images,
    find_images,
    images_of,
    repeated,
)
from .examples import random_subset
from .model_callback import ModelCallback
from .posterior import check_posterior, find_posterior
from .training_progress import TrainingProgress

SLACK = 0.1  # of the range: a linear output lies so far outside
MAX_OUTSIDE = 0.35  # share of the values


@keras.saving.register_keras_serializable("callbacks")
class ImageGrid(ModelCallback):
    """Writes `reconstructions_0001.png` (originals left, reconstructions right of them)
    and `samples_0001.png` after epoch 1, and so on.

    The samples come from the same z in every epoch, so that epochs can be compared.
    Both use no noise but that of z ~ N(0, I).

    Args:
        folder: Where the PNG files go; made if it is not there.
        data: Images (N, height, width, channels) as the encoder takes them, of which a
            fixed random few are reconstructed: uint8, or floats in `value_range`; 1, 3
            or 4 channels. Where the model has several inputs, a list or dict of arrays,
            one of which holds the images. `None`: samples only.
        latent_dim: Width of z; needed only without data.
        posterior: `posterior(model, x)` -> (mean, log_var). `None`: the model's own,
            see the package's docstring.
        decode: `decode(model, z)` -> images in `value_range`, or `decode(model, z, x)`,
            which also gets the rows of `data` whose latents z are, or under whose
            labels the samples are drawn. `None`: `model.decode(z)`, else
            `model.decoder(z)`.
        rows: Grids have rows x rows images. If `rows` is odd, the grid of
            reconstructions has one column less.
        seed: Of the fixed z.
        freq: Epochs between grids; the first epoch has one.
        tensorboard: Folder of TensorBoard logs to write the grids to as well (needs
            TensorBoard and TensorFlow).
        value_range: Black and white of the decoder's images, and of float data, such
            as (-1, 1) or (0, 255).

    Example:

    ```python
    vae.fit(images, callbacks=[ImageGrid("images", images, freq=5)])
    ```

    Raises:
        ValueError: bad arguments, or data outside `value_range`; when training begins,
            a model without usable encoder or decoder, or no Pillow.
    """

    def __init__(
        self,
        folder: str | os.PathLike,
        data: Any = None,
        latent_dim: int | None = None,
        posterior: Callable | None = None,
        decode: Callable | None = None,
        rows: int = 8,
        seed: int = 0,
        freq: int = 1,
        tensorboard: str | os.PathLike | None = None,
        value_range: tuple[float, float] = (0.0, 1.0),
    ):
        super().__init__()
        rows, seed = whole("rows", rows, 2), whole("seed", seed, 0)
        if latent_dim is not None:
            latent_dim = whole("latent_dim", latent_dim, 1)
        if data is None and latent_dim is None:
            raise ValueError(
                "received neither data nor latent_dim: give images to reconstruct, or"
                " the width of z"
            )
        if not _is_range(value_range):
            raise ValueError(
                f"received value_range={value_range}, expected (black, white), such as"
                " (-1, 1)"
            )
        self.folder = str(folder)
        self.latent_dim = latent_dim
        self.posterior = posterior_function(posterior)
        self.decode = function("decode", decode, "decode(model, z) -> images")
        self.rows, self.seed, self.freq = rows, seed, whole("freq", freq, 1)
        self.tensorboard = None if tensorboard is None else str(tensorboard)
        black, white = value_range
        self.value_range = (float(black), float(white))
        self.progress = TrainingProgress()
        self._warned = False
        self.data = None
        if data is not None:
            self.data = random_subset(data, rows * (rows // 2), seed)
            _check_range(images_of(self.data), self.value_range)

    def on_train_begin(self, logs: dict[str, float] | None = None) -> None:
        self._check_packages()
        model = self.model
        check_decoder(model, self.decode)
        if not self.progress.begin(model):
            self._warned = False
        shape = None
        z = np.zeros((2, self.latent_dim or 0), "float32")
        examples = None
        if self.data is not None:
            z = check_posterior(model, self.posterior, self.data)
            examples = repeated(self.data, len(z))
            shape = images_of(self.data).shape[1:]
        check_images(find_images(model, z, self.decode, examples), shape)
        pathlib.Path(self.folder).mkdir(parents=True, exist_ok=True)

    def on_epoch_end(self, epoch: int, logs: dict[str, float] | None = None) -> None:
        epoch = self.progress.epoch(epoch)
        if epoch and (epoch + 1) % self.freq:
            return
        model = self.model
        shape: tuple[int, ...] = (self.latent_dim or 0,)
        examples = None
        count = self.rows**2
        if self.data is not None:
            mean, _ = find_posterior(model, self.data, self.posterior)
            shape = mean.shape[1:]
            self._write_reconstructions(epoch, mean.astype("float32"))
            examples = repeated(self.data, count)
        generator = np.random.default_rng(self.seed)
        z = generator.standard_normal((count, *shape), dtype="float32")
        samples = self._scaled(find_images(model, z, self.decode, examples))
        self._write("samples", epoch, samples, self.rows)

    def get_config(self) -> dict[str, Any]:
        names = (
            "folder",
            "data",
            "latent_dim",
            "posterior",
            "decode",
            "rows",
            "seed",
            "freq",
            "tensorboard",
            "value_range",
        )
        return {name: getattr(self, name) for name in names}

    def _check_packages(self) -> None:
        if find_spec("PIL") is None:
            raise ValueError(
                "Pillow, which writes the images, is not installed: pip install pillow"
            )
        if self.tensorboard is None:
            return
        needed = "tensorboard", "tensorflow"
        missing = [package for package in needed if find_spec(package) is None]
        if missing:
            raise ValueError(
                f"`tensorboard={self.tensorboard!r}` needs {' and '.join(missing)}, not"
                f" installed: pip install {' '.join(missing)}"
            )

    def _write_reconstructions(self, epoch: int, mean: np.ndarray) -> None:
        decoded = find_images(self.model, mean, self.decode, self.data)
        originals = images_of(self.data)
        if originals.dtype == np.uint8:
            originals = originals / np.float32(255)
        elif originals.dtype != bool:
            originals = self._scaled(originals, warn=False)
        pairs = np.stack([originals, self._scaled(decoded)], axis=1)
        pairs = pairs.reshape(-1, *decoded.shape[1:])  # (2n, height, width, channels)
        self._write("reconstructions", epoch, pairs, self.rows - self.rows % 2)

    def _scaled(self, images: np.ndarray, warn: bool = True) -> np.ndarray:
        """From `value_range` to [0, 1]; what lies outside is clipped later."""
        low, high = self.value_range
        scaled = (images - np.float32(low)) / np.float32(high - low)
        if warn and not self._warned:
            outside = (scaled < -SLACK) | (scaled > 1 + SLACK)
            self._check_decoded(images, float(np.mean(outside)))
        return scaled

    def _check_decoded(self, images: np.ndarray, outside: float) -> None:
        """Warns once where the decoder's images are of another range.

        Args:
            outside: The share of the values that lie far outside `value_range`.
        """
        low, high = self.value_range
        advice = None
        if outside > MAX_OUTSIDE:
            advice = (
                "give ImageGrid their value_range, or, where they are logits,"
                " decode=lambda model, z: keras.ops.sigmoid(model.decoder(z))"
            )
        elif high > 2 and images.max() <= 1.01:
            advice = (
                f"give ImageGrid decode=lambda model, z: {high:g} * model.decoder(z)"
            )
        if advice:
            self._warned = True
            logging.getLogger(__name__).warning(
                "the decoder's values are from %.3g to %.3g, expected images in [%g,"
                " %g]: %s",
                images.min(),
                images.max(),
                low,
                high,
                advice,
            )

    def _write(self, name: str, epoch: int, images: np.ndarray, columns: int) -> None:
        grid = tile(images, columns)
        save_png(pathlib.Path(self.folder) / f"{name}_{epoch + 1:04d}.png", grid)
        if self.tensorboard:
            import tensorflow as tf

            with tf.summary.create_file_writer(self.tensorboard).as_default():
                tf.summary.image(name, grid[None], step=epoch)


def _is_range(value_range: Any) -> bool:
    """Whether it is (black, white), two finite numbers, the second one larger."""
    if np.shape(value_range) != (2,) or not all(map(is_number, value_range)):
        return False
    black, white = value_range
    return -math.inf < black < white < math.inf


def _check_range(images: np.ndarray, value_range: tuple[float, float]) -> None:
    """Raises ValueError where images have values outside the range."""
    if images.dtype in (np.uint8, np.bool_):
        return
    (low, high), (least, greatest) = value_range, (images.min(), images.max())
    slack = 0.01 * (high - low)
    if low - slack <= least and greatest <= high + slack:
        return
    width = max(abs(least), abs(greatest))
    guess = (-0.5, 0.5) if width <= 0.5 + slack else (-1, 1)
    if least >= 0:
        guess = (0, 255) if 2 < greatest <= 255 else (0, math.ceil(greatest))
    elif width > 1 + slack:
        guess = (math.floor(least), math.ceil(greatest))
    raise ValueError(
        f"received images from {least:.4g} to {greatest:.4g}, expected [{low:g},"
        f" {high:g}]. Give their black and white, such as value_range={guess}"
    )


def tile(images: np.ndarray, columns: int, gap: int = 1) -> np.ndarray:
    """Images (n, height, width, channels), float in [0, 1] -> one uint8 image (rows
    height, columns width, channels), white between.
    """
    count, height, width, channels = images.shape
    rows = -(-count // columns)
    grid = np.full((rows, columns, height + gap, width + gap, channels), 255, "uint8")
    pixels = np.rint(np.clip(np.nan_to_num(images), 0, 1) * 255).astype("uint8")
    for i, image in enumerate(pixels):
        grid[i // columns, i % columns, :height, :width] = image
    return grid.transpose(0, 2, 1, 3, 4).reshape(
        rows * (height + gap), columns * (width + gap), channels
    )


def save_png(path: str | os.PathLike, pixels: np.ndarray) -> None:
    """Writes a uint8 image (height, width, 1, 3 or 4), whole or not at all. Small
    images are enlarged.
    """
    from PIL import Image

    image = Image.fromarray(pixels[:, :, 0] if pixels.shape[-1] == 1 else pixels)
    factor = max(1, 512 // max(image.size))
    size = (image.width * factor, image.height * factor)
    buffer = io.BytesIO()
    image.resize(size, Image.Resampling.NEAREST).save(buffer, format="png")
    files.write(str(path), buffer.getvalue())
