"""Pictures of what a VAE does, drawn while it trains."""

import os
import pathlib
from collections.abc import Callable
from importlib.util import find_spec
from typing import Any, Self

import keras
import numpy as np

from .contract import (
    check_decoder,
    check_images,
    check_posterior,
    find_images,
    find_posterior,
    random_subset,
    restore_config,
)


@keras.saving.register_keras_serializable("callbacks")
class ImageGrid(keras.callbacks.Callback):
    """Writes `reconstructions_0001.png` (originals left, reconstructions right of them)
    and `samples_0001.png` after epoch 1, and so on.

    The samples come from the same z in every epoch, so that one sees them sharpen. Both
    use no noise but that of z ~ N(0, I).

    Args:
        folder: Where the PNG files go; made if it is not there.
        data: Images (N, height, width, channels), uint8 or float in [0, 1], of which a
            fixed random few are reconstructed. `None`: samples only.
        latent_dim: Width of z; needed only where there are no data to tell.
        posterior: `posterior(model, x)` -> (mean, log_var). `None`: the model's own,
            see the package's docstring.
        decode: `decode(model, z)` -> images in [0, 1]. `None`: `model.decode(z)`, else
            `model.decoder(z)`.
        rows: The grids hold rows x rows images; of reconstructions, where that is odd,
            a column less.
        seed: Of the fixed z.
        freq: Epochs from one picture to the next.
        tensorboard: Folder of TensorBoard logs to write the pictures to as well (needs
            TensorFlow).

    Example:

    ```python
    vae.fit(images, callbacks=[ImageGrid("pictures", images, freq=5)])
    ```

    Raises:
        ValueError: bad arguments; when training begins, a model without encoder or
            decoder to draw with, or no Pillow.
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
    ):
        super().__init__()
        if rows < 2 or freq < 1:
            raise ValueError(
                f"received rows={rows} and freq={freq}, expected at least 2 and 1"
            )
        if data is None and latent_dim is None:
            raise ValueError(
                "received neither data nor latent_dim: give images to reconstruct, or"
                " the width of z"
            )
        self.folder, self.latent_dim, self.posterior, self.decode = (
            str(folder),
            latent_dim,
            posterior,
            decode,
        )
        self.rows, self.seed, self.freq, self.tensorboard = (
            rows,
            seed,
            freq,
            None if tensorboard is None else str(tensorboard),
        )
        self.data = (
            None if data is None else random_subset(data, rows * (rows // 2), seed)
        )

    def on_train_begin(self, logs: dict[str, float] | None = None) -> None:
        if find_spec("PIL") is None:
            raise ValueError(
                "received no Pillow, which writes the pictures: pip install pillow"
            )
        check_decoder(self.model, self.decode)
        if self.data is None:
            check_images(
                self.model, np.zeros((2, self.latent_dim), "float32"), self.decode
            )
        else:
            check_images(
                self.model,
                check_posterior(self.model, self.posterior, self.data),
                self.decode,
                self.data.shape[1:],
            )
        pathlib.Path(self.folder).mkdir(parents=True, exist_ok=True)

    def on_epoch_end(self, epoch: int, logs: dict[str, float] | None = None) -> None:
        if (epoch + 1) % self.freq:
            return
        width = self.latent_dim
        if self.data is not None:
            mean, _ = find_posterior(self.model, self.data, self.posterior)
            width = mean.shape[1]
            again = find_images(self.model, mean.astype("float32"), self.decode)
            originals = (
                self.data / np.float32(255)
                if self.data.dtype == np.uint8
                else self.data
            )
            pairs = np.stack([originals, again], axis=1).reshape(
                -1, *again.shape[1:]
            )  # (2n, height, width, channels)
            self._write("reconstructions", epoch, pairs, self.rows - self.rows % 2)
        z = np.random.default_rng(self.seed).standard_normal(
            (self.rows**2, width), dtype="float32"
        )
        self._write(
            "samples", epoch, find_images(self.model, z, self.decode), self.rows
        )

    def _write(self, name: str, epoch: int, images: np.ndarray, columns: int) -> None:
        grid = tile(images, columns)
        save_png(pathlib.Path(self.folder) / f"{name}_{epoch + 1:04d}.png", grid)
        if self.tensorboard:
            import tensorflow as tf

            with tf.summary.create_file_writer(self.tensorboard).as_default():
                tf.summary.image(name, grid[None], step=epoch)

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
        )
        return {name: getattr(self, name) for name in names}

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> Self:
        return cls(**restore_config(config))


def tile(images: np.ndarray, columns: int, gap: int = 1) -> np.ndarray:
    """Images (n, height, width, channels), float in [0, 1] -> one uint8 picture (rows
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


def save_png(path: str | os.PathLike, picture: np.ndarray) -> None:
    """Writes a uint8 picture (height, width, 1 or 3) so that the file is whole or
    absent. Small pictures are enlarged.
    """
    from PIL import Image

    image = Image.fromarray(picture[:, :, 0] if picture.shape[-1] == 1 else picture)
    factor = max(1, 512 // max(image.size))
    image = image.resize(
        (image.width * factor, image.height * factor), Image.Resampling.NEAREST
    )
    aside = f"{path}.part"
    image.save(aside, format="png")
    os.replace(aside, path)
