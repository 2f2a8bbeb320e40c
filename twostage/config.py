"""Settings of both trainings: each dataclass makes the flags, checks and config.json.

Help texts name other settings in backquotes; the command line shows them as flags.
"""

import dataclasses
import difflib
import math
from collections.abc import Collection
from typing import Any, Self

from twostage.errors import InputError
from twostage.old_names import current_name

GROUPS = ("run", "data", "network", "likelihood", "sampling", "training")  # of --help
NETWORKS = ("resnet", "infogan", "wae", "rae", "beta_sigma", "convolutional")
LIKELIHOODS = (
    "gaussian",
    "diagonal",
    "optimal_image",
    "optimal_batch",
    "bernoulli",
    "logistic",
)
GAMMAS = ("computed", "learned", "fixed", "scheduled")
RULES = ("minimum", "ratchet", "ema", "batch")
GIVEN_GAMMAS = ("fixed", "scheduled")  # those that the data do not change
INITIALIZATIONS = ("random", "gaussian")  # of stage 2
STARTS = ("random", "mean")  # of stage 1
SCHEDULES = ("halving", "cosine")
OPTIMIZERS = ("auto", "adam", "stable_adam")
SAFE_RATE = 1e-3  # the highest learning rate at which Adam was never seen to diverge
PRECISIONS = ("float32", "mixed_bfloat16")
CROPS = ("none", "center", "128", "140", "148")
FILTERS = ("bilinear", "nearest", "bicubic")
EXPORT_FORMATS = ("saved_model", "onnx")
FITS = ("stretch", "crop", "letterbox")
SAMPLING_METHODS = ("mean", "noise", "normalized")  # of stage 2's latents
MIN_COMPARED = 6  # images of a distance: a metric searches the fifth neighbor of each
DENSITY_METHODS = {"gaussian": 1, "mixture": 10}  # Gaussians instead of stage 2


def _but(choices: tuple[str, ...], *used: str) -> tuple[str, ...]:
    return tuple(choice for choice in choices if choice not in used)


# the first setting is not read where the second has one of these values
UNUSED_WITH = (
    ("halve_every", "schedule", _but(SCHEDULES, "halving")),
    ("gamma", "likelihood", _but(LIKELIHOODS, "gaussian")),
    ("gamma_start", "likelihood", _but(LIKELIHOODS, "gaussian")),
    ("gamma_floor", "likelihood", _but(LIKELIHOODS, "gaussian", "diagonal")),
    ("gamma_rule", "likelihood", _but(LIKELIHOODS, "gaussian")),
    ("gamma_rule", "gamma", _but(GAMMAS, "computed")),
    ("gamma_multiplier", "likelihood", _but(LIKELIHOODS, "gaussian")),
    ("gamma_multiplier", "gamma", _but(GAMMAS, "learned")),
    ("num_scale", "network", _but(NETWORKS, "resnet")),
    ("block_per_scale", "network", _but(NETWORKS, "resnet")),
    ("base_dim", "network", _but(NETWORKS, "resnet")),
    ("fc_dim", "network", _but(NETWORKS, "resnet")),
    ("pooling", "network", _but(NETWORKS, "resnet")),
    ("l2", "network", _but(NETWORKS, "resnet", "rae")),
    ("l2_of", "network", _but(NETWORKS, "resnet")),
    ("l2_of", "l2", (0,)),
    ("resize", "side", (0,)),
)


def option(
    default: Any,
    group: str,
    text: str,
    choices: tuple[str | int, ...] | None = None,
    *,
    minimum: float | None = None,
) -> Any:
    """A field of a config.

    Args:
        default: Its default, whose type is the field's.
        group: One of `GROUPS`.
        text: Its help.
        choices: The values that it may have; None: any.
        minimum: The least number that it may be; None: any above 0.
    """
    metadata = {"group": group, "help": text, "choices": choices, "minimum": minimum}
    return dataclasses.field(default=default, metadata=metadata)


