"""The two-stage model as one object: fit, sample, encode, evaluate, save, export."""

import dataclasses
import functools
from collections.abc import Collection, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import keras
import numpy as np

from twostage.config import Stage1Config, Stage2Config
from twostage.data import levels
from twostage.data.batches import check_count
from twostage.data.preprocessing import pad_to
from twostage.data.splits import divided_rows
from twostage.errors import InputError, check_whole, first_line
from twostage.evaluation.evaluate import evaluate
from twostage.evaluation.evaluation_data import EvaluationData
from twostage.evaluation.evaluation_result import EvaluationResult
from twostage.evaluation.protocol import Protocol
from twostage.export.export_models import export_models
from twostage.features.choose import LabeledData, LabeledImages, chosen_extractor
from twostage.models.gaussian_mixture import Mixture
from twostage.models.posterior import encode_dataset
from twostage.models.tensors import apply_in_batches
from twostage.models.two_stage_models import TwoStageModels
from twostage.models.vae import VAE
from twostage.presets import AUTO, resolve
from twostage.runs.models import load_models
from twostage.runs.run import KINDS, StageRun, finished_stage2
from twostage.sampling.decoding import decoded
from twostage.sampling.latent_samplers import draw_prior, draw_stage2
from twostage.system import files
from twostage.training.auto import auto_stage1, auto_stage2, with_pad
from twostage.training.held_out_settings import check_held_out, without_held_out
from twostage.training.sampling_choice import check_sampling
from twostage.training.train import train_stage1, train_stage2
from twostage.training.unused_settings import warn_of_preparation, warn_of_unused

BATCH = 250  # images that go through a network at once
FIRST_STAGE = "first stage"  # the sampling method that uses stage 1 alone


class FitHistory(NamedTuple):
    """The `keras.callbacks.History` of each stage."""

    stage1: keras.callbacks.History
    stage2: keras.callbacks.History


