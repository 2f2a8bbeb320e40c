"""What the page shows, as arrays: nothing here knows of the page's layout."""

import dataclasses
from pathlib import Path

import numpy as np

from twostage.errors import InputError
from twostage.evaluation.latent_metrics import most_active
from twostage.explore.latents import PATHS, edited, interpolated, shown
from twostage.explore.sources import Source, open_source
from twostage.explore.uploads import Uploads, uploads_for
from twostage.export.saved_vae import LARGEST
from twostage.features.extractor import quantized
from twostage.runs.run import StageRun

MAX_SAMPLES = 400  # images of one grid
MAX_STEPS = 32  # images of one interpolation
SLIDERS = 8  # of the most active latents
ACTIVITY_SAMPLES = 256  # samples whose encoding ranks the latents


@dataclasses.dataclass(frozen=True)
class Shown:
    """Images of one grid.

    Args:
        images: float32 (n, height, width, channels) in [0, 1].
        name: Of the file, without a suffix.
        columns: Of the grid. None: as square as n allows.
    """

    images: np.ndarray
    name: str
    columns: int | None = None


@dataclasses.dataclass(frozen=True)
class Start:
    """What is edited.

    Args:
        images: What stands before the edited image: a sample, or one's own image and
            its reconstruction; float32 (n, height, width, channels).
        z: Its latents (1, k).
        name: Of the file, without a suffix.
    """

    images: np.ndarray
    z: np.ndarray
    name: str


class Explorer:
    """Samples, edits and interpolations of one run.

    Args:
        source: The models.
        uploads: Prepares a user's image files.

    Attributes:
        sliders: The numbers of the most active latents, which have sliders: those of
            the largest KL divergence, by the encodings of 256 samples.
    """

    def __init__(self, source: Source, uploads: Uploads):
        self.source, self.uploads = source, uploads
        sampler = next(iter(source.samplers))
        samples = source.sample(sampler, ACTIVITY_SAMPLES, 0)
        self.sliders = most_active(*source.encode(quantized(samples)))[:SLIDERS]

    def samples(self, sampler: str, n: float | None, seed: float | None) -> Shown:
        """A grid of samples.

        Args:
            sampler: One of the source's.
            n: Number of images.
            seed: The same seed gives the same images, as the source says.

        Raises:
            InputError: a number out of range.
        """
        count = _whole("number of images", n, 1, MAX_SAMPLES)
        number = _seed(seed)
        name = f"samples-{sampler.replace(' ', '-')}-{count}-seed-{number}"
        return Shown(self.source.sample(sampler, count, number), name)

    def start_of_sample(self, sampler: str, seed: float | None) -> Start:
        """The first sample of a seed, to edit."""
        number = _seed(seed)
        z = self.source.latents(sampler, number)
        name = f"edited-{sampler.replace(' ', '-')}-seed-{number}"
        return Start(self.source.decode(z), z, name)

    def start_of_image(self, path: str | None, *, any_size: bool) -> Start:
        """A user's image and its reconstruction, to edit.

        Args:
            path: Of the image file; None: there is none yet.
            any_size: See `Uploads.pixels`.

        Raises:
            InputError: no file, no image, or one of another size.
        """
        pixels = self._pixels(path, any_size)
        z, _ = self.source.encode(pixels)
        images = np.concatenate([pixels / np.float32(255), self.source.decode(z)])
        return Start(images, z, "edited-image")

    def edit(self, start: Start, values: np.ndarray) -> Shown:
        """What was there before, and the image of the sliders' values, in one row.

        Args:
            start: What is edited.
            values: Of the sliders, (m,), as `slider_values` gives them at first.
        """
        z = edited(start.z, self.sliders, values)
        images = np.concatenate([start.images, self.source.decode(z)])
        return Shown(images, start.name, len(images))

    def slider_values(self, start: Start) -> np.ndarray:
        """Where the sliders stand before one moves them, (m,)."""
        return shown(start.z[0, self.sliders])

    def between_seeds(
        self,
        sampler: str,
        seeds: tuple[float | None, float | None],
        steps: float | None,
        path: str = PATHS[0],
    ) -> Shown:
        """From the first sample of one seed to that of another, in one row."""
        first, second = map(_seed, seeds)
        ends = self.source.latents(sampler, first), self.source.latents(sampler, second)
        return self._between(ends, steps, path, f"from-seed-{first}-to-{second}")

    def between_images(
        self,
        paths: tuple[str | None, str | None],
        steps: float | None,
        path: str = PATHS[0],
        *,
        any_size: bool,
    ) -> Shown:
        """From the reconstruction of one image to that of another, in one row."""
        pixels = [self._pixels(each, any_size) for each in paths]
        ends = self.source.encode(pixels[0])[0], self.source.encode(pixels[1])[0]
        return self._between(ends, steps, path, "between-images")

    def _between(
        self,
        ends: tuple[np.ndarray, np.ndarray],
        steps: float | None,
        path: str,
        name: str,
    ) -> Shown:
        count = _whole("number of steps", steps, 2, MAX_STEPS)
        images = self.source.decode(interpolated(*ends, count, path))
        return Shown(images, name, count)

    def _pixels(self, path: str | None, any_size: bool) -> np.ndarray:
        if path is None:
            raise InputError("no image", "an image file", "upload one")
        file = Path(path)
        return self.uploads.pixels(file.read_bytes(), file.name, any_size=any_size)


def explorer_of(run: str | Path, *, keras: bool = False) -> Explorer:
    """The `Explorer` of a run.

    Args:
        run: The run folder.
        keras: Whether to take the `.keras` files even where there is a SavedModel.

    Raises:
        InputError: the run has no trained model, or a file is damaged.
    """
    source = open_source(run, keras=keras)
    stage = StageRun(run, 1)
    config = stage.saved_config() if stage.exists else None
    return Explorer(source, uploads_for(config, source.image_shape))


def _seed(value: float | None) -> int:
    return _whole("seed", value, 0, LARGEST)


def _whole(name: str, value: float | None, least: int, most: int) -> int:
    """A field's value as a whole number of a range."""
    is_whole = value is not None and float(value).is_integer()
    if value is None or not is_whole or not least <= value <= most:
        received = "no value" if value is None else f"{value:.12g}"
        raise InputError(f"{received} as {name}", f"a whole number, {least} to {most}")
    return int(value)