@dataclasses.dataclass(frozen=True)
class _Training:
    """The settings of both stages. The defaults are stage 1's."""

    gamma: str = option(
        "computed",
        "likelihood",
        "how the decoder's standard deviation gamma is found",
        GAMMAS,
    )
    gamma_from: str = option(
        "",
        "likelihood",
        "folder of another run: with `gamma='fixed'` its last gamma is used (F*-VAE),"
        " with `gamma='scheduled'` its gamma of each epoch",
    )
    gamma_rule: str = option("minimum", "likelihood", "rule of a computed gamma", RULES)
    gamma_start: float = option(
        1.0, "likelihood", "initial gamma; with `gamma='fixed'`, throughout"
    )
    gamma_floor: float = option(
        0.0011, "likelihood", "least gamma; 0.0011 is the rounding error of 8 bits"
    )
    gamma_multiplier: float = option(
        1.0, "likelihood", "factor on the learning rate of a learned gamma"
    )
    kl_weight: float = option(
        1.0, "likelihood", "kappa, weight of the KL divergence", minimum=0
    )
    epochs: int = option(700, "training", "passes over the data")
    batch_size: int = option(100, "training", "examples per step")
    learning_rate: float = option(1e-4, "training", "of Adam")
    optimizer: str = option(
        "auto",
        "training",
        "adam; stable_adam, for high learning rates: small first steps, clipped"
        f" updates; auto: stable_adam where the learning rate is above {SAFE_RATE:g}",
        OPTIMIZERS,
    )
    halve_every: int = option(
        250,
        "training",
        "epochs between halvings of the learning rate",
    )
    schedule: str = option(
        "halving",
        "training",
        "of the learning rate: halving, see `halve_every`; cosine, to 0 over the whole"
        " training",
        SCHEDULES,
    )
    warmup_steps: int = option(
        0,
        "training",
        "steps at the start in which the learning rate rises from 0; needs"
        " `schedule='cosine'`",
        minimum=0,
    )
    patience: int = option(
        0,
        "training",
        "keep the epoch with the lowest held-out loss, and stop after so many epochs"
        " without a lower one; needs images that stage 1 holds out; 0: keep the last"
        " epoch",
        minimum=0,
    )
    precision: str = option(
        "float32",
        "training",
        "of the networks' arithmetic; losses are always float32",
        PRECISIONS,
    )
    steps_per_execution: int = option(
        1,
        "training",
        "steps in one compiled call; on a GPU under JAX about 50, where a step takes"
        " less time than its launch",
    )
    seed: int = option(0, "training", "of weights, batches and noise", minimum=0)
    deterministic: bool = option(
        False,
        "training",
        "the same bits from every run on one machine, at some cost in speed",
    )
    watch_every: int = option(
        0,
        "training",
        "epochs between diagnostics (latents, images, held-out loss); 0: at least 20"
        " per training and one per 1,000 steps",
        minimum=0,
    )
    checkpoint_every: float = option(
        600.0,
        "run",
        "seconds between checkpoints within an epoch; 0: at the end of epochs only",
        minimum=0,
    )
    distribute: bool = option(
        False,
        "run",
        "train on all local devices, and on several machines where Keras's environment"
        " variables name them (docs/how-to/distribute.md)",
    )
    tensorboard: bool = option(
        False, "training", "also write TensorBoard logs (pip install tensorboard)"
    )

    def __post_init__(self):
        for field in dataclasses.fields(self):
            _check_field(field, getattr(self, field.name))
        if self.seed >= 2**32:
            raise InputError(f"`seed={self.seed}`", "less than 2**32")
        if self.warmup_steps and self.schedule != "cosine":
            raise InputError(
                f"`warmup_steps={self.warmup_steps}` with `schedule={self.schedule!r}`",
                "`schedule='cosine'`",
            )
        self._check_gamma()

    def _check_gamma(self) -> None:
        if self.gamma == "scheduled" and not self.gamma_from:
            raise InputError(
                "`gamma='scheduled'`", "`gamma_from='RUN'` to take the curve from"
            )
        if self.gamma_from and self.gamma not in GIVEN_GAMMAS:
            raise InputError(
                f"`gamma={self.gamma!r}`",
                "no `gamma_from`",
                "drop it, or use `gamma='fixed'` or `gamma='scheduled'`",
            )
        if self.gamma_floor > self.gamma_start:
            raise InputError(
                f"received `gamma_start={self.gamma_start}` below"
                f" `gamma_floor={self.gamma_floor}`: raise it or lower the floor"
            )

    @classmethod
    def from_dict(cls, values: dict[str, Any]) -> Self:
        """A config from its settings by name.

        Raises:
            InputError: an unknown setting, or a value out of range.
        """
        values = {current_name(name): value for name, value in values.items()}
        names = [field.name for field in dataclasses.fields(cls)]
        unknown = sorted(set(values) - set(names))
        if unknown:
            received = f"unknown settings {', '.join(unknown)}"
            raise InputError(received, _meant(unknown, names))
        return cls(**values)

    @property
    def is_stable(self) -> bool:
        """Whether Adam's first steps are rectified and its updates clipped."""
        high = self.learning_rate > SAFE_RATE
        return self.optimizer == "stable_adam" or (self.optimizer == "auto" and high)

    def unused(self, names: Collection[str]) -> list[str]:
        """Those of the settings `names` that another setting leaves without effect,
        with the reason.
        """
        return [
            f"`{name}={getattr(self, name)!r}` has no effect with"
            f" `{other}={getattr(self, other)!r}`"
            for name, other, values in UNUSED_WITH
            if name in names and getattr(self, other, None) in values
        ]

    def changed(self) -> frozenset[str]:
        """Names of the settings that are not the defaults."""
        return frozenset(
            field.name
            for field in dataclasses.fields(self)
            if getattr(self, field.name) != field.default
        )

    def differences(self, other: Self) -> list[str]:
        """`name old -> new` for each setting in which `other` differs."""
        texts = []
        for field in dataclasses.fields(self):
            old, new = getattr(self, field.name), getattr(other, field.name)
            if old != new:
                texts.append(f"{field.name} {old} -> {new}")
        return texts