class TwoStageVAE:
    """A VAE of images, and a VAE of its latents (Dai & Wipf 2019; Asperti & Trentin
    2020).

    A plain object that holds `stage1`, `stage2` (both `twostage.VAE`) and `normalizer`;
    None until they are trained. Samples are drawn by NumPy's generator on every
    backend, so a seed means other images here than in the SavedModel, which draws by
    TensorFlow's.

    Args:
        stage1_config: Settings of stage 1. Of its data settings, only `pad`, `held_out`
            and `flip` are used; `fit` warns about the others.
        stage2_config: Settings of stage 2.
        image_shape: (height, width, channels) of the images that the networks take;
            None: that of the first images it is given.

    Example:
        >>> model = TwoStageVAE.from_preset("mnist", image_shape=(32, 32, 1))
        >>> history = model.fit(images, epochs=(5, 10))  # uint8 (N, 28, 28)
        >>> samples = model.sample(64, seed=1)  # float32 (64, 32, 32, 1) in [0, 1]
    """

    def __init__(
        self,
        stage1_config: Stage1Config,
        stage2_config: Stage2Config,
        *,
        image_shape: Sequence[int] | None = None,
    ):
        self.stage1_config = dataclasses.replace(stage1_config, data="")
        self.stage2_config = stage2_config
        self.image_shape = tuple(image_shape) if image_shape is not None else None
        self.stage1: VAE | None = None
        self.stage2: VAE | None = None
        self.normalizer: keras.Model | None = None
        self.mixture: Mixture | None = None
        self.sampling = stage2_config.sampling
        self._training_images: np.ndarray | None = None
        # the settings of each stage that were stated, beside a preset or the defaults
        self._given = self.stage1_config.changed(), stage2_config.changed()
        self._preset: str | None = None  # where the others come from

    @classmethod
    def from_preset(
        cls,
        preset: str,
        *,
        image_shape: Sequence[int] | None = None,
        stage1: dict[str, Any] | None = None,
        stage2: dict[str, Any] | None = None,
    ) -> "TwoStageVAE":
        """A model with a preset's settings.

        Args:
            preset: digits, mnist, fashion_mnist, cifar10, celeba; or auto, with which
                `fit` chooses the settings by the images and the machine.
            image_shape: See the class.
            stage1, stage2: Settings that differ from the preset's, by name, such as
                `stage1={"latent_dim": 32}`.

        Raises:
            InputError: an unknown preset or setting, or a value out of range.
        """
        first = resolve(1, preset, **(stage1 or {}))
        second = resolve(2, preset, **(stage2 or {}))
        model = cls(first, second, image_shape=image_shape)
        model._given = frozenset(stage1 or {}), frozenset(stage2 or {})
        model._preset = preset
        return model

    @classmethod
    def from_run(cls, run: str | Path) -> "TwoStageVAE":
        """The model of a run folder, as far as it is trained.

        Raises:
            InputError: stage 1 is not finished, or a file is damaged.
        """
        models, config = load_models(run)
        second = finished_stage2(run)
        model = cls(config, second.saved_config() if second else Stage2Config())
        model._set_models(models)
        model.sampling = second.sampling_method() if second else model.sampling
        return model

    def fit(
        self,
        images: np.ndarray,
        *,
        epochs: tuple[int, int] | None = None,
        held_out: np.ndarray | None = None,
        run: str | Path | None = None,
        bar: bool | None = None,
    ) -> FitHistory:
        """Trains stage 1 on images, then stage 2 on its latents.

        Args:
            images: uint8 (N, height, width, channels), or (N, height, width) of gray
                ones; smaller ones are padded where the config says so.
            epochs: Of stage 1 and stage 2; None: the config's.
            held_out: Images like those, which are not trained on: their loss is logged,
                and `patience` uses it. None: a part of `images`, as the setting
                `held_out` says.
            run: A folder for checkpoints, histories and models. One that has a training
                of the same settings and images is resumed. None: everything stays in
                memory.
            bar: Whether a progress bar is shown, and a line per epoch below it; None:
                on a terminal and in a notebook. Without it the line is logged (logger
                `twostage`).

        Raises:
            InputError: images, settings and run do not fit one another; or the images
                are nearly black.
            DivergedError: the loss is not finite any more.
        """
        given = self._given_with(epochs)
        if self._chooses and np.ndim(images) in (3, 4):  # else they are refused below
            shape = (*np.shape(images), 1)[:4]
            self.stage1_config = with_pad(self.stage1_config, given[0], shape)
        images, held_out = self._divided(images, held_out)
        first, second = self._configs(epochs, held_out)
        # now, not after the hours of stage 1
        self._check_stage2(second, given[1], images, held_out)
        options = {"held_out": held_out, "bar": bar}
        if self._chooses:
            first = _begun(run, 1, first, given[0]) or auto_stage1(
                first, given[0], images
            )
            self.stage1_config = first
        warn_of_unused(first, given[0])
        warn_of_preparation(first, given[0])
        stage1 = train_stage1(images, first, run, **options)
        assert stage1 is not None  # only a dry run gives none
        self._set_models(TwoStageModels(stage1.model))
        if self._chooses:
            second = _begun(run, 2, second, given[1]) or auto_stage2(
                second, given[1], first, len(images)
            )
            self.stage2_config = second
        warn_of_unused(second, given[1])
        stage2 = train_stage2(stage1.model, images, second, run, **options)
        assert stage2 is not None
        self.stage2, self.normalizer = stage2.model, stage2.normalizer
        self.mixture, self.sampling = stage2.mixture, stage2.sampling
        self._training_images = images
        return FitHistory(stage1.history, stage2.history)

    def _check_stage2(
        self,
        config: Stage2Config,
        given: Collection[str],
        images: np.ndarray,
        held_out: np.ndarray | None,
    ) -> None:
        check_held_out(config, held_out)
        check_sampling(config.sampling, len(images))
        # where it is chosen, it follows from the images
        if not self._chooses or "batch_size" in given:
            check_count(len(images), config.batch_size)

    @property
    def _chooses(self) -> bool:
        """Whether settings that were not stated follow from the images."""
        return self._preset == AUTO

    def _divided(
        self, images: np.ndarray, held_out: np.ndarray | None
    ) -> tuple[np.ndarray, np.ndarray | None]:
        """The images that are trained on, and those that are held out, prepared."""
        images = self._prepared(images)
        levels.check_levels(images, self.stage1_config.scale)
        if held_out is not None and np.ndim(held_out) == 0:
            raise InputError(
                f"`held_out={held_out!r}`",
                "images",
                "a fraction is a setting: `stage1={'held_out': 0.05}`",
            )
        if held_out is not None:
            return images, self._prepared(held_out, shape=images.shape[1:])
        fraction = self.stage1_config.held_out
        if not fraction:
            return images, None
        rows = divided_rows(len(images), fraction)
        return images[rows["train"]], images[rows["validation"]]

    def _given_with(
        self, epochs: tuple[int, int] | None
    ) -> tuple[frozenset[str], frozenset[str]]:
        """The settings of each stage that "auto" leaves as they are."""
        if epochs is None:
            return self._given
        return self._given[0] | {"epochs"}, self._given[1] | {"epochs"}

    def _configs(
        self, epochs: tuple[int, int] | None, held_out: np.ndarray | None
    ) -> tuple[Stage1Config, Stage2Config]:
        if held_out is None and self._preset:
            given = self._given[1]
            self.stage2_config = without_held_out(self.stage2_config, given)
        if epochs is None:
            return self.stage1_config, self.stage2_config
        if np.shape(epochs) != (2,):
            raise InputError(f"`epochs={epochs!r}`", "two numbers, (stage 1, stage 2)")
        return (
            dataclasses.replace(self.stage1_config, epochs=epochs[0]),
            dataclasses.replace(self.stage2_config, epochs=epochs[1]),
        )

    def sample(
        self, n: int = 64, *, seed: int = 0, method: str | None = None
    ) -> np.ndarray:
        """Images: float32 (n, height, width, channels) in [0, 1].

        Args:
            n: Number of images.
            seed: The same seed gives the same images. They are others than the
                SavedModel's.
            method: Of stage 2's latents: "normalized" (Asperti & Trentin), "mean", or
                "noise" (Dai & Wipf); "gaussian" or "mixture", where one was fitted;
                "first stage": stage 1's prior alone. None: the config's, or the first
                stage's where there is no second.
        """
        return self.decode(self.sample_latents(n, seed=seed, method=method))

    def sample_latents(
        self, n: int, *, seed: int = 0, method: str | None = None
    ) -> np.ndarray:
        """Latents of stage 1: float32 (n, k); arguments as for `sample`."""
        check_whole("n", n, 1)
        check_whole("seed", seed)
        models = self.models
        if method is None:
            trained = models.stage2 is not None
            method = self.sampling if trained else FIRST_STAGE
        if method == FIRST_STAGE:
            return draw_prior(models.stage1, n, seed)
        density = models.density_of(method)
        if density is not None:
            return density.draw(n, seed)
        if models.stage2 is None:
            raise InputError(
                f"`method={method!r}` before stage 2 is trained",
                f"`method={FIRST_STAGE!r}`",
                "call `fit` first",
            )
        return draw_stage2(models, method, n, seed)

    def encode(self, images: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """(mean, log_var) of q(z | x), each float32 (N, k).

        Args:
            images: uint8, or floats in [0, 1] such as `sample` gives, which are rounded
                to 8 bits.
        """
        stage1, images = self._need_stage1(), self._prepared(images, floats=True)
        return encode_dataset(stage1, images, batch_size=BATCH)

    def decode(self, z: np.ndarray) -> np.ndarray:
        """Stage 1's mean at latents (n, k): float32 (n, height, width, channels)."""
        stage1, z = self._need_stage1(), np.asarray(z, "float32")
        width = stage1.decoder.input_shape[-1]
        if z.ndim != 2 or z.shape[1] != width:
            raise InputError(f"latents of shape {z.shape}", f"(n, {width})")
        if not len(z):
            raise InputError("no latents", "at least one row", "give some")
        if not np.isfinite(z).all():
            raise InputError("latents with NaN or infinity", "finite numbers")
        decode = functools.partial(decoded, stage1)
        return apply_in_batches(decode, z, batch_size=BATCH)

    def reconstruct(self, images: np.ndarray) -> np.ndarray:
        """Stage 1's mean at the posterior's mean: float32 images in [0, 1]."""
        mean, _ = self.encode(images)
        return self.decode(mean)

    def evaluate(
        self,
        test_images: np.ndarray,
        *,
        train_images: np.ndarray | None = None,
        extractor: str | None = None,
        weights: str | Path | None = None,
        protocol: str = "fid10k_test",
        samples: int = 0,
        **options: Any,
    ) -> EvaluationResult:
        """Distances of reconstructions and samples, likelihoods, and latents.

        Args:
            test_images: Held-out images, as `fit` takes them.
            train_images: Those of `fit`; None: those that `fit` was called with.
            extractor: One of `twostage.features.EXTRACTORS` but "classifier"; None: as
                `evaluate` of the command line chooses for images without labels.
            weights: File with the weights of an Inception network.
            protocol: "fid10k_test" or "fid50k_train".
            samples: Images of each kind; 0: as the protocol says.
            options: As `twostage.evaluation.evaluate.evaluate` takes them: seed,
                half_samples, bound_images, importance_samples, mixtures.
        """
        if train_images is None:
            train_images = self._training_images
        if train_images is None:
            raise InputError(
                "no training images, and this model was not trained here",
                "`train_images`",
            )
        data = EvaluationData(self._prepared(train_images), self._prepared(test_images))
        unlabeled = LabeledData(
            "images", LabeledImages(data.train), LabeledImages(data.test)
        )
        network = chosen_extractor(unlabeled, extractor, weights)
        chosen = Protocol(protocol, samples=samples)
        return evaluate(self.models, data, chosen, network, **options)

    def save(self, folder: str | Path) -> None:
        """Writes the models (`.keras`) and config.json into a folder."""
        folder = Path(folder)
        self.models.save(folder)
        content = {
            "stage1": dataclasses.asdict(self.stage1_config),
            "stage2": dataclasses.asdict(self.stage2_config),
            "sampling": self.sampling,
        }
        files.write_json(folder / "config.json", content)

    @classmethod
    def load(cls, folder: str | Path) -> "TwoStageVAE":
        """Reads what `save` wrote.

        Raises:
            InputError: the folder has no such model, or a file is damaged.
        """
        folder = Path(folder)
        if not (folder / "config.json").exists():
            raise InputError(
                f"{folder}, which holds no config.json",
                "a folder that `TwoStageVAE.save` wrote",
                "for a run folder call `twostage.load`",
            )
        content = files.read_config(folder / "config.json")
        if not (isinstance(content, dict) and {"stage1", "stage2"} <= content.keys()):
            raise InputError(
                f"{folder / 'config.json'} without the settings of both stages",
                "one that `TwoStageVAE.save` wrote",
                "save the model again",
            )
        configs = [KINDS[i].from_dict(content[f"stage{i}"]) for i in (1, 2)]
        model = cls(*configs)  # pyright: ignore[reportArgumentType]
        model._set_models(TwoStageModels.load(folder))
        model.sampling = content.get("sampling", model.sampling)
        return model

    def export(self, path: str | Path, *, format: str = "saved_model") -> Path:
        """Writes a SavedModel, which TensorFlow alone can sample from, see
        `twostage.export.load`; or ONNX files. TensorFlow must be installed, whatever
        the backend.

        Args:
            path: A folder; an earlier export in it is replaced.
            format: "saved_model", or "onnx": encoder.onnx, decoder.onnx and
                sampler.onnx, which needs tf2onnx (the extra `onnx`).
        """
        return export_models(path, self.models, self.sampling, format=format)

    @property
    def models(self) -> TwoStageModels:
        """The trained models, as evaluation and export take them."""
        stage1 = self._need_stage1()
        return TwoStageModels(stage1, self.stage2, self.normalizer, self.mixture)

    def _need_stage1(self) -> VAE:
        if self.stage1 is None:
            raise InputError("the model is not trained: call `fit` first")
        return self.stage1

    def _set_models(self, models: TwoStageModels) -> None:
        self.stage1, self.stage2 = models.stage1, models.stage2
        self.normalizer, self.mixture = models.normalizer, models.mixture
        self.image_shape = tuple(models.stage1.encoder.input_shape[1:])

    def _prepared(
        self,
        images: np.ndarray,
        floats: bool = False,
        shape: tuple[int, ...] | None = None,
    ) -> np.ndarray:
        """uint8 images, padded where the config says so, of this model's shape; before
        it has one, of the given one, if any.
        """
        images = _as_array(images)
        if floats and not images.size:
            raise InputError("no images", "at least one", "give some")
        if images.ndim == 3 and images.shape[-1] in (1, 3, 4):
            raise InputError(
                f"one image of shape {images.shape}",
                "images of shape (N, height, width, channels)",
                "give `images[None]`",
            )
        if floats and images.dtype.kind == "f":
            images = _rounded(images)
        if images.dtype != np.uint8 or images.ndim not in (3, 4):
            raise InputError(
                f"images of type {images.dtype} and shape {images.shape}",
                "uint8, 0 to 255, of shape (N, height, width, channels)",
                levels.advice(images),
            )
        images = images[..., None] if images.ndim == 3 else images
        pad = self.stage1_config.pad
        if pad and images.shape[1:3] != (pad, pad):
            images = pad_to(images, pad)
        expected = self.image_shape or shape or images.shape[1:]
        if images.shape[1:] != expected:
            raise InputError(
                f"images of shape {images.shape[1:]}",
                f"{expected} (height, width, channels)",
                "resize or pad them, or make another model",
            )
        return images


def load(run: str | Path) -> TwoStageVAE:
    """The `TwoStageVAE` of a run folder, or of one that `TwoStageVAE.save` wrote."""
    saved = (Path(run) / "stage1.keras").exists()
    return TwoStageVAE.load(run) if saved else TwoStageVAE.from_run(run)


def _begun(
    run: str | Path | None, number: int, config: Any, given: Collection[str]
) -> Any:
    """The settings of a stage that a run folder has already, with those of `config`
    that were stated; None: it has none.
    """
    if run is None or not StageRun(run, number).exists:
        return None
    saved = StageRun.open(run, number).saved_config()
    stated = {name: getattr(config, name) for name in given}
    return dataclasses.replace(saved, **stated)


def _as_array(images: Any) -> np.ndarray:
    try:
        return np.asanyarray(images)
    except ValueError as error:  # of several shapes
        raise InputError(
            f"a {type(images).__name__} that is no array ({first_line(error)})",
            "one uint8 array of shape (N, height, width, channels)",
            "resize the images to one size, and leave labels out",
        ) from error


def _rounded(images: np.ndarray) -> np.ndarray:
    if not (images.min(initial=0) >= 0 and images.max(initial=0) <= 1):
        raise InputError(
            f"floats from {images.min()} to {images.max()}",
            "images in [0, 1]",
            "scale them, or give uint8",
        )
    return np.round(images * 255).astype("uint8")
