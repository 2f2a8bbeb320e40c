"""The models that the page shows: a run's SavedModel, or its `.keras` files."""

import abc
import importlib.util
from pathlib import Path

import numpy as np

from twostage import export
from twostage.config import DENSITY_METHODS, SAMPLING_METHODS
from twostage.export.saved_vae import SavedVAE
from twostage.runs.export_record import check_current
from twostage.runs.run import finished_stage2
from twostage.system.random_streams import SavedModelStream
from twostage.two_stage_vae import FIRST_STAGE, TwoStageVAE
from twostage.two_stage_vae import load as load_keras

EXPORTED = "as exported"  # the sampler of the SavedModel's endpoint `sample`


class Source(abc.ABC):
    """Trained models. Images that come out are float32 (n, height, width, channels) in
    [0, 1], latents are stage 1's, float32 (n, k).

    Attributes:
        description: Which files these are, and whose seeds they follow, as a sentence.
        samplers: Name -> label of each sampler; the first is the run's own.
        with_latents: Names of the samplers whose latents are known.
        image_shape: (height, width, channels).
        width: The number k of latents.
    """

    description: str
    samplers: dict[str, str]
    with_latents: list[str]
    image_shape: tuple[int, int, int]
    width: int

    @abc.abstractmethod
    def sample(self, sampler: str, n: int, seed: int) -> np.ndarray:
        """`n` images."""

    @abc.abstractmethod
    def latents(self, sampler: str, seed: int) -> np.ndarray:
        """Latents (1, k) of what `sample(sampler, 1, seed)` gives."""

    @abc.abstractmethod
    def encode(self, images: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """(mean, log_var), each (n, k), of uint8 images."""

    @abc.abstractmethod
    def decode(self, z: np.ndarray) -> np.ndarray:
        """Images of latents (n, k)."""


class SavedModelSource(Source):
    """RUN/saved_model, by TensorFlow alone. The latents of its endpoint `sample` are
    not known, as it returns images only.

    Args:
        run: The run folder.

    Raises:
        InputError: there is no SavedModel, it is damaged, or TensorFlow is missing.
    """

    def __init__(self, run: str | Path):
        check_current(run)
        path = Path(run) / "saved_model"
        self.model: SavedVAE = export.load(path)
        signatures = self.model.model.signatures
        decode = signatures["decode"]
        self.width = decode.structured_input_signature[1]["z"].shape[1]
        self.image_shape = tuple(decode.structured_outputs["images"].shape[1:])
        inputs = signatures["sample_from"].structured_input_signature[1]
        exported = _exported(run, "uniform" in inputs, bool(self.model.model.stage2))
        self.samplers = {**exported, FIRST_STAGE: _label(FIRST_STAGE)}
        self.with_latents = [FIRST_STAGE]
        self.description = (
            f"The SavedModel {path}: a seed gives the same images as `twostage sample`."
        )

    def sample(self, sampler: str, n: int, seed: int) -> np.ndarray:
        if sampler == FIRST_STAGE:
            return self.model.sample_first_stage(n, seed)
        return self.model.sample(n, seed)

    def latents(self, sampler: str, seed: int) -> np.ndarray:
        import tensorflow as tf

        # as the endpoint `sample_first_stage` draws them
        key = (seed, SavedModelStream.PRIOR)
        return tf.random.stateless_normal((1, self.width), key, alg="philox").numpy()

    def encode(self, images: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        # the graph refuses images that are black throughout, but not with a white one
        white = np.full((1, *self.image_shape), 255, "uint8")
        mean, log_var = self.model.encode(np.concatenate([images, white]))
        return mean[:-1], log_var[:-1]

    def decode(self, z: np.ndarray) -> np.ndarray:
        return self.model.decode(z)


class KerasSource(Source):
    """The `.keras` files of a run, or of a folder that `TwoStageVAE.save` wrote, on any
    backend; with every sampler that was trained or fitted.

    Args:
        run: The folder.

    Raises:
        InputError: stage 1 is not finished, or a file is damaged.
    """

    def __init__(self, run: str | Path):
        self.model: TwoStageVAE = load_keras(run)
        models = self.model.models
        assert self.model.image_shape is not None  # known once there is a model
        height, width, channels = self.model.image_shape
        self.image_shape = (height, width, channels)
        self.width = models.stage1.decoder.input_shape[-1]
        names = [self.model.sampling] if models.stage2 is not None else []
        if models.stage2 is not None:
            names += [name for name in SAMPLING_METHODS if name not in names]
        if models.mixture is not None:
            fitted = models.mixture.components
            names += [name for name, n in DENSITY_METHODS.items() if n == fitted]
        self.samplers = {name: _label(name) for name in (*names, FIRST_STAGE)}
        self.with_latents = list(self.samplers)
        self.description = (
            f"The .keras files in {run}: a seed gives the same images as"
            " `TwoStageVAE.sample`, which differ from the SavedModel's."
        )

    def sample(self, sampler: str, n: int, seed: int) -> np.ndarray:
        return self.model.sample(n, seed=seed, method=sampler)

    def latents(self, sampler: str, seed: int) -> np.ndarray:
        return self.model.sample_latents(1, seed=seed, method=sampler)

    def encode(self, images: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        return self.model.encode(images)

    def decode(self, z: np.ndarray) -> np.ndarray:
        return self.model.decode(z)


def open_source(run: str | Path, *, keras: bool = False) -> Source:
    """The SavedModel of a run where there is one and TensorFlow is installed; else the
    `.keras` files.

    Args:
        run: The run folder.
        keras: Whether to take the `.keras` files in any case.

    Raises:
        InputError: there is neither, or a file is damaged.
    """
    is_exported = (Path(run) / "saved_model" / "saved_model.pb").exists()
    if keras or not is_exported or not importlib.util.find_spec("tensorflow"):
        return KerasSource(run)
    return SavedModelSource(run)


def _exported(run: str | Path, by_mixture: bool, has_stage2: bool) -> dict[str, str]:
    """Name and label of the SavedModel's own sampler; none where stage 1 is alone."""
    second = finished_stage2(run)
    method = second.sampling_method() if second is not None else None
    if by_mixture:
        method = method if method in DENSITY_METHODS else "a fitted mixture"
        return {EXPORTED: f"{EXPORTED}: stage 1, {method}"}
    if not has_stage2:
        return {}
    return {EXPORTED: f"{EXPORTED}: both stages{f', {method}' if method else ''}"}


def _label(name: str) -> str:
    if name == FIRST_STAGE:
        return "stage 1 alone"
    stages = "stage 1" if name in DENSITY_METHODS else "both stages"
    return f"{stages}, {name}"