@dataclasses.dataclass(frozen=True)
class Stage1Config(_Training):
    """Stage 1: the ResNet VAE on images."""

    data: str = option(
        "digits",
        "data",
        "digits, mnist, fashion_mnist, cifar10, svhn, celeba; a folder or zip of"
        " images; an .npz or .npy file",
    )
    data_dir: str = option(
        "",
        "data",
        "data sets by name: folder with the authors' files, or TensorFlow Datasets'"
        " folder (default there: ~/tensorflow_datasets)",
    )
    cache: str = option(
        "",
        "data",
        "folder of prepared images (default there: ~/.cache/two-stage-vae)",
    )
    pad: int = option(
        0, "data", "zeros around smaller images, up to this side; 0: none", minimum=0
    )
    crop: str = option(
        "none",
        "data",
        "image files: the central square, or CelebA's square of the face",
        CROPS,
    )
    side: int = option(
        0, "data", "image files: resize to side x side; 0: none", minimum=0
    )
    fit: str = option(
        "stretch",
        "data",
        "image files: how an image that is not square becomes side x side; stretch:"
        " distort it, crop: the central square, letterbox: black bars",
        FITS,
    )
    resize: str = option(
        "bilinear",
        "data",
        "image files: filter; all but nearest are antialiased",
        FILTERS,
    )
    channels: int = option(
        0,
        "data",
        "1: convert all to gray, 3: convert all to color; 0: keep them, or color for"
        " all where some are",
        (0, 1, 3),
        minimum=0,
    )
    limit: int = option(
        0, "data", "at most so many images, a fixed random choice; 0: all", minimum=0
    )
    held_out: float = option(
        0.0,
        "data",
        "fraction of the training images that is held out, 2,000 at most, for held-out"
        " metrics; a validation split replaces them; 0: none",
        minimum=0,
    )
    skip_broken: bool = option(
        False, "data", "image files: leave out, and list, those that cannot be read"
    )
    partial: bool = option(
        False,
        "data",
        "accept an incomplete CelebA, split as any folder is",
    )
    use_unlabeled: bool = option(
        False,
        "data",
        "also train on images that lie outside the splits or have no label",
    )
    key: str = option(
        "",
        "data",
        "an .npz file: the name of its array of images, or two, TRAIN,TEST, or three,"
        " TRAIN,VALIDATION,TEST (default there: by their names)",
    )
    scale: float = option(
        0.0,
        "data",
        "multiply the images' values by this number, and round: 255 where 1 is white;"
        " 0: none",
        minimum=0,
    )
    flip: bool = option(
        False,
        "data",
        "mirror half of the images of each batch, stage 1's training only",
    )
    jpeg_roundtrip: bool = option(
        False,
        "data",
        "pass the images through JPEG files of quality 75, as the papers' CIFAR-10 was",
    )
    likelihood: str = option(
        "gaussian",
        "likelihood",
        "gaussian: one gamma, see `gamma`; diagonal: one per dimension, from the"
        " decoder, at least `gamma_floor`; optimal_image (Beta-Sigma VAE) and"
        " optimal_batch (sigma-VAE): the best gamma of each; bernoulli:"
        " cross-entropy; logistic: discretized, for 8 bits",
        LIKELIHOODS,
    )
    posterior: str = option(
        "gaussian",
        "likelihood",
        "of the latents; constant: standard deviation 0.7, as CV-VAE; none: no noise,"
        " an autoencoder",
        ("gaussian", "constant", "none"),
    )
    divergence: str = option(
        "kl",
        "likelihood",
        "weighted by `kl_weight`: kl to N(0, I); l2, the squared length of the mean"
        " (RAE); mmd (WAE)",
        ("kl", "l2", "mmd"),
    )
    gradient_penalty: float = option(
        0.0,
        "likelihood",
        "weight of the decoder's squared derivatives (RAE-GP); 0: none",
        minimum=0,
    )
    minutes: float = option(
        0.0,
        "training",
        "preset auto: minutes for both stages; sets the number of epochs; 0: as many"
        " epochs as the images need",
        minimum=0,
    )
    network: str = option(
        "resnet",
        "network",
        "resnet, infogan, wae: Dai & Wipf's; rae: Ghosh et al.'s; beta_sigma: its"
        " authors'; convolutional: Berger & Sebag's",
        NETWORKS,
    )
    initialization: str = option(
        "random",
        "network",
        "random; mean, of resnet: the decoder's images begin with the mean color of the"
        " training images, which nearly white or black images need at a high learning"
        " rate",
        STARTS,
    )
    spectral_norm: bool = option(
        False, "network", "rae: divide kernels by their largest singular value (RAE-SN)"
    )
    num_scale: int = option(3, "network", "scales of the encoder")
    block_per_scale: int = option(1, "network", "residual blocks per scale")
    base_dim: int = option(32, "network", "channels at full resolution")
    fc_dim: int = option(512, "network", "width of the fully connected block")
    latent_dim: int = option(64, "network", "number of latents")
    pooling: str = option(
        "average", "network", "before the fully connected block", ("average", "flatten")
    )
    l2: float = option(
        0.0,
        "network",
        "resnet: weight of the squared kernels, see `l2_of`; rae: of the decoder's"
        " (RAE-L2)",
        minimum=0,
    )
    l2_of: str = option(
        "sampling",
        "network",
        "resnet: down- and upsampling; encoder: downsampling; decoder: upsampling and"
        " its scale blocks",
        ("sampling", "encoder", "decoder"),
    )

    @property
    def fits_gamma(self) -> bool:
        """Whether held-out losses are those of the gamma that fits the images."""
        return self.likelihood == "gaussian" and self.gamma not in GIVEN_GAMMAS

    def __post_init__(self):
        super().__post_init__()
        if self.held_out >= 1:
            raise InputError(
                f"`held_out={self.held_out}`",
                "a fraction below 1, such as 0.05",
            )
        if self.patience and not self.held_out:
            raise InputError(
                f"`patience={self.patience}` without held-out images",
                "`held_out=0.05` or another fraction beside it",
            )
        if self.gamma == "scheduled" and self.likelihood != "gaussian":
            raise InputError(
                "received `gamma='scheduled'` with"
                f" `likelihood={self.likelihood!r}`, which has no gamma to set:"
                " use `likelihood='gaussian'`"
            )
        if self.posterior == "none" and self.divergence == "kl" and self.kl_weight:
            raise InputError(
                "received `posterior='none'` with the KL divergence, which is infinite"
                " there: use `divergence='l2'` or `divergence='mmd'`, or `kl_weight=0`"
                " for a plain autoencoder"
            )
        if self.initialization == "mean" and self.network != "resnet":
            raise InputError(
                f"`initialization='mean'` with `network={self.network!r}`", "resnet"
            )
        if self.spectral_norm and self.network != "rae":
            raise InputError(
                f"`spectral_norm` with `network={self.network!r}`",
                "rae (infogan has it always)",
            )


@dataclasses.dataclass(frozen=True)
class Stage2Config(_Training):
    """Stage 2: the dense VAE on stage 1's latents."""

    width: int = option(2048, "network", "units of each of the dense layers")
    depth: int = option(3, "network", "dense layers each way")
    initialization: str = option(
        "random",
        "network",
        "random; gaussian: whiten the latents and begin near their Gaussian; with"
        " `patience` the Gaussian itself is kept if it has the lower held-out loss",
        INITIALIZATIONS,
    )
    gamma_floor: float = option(
        0.03,
        "likelihood",
        "least gamma; stage 2's bound is flat in it, so a rule may drift here",
    )
    sampling: str = option(
        "normalized",
        "sampling",
        "how latents are sampled: stage 2's mean, its mean plus noise, or normalized;"
        " one gaussian or a mixture of ten instead of stage 2; auto: the sampler with"
        " the smallest distance to held-out images",
        (*SAMPLING_METHODS, *DENSITY_METHODS, "auto"),
    )
    normal_target: str = option(
        "one",
        "sampling",
        "standard deviation after normalization; one: 1, or that of the latents of an"
        " autoencoder without a prior; variance_law: the root of stage 1's law",
        ("one", "variance_law"),
    )
    per_latent: bool = option(
        False, "sampling", "normalize each latent by its own standard deviation"
    )
    epochs: int = option(1400, "training", "passes over the latents")
    halve_every: int = option(
        400,
        "training",
        "epochs between halvings of the learning rate",
    )

    @property
    def start_sets_gamma(self) -> bool:
        """Whether gamma begins where the start near the Gaussian puts it."""
        return self.initialization == "gaussian" and self.gamma not in GIVEN_GAMMAS

    def __post_init__(self):
        object.__setattr__(self, "sampling", current_name(self.sampling))
        super().__post_init__()
        if self.start_sets_gamma and self.gamma_start != type(self).gamma_start:
            raise InputError(
                f"`gamma_start={self.gamma_start}` with `initialization='gaussian'`",
                "no `gamma_start`, as that start sets gamma",
                "drop it, or use `initialization='random'`",
            )


def _meant(unknown: list[str], names: list[str]) -> str:
    """The names that unknown ones are probably for; all where one is like none."""
    near = [difflib.get_close_matches(name, names, n=1) for name in unknown]
    if not all(near):
        return f"some of {', '.join(names)}"
    return ", ".join(found for (found,) in near)


def _check_field(field: dataclasses.Field, value: Any) -> None:
    """Raises `InputError` unless `value` has the field's type and lies in its range."""
    name, kind = field.name, type(field.default)
    choices, minimum = field.metadata["choices"], field.metadata["minimum"]
    if choices and value not in choices:
        raise InputError(
            f"`{name}={value!r}`", f"one of {', '.join(map(str, choices))}"
        )
    accepted = (int, float) if kind is float else kind
    if not isinstance(value, accepted) or (kind is not bool and value is True):
        raise InputError(f"`{name}={value!r}`", f"a value of type {kind.__name__}")
    if kind not in (int, float):
        return
    if not math.isfinite(value):
        raise InputError(f"`{name}={value}`", "a finite number")
    if value < (minimum or 0) or (minimum is None and value == 0):
        raise InputError(
            f"`{name}={value}`",
            "more than 0" if minimum is None else f"at least {minimum}",
        )
