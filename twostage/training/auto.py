"""`preset="auto"`: the settings that follow from the images and the machine."""

import dataclasses
import logging
import math
from collections.abc import Collection, Sequence
from typing import Any, NamedTuple

import numpy as np

from twostage.config import PRECISIONS, Stage1Config, Stage2Config
from twostage.data.batches import check_count
from twostage.data.datasets import Dataset, ImageFileDataset
from twostage.data.image_sizes import ImageSizes
from twostage.errors import InputError
from twostage.models.networks.image_shapes import ImageShape
from twostage.models.networks.resnet import SIDES
from twostage.system.progress import announced
from twostage.training.epoch_line import duration_text
from twostage.training.timed_steps import seconds_per_step

logger = logging.getLogger(__name__)

SCALES = {8: 2, 16: 3, 32: 3, 64: 4, 128: 5}  # by side; the papers' for 32 and 64
# more steps are worth more than the time they take; for MANY images 16 is not measured
STAGE1_BATCH, STAGE1_BATCH_OF_MANY = 16, 50  # less below 160 images
STAGE2_BATCH = 100  # less below 1,000 images
# times 1,000 / sqrt(images), or sqrt(images) below 1,000; `patience` ends them earlier
STAGE1_EPOCHS, STAGE2_EPOCHS = 3, 10
STAGE1_RATE, STAGE2_RATE = 1e-3, 5e-4
WARMUP_STEPS = 200
STAGE1_SHARE = 0.8  # of the time that `minutes` allows
LEAST_GAIN = 0.1  # of the seconds of a step, for another precision than float32
EPOCH_PER_STEPS = 1.07  # its time by that of its steps; held-out images take the rest
MAX_SIDE, LEAST_SIDE = 64, 32  # that image files are resized to
LEAST_IMAGES = 10
FEW, MANY = 3_000, 20_000  # images
MIN_PATIENCE = 10  # epochs; while the rate is high the held-out loss jumps
HELD_OUT_REASON = "by the held-out images"
RATE_REASON = "the log variance is bounded"


class Choice(NamedTuple):
    """A setting, and why."""

    name: str
    value: Any
    reason: str


class _Chosen:
    """A config, what was chosen for it, and why.

    Args:
        config: Settings.
        given: Names of settings that stay as they are.
    """

    def __init__(self, config: Any, given: Collection[str]):
        self.config = config
        self.given = given
        self._choices: dict[str, Choice] = {}

    def take(self, *choices: Choice) -> None:
        """Those of settings that were not given; a later one replaces an earlier."""
        taken = {each.name: each for each in choices if each.name not in self.given}
        self._choices |= taken
        values = {name: choice.value for name, choice in taken.items()}
        self.config = dataclasses.replace(self.config, **values)

    def log(self) -> None:
        """A line for each reason, with the settings that have it."""
        lines: dict[str, list[str]] = {}
        for name, value, reason in self._choices.values():
            shown = f"{value:g}" if isinstance(value, float) else value
            lines.setdefault(reason, []).append(f"{name} {shown}")
        for reason, settings in lines.items():
            logger.info("auto: %s (%s)", ", ".join(settings), reason)


def auto_stage1(
    config: Stage1Config, given: Collection[str], images: np.ndarray
) -> Stage1Config:
    """The config with what the images and this machine suggest; logs it, and why.

    Args:
        config: Settings, of which those that were not given are chosen.
        given: Names of settings that stay as they are.
        images: Those that are trained on, uint8 (N, side, side, channels).

    Raises:
        InputError: fewer than ten images.
    """
    if len(images) < LEAST_IMAGES:
        raise InputError(
            f"{len(images)} training image{'s' * (len(images) != 1)}, without those"
            " that are kept for tests",
            f"at least {LEAST_IMAGES}, thousands if you can",
            "add some",
        )
    _, side, width, channels = images.shape
    shape = (side, width, channels)
    chosen = _Chosen(config, given)
    chosen.take(*stage1_choices(config, given, len(images), shape))
    if config.minutes and "epochs" in given:
        logger.warning("`minutes` has no effect on stage 1 beside its `epochs`")
    minutes = STAGE1_SHARE * config.minutes
    seconds = _fit_to_machine(chosen, len(images), images[0], minutes)
    if config.held_out:
        patience = max(MIN_PATIENCE, chosen.config.epochs // 4)
        chosen.take(Choice("patience", patience, HELD_OUT_REASON))
    return _concluded(chosen, seconds)


def auto_stage2(
    config: Stage2Config, given: Collection[str], first: Stage1Config, count: int
) -> Stage2Config:
    """As `auto_stage1`, of stage 2.

    Args:
        config: Settings, of which those that were not given are chosen.
        given: Names of settings that stay as they are.
        first: Stage 1's settings.
        count: Number of training images.
    """
    chosen = _Chosen(config, given)
    chosen.take(*stage2_choices(config, given, count))
    minutes = (1 - STAGE1_SHARE) * first.minutes
    latents = np.zeros(first.latent_dim, "float32")
    # more epochs than those end with overfitting
    most = chosen.config.epochs
    seconds = _fit_to_machine(chosen, count, latents, minutes, most)
    if first.held_out:
        patience = max(5, chosen.config.epochs // 5)
        chosen.take(Choice("patience", patience, HELD_OUT_REASON))
        chosen.take(Choice("sampling", "auto", HELD_OUT_REASON))
    return _concluded(chosen, seconds)


def with_size(
    config: Stage1Config, given: Collection[str], dataset: Dataset
) -> Stage1Config:
    """The config with a side that the ResNet takes: small squares are padded, larger
    and odd images cropped and resized.
    """
    if isinstance(dataset, ImageFileDataset):
        choices = _file_choices(dataset.sizes)
        if not {"side", "pad", "crop"}.isdisjoint(given):
            choices = []
        return _sized(config, given, choices)
    images, _ = dataset.read("train")
    return with_pad(config, given, images.shape)


def with_pad(
    config: Stage1Config, given: Collection[str], image_shape: Sequence[int]
) -> Stage1Config:
    """The config with the side that arrays (N, height, width, channels) are padded to,
    where they have none that the ResNet takes.
    """
    return _sized(config, given, _pad_choices(tuple(image_shape)))


def _sized(
    config: Stage1Config, given: Collection[str], choices: list[Choice]
) -> Stage1Config:
    chosen = _Chosen(config, given)
    chosen.take(*choices)
    chosen.log()
    return chosen.config


def _file_choices(sizes: ImageSizes) -> list[Choice]:
    """For image files, by their headers."""
    found = {size[:2] for size in sizes.counts}
    if not found:
        return []  # no file can be read, which is reported when they are decoded
    width, height = next(iter(found))
    if len(found) == 1 and width == height <= MAX_SIDE:
        return _pad_choices((height, width, 3))
    side = next((side for side in sizes.possible_sides if side <= MAX_SIDE), LEAST_SIDE)
    listed = "images of other sizes"
    return [Choice("side", side, listed), Choice("fit", "crop", listed)]


def _pad_choices(image_shape: tuple[int, ...]) -> list[Choice]:
    """For images (..., height, width, channels), the next side that the ResNet takes;
    none where theirs is one.

    Raises:
        InputError: they are too large.
    """
    largest = max(image_shape[-3:-1])
    sides = [side for side in SIDES if side >= largest]
    if not sides:
        raise InputError(
            f"an array of images of side {largest}",
            f"at most {SIDES[-1]}",
            "resize them before",
        )
    if image_shape[-3:-1] == (sides[0], sides[0]):
        return []
    return [Choice("pad", sides[0], f"images of side {largest}")]


def stage1_choices(
    config: Stage1Config, given: Collection[str], count: int, image_shape: ImageShape
) -> list[Choice]:
    """The settings of stage 1 that follow from the images and from what was given.

    Args:
        config: Has the settings that were given.
        given: Their names.
        count: Number of training images.
        image_shape: (side, side, channels).
    """
    side, _, channels = image_shape
    latents = 128 if side == 128 else min(2 * side, 64)
    if "latent_dim" in given:
        latents = config.latent_dim
    wide = side <= 32 and count >= FEW
    images = f"{count:,} images of {side}x{side}x{channels}"
    resnet = [  # the other networks have their authors' sizes
        Choice("num_scale", SCALES[side], images),
        Choice("base_dim", 32 if wide else 16, images),
        Choice("fc_dim", 512 if wide else 256, images),
        Choice("initialization", "mean", "the decoder begins at the mean color"),
    ]
    batch = STAGE1_BATCH if count < MANY else STAGE1_BATCH_OF_MANY
    return [
        *(resnet if config.network == "resnet" else []),
        Choice("latent_dim", latents, images),
        Choice("kl_weight", (2 * side / latents) ** 2, "(2 side / latents)^2"),
        Choice("flip", channels == 3 and count < MANY, images),
        *_steps(config, given, count, batch, STAGE1_EPOCHS, STAGE1_RATE),
    ]


def stage2_choices(
    config: Stage2Config, given: Collection[str], count: int
) -> list[Choice]:
    """The settings of stage 2 that follow from the data and from what was given.

    Args:
        config: Has the settings that were given.
        given: Their names.
        count: Number of training images.
    """
    start = Choice(
        "initialization", "gaussian", "training starts near the best Gaussian"
    )
    rule = Choice("gamma", "learned", "the minimum of batches drifts to 0 in stage 2")
    return [
        Choice("width", 512, "wider layers are slower, hardly better"),
        # neither would use what was given
        *([start] if "gamma_start" not in given else []),
        *([rule] if "gamma_rule" not in given else []),
        *_steps(config, given, count, STAGE2_BATCH, STAGE2_EPOCHS, STAGE2_RATE),
    ]


def _steps(
    config: Any,
    given: Collection[str],
    count: int,
    batch: int,
    factor: int,
    rate: float,
) -> list[Choice]:
    """Rate, schedule, batches and epochs. The steps grow with the square root of the
    number of images; few images would be overfitted in as many.
    """
    batch = min(batch, max(1, count // 10))
    root = count**0.5
    epochs = math.ceil(factor * min(root, 1_000 / root))
    used = config.batch_size if "batch_size" in given else batch
    check_count(count, used)
    per_epoch = count // used
    steps = (config.epochs if "epochs" in given else epochs) * per_epoch
    schedule = _schedule(config, given)
    warmup = _warmup(schedule, steps)
    return [
        Choice("learning_rate", rate, warmup.reason),
        Choice("schedule", schedule, warmup.reason),
        warmup,
        Choice("batch_size", batch, f"{count:,} images"),
        Choice("epochs", epochs, f"{epochs * per_epoch:,} steps"),
    ]


def _schedule(config: Any, given: Collection[str]) -> str:
    """The cosine, unless what was given asks for halving."""
    if "schedule" in given:
        return config.schedule
    halves = "halve_every" in given and "warmup_steps" not in given
    return "halving" if halves else "cosine"


def _warmup(schedule: str, steps: int) -> Choice:
    if schedule != "cosine":
        return Choice("warmup_steps", 0, RATE_REASON)
    reason = f"{RATE_REASON}; warm-up, then a cosine to 0"
    return Choice("warmup_steps", min(WARMUP_STEPS, steps // 10), reason)


def _fit_to_machine(
    chosen: _Chosen,
    count: int,
    example: np.ndarray,
    minutes: float,
    most: float = math.inf,
) -> float:
    """Takes the clearly faster precision, and as many epochs as the time allows.

    Args:
        chosen: The stage's settings.
        count: Number of training examples.
        example: One of them.
        minutes: For this stage; 0: as the epochs say.
        most: Epochs that are not exceeded, however much time there is.

    Returns:
        The seconds that the training will take.
    """
    config, given = chosen.config, chosen.given
    precisions = [config.precision] if "precision" in given else PRECISIONS
    with announced("auto: timing a few steps"):
        configs = [
            dataclasses.replace(config, precision=precision) for precision in precisions
        ]
        seconds = seconds_per_step(configs, example)
        paces = dict(zip(precisions, seconds, strict=True))
    precision = _clearly_faster(paces)
    listed = ", ".join(f"{name} {pace:.3g} s" for name, pace in paces.items())
    reason = f"a step takes {listed}"
    if paces[precision] > min(seconds):
        reason += "; a gain below a tenth is ignored"
    chosen.take(Choice("precision", precision, reason))
    steps = count // config.batch_size
    of_epoch = EPOCH_PER_STEPS * paces[precision] * steps
    if minutes and "epochs" not in given:
        epochs = _epochs_within(minutes, of_epoch, most)
        chosen.take(epochs, _warmup(config.schedule, epochs.value * steps))
    return of_epoch * chosen.config.epochs


def _clearly_faster(paces: dict[str, float]) -> str:
    """The first precision, unless another one saves `LEAST_GAIN` of its time: less is
    the noise of the clock, which must not decide what is trained.
    """
    first = next(iter(paces))
    fastest = min(paces, key=lambda each: paces[each])
    return fastest if paces[fastest] <= (1 - LEAST_GAIN) * paces[first] else first


def _concluded(chosen: _Chosen, seconds: float) -> Any:
    """The config; logs what was chosen, and how long it will take."""
    chosen.log()
    duration = duration_text(seconds)
    logger.info("training takes about %s on this machine", duration)
    return chosen.config


def _epochs_within(minutes: float, seconds: float, most: float) -> Choice:
    """The epochs of so many seconds that fit, `most` of them at most."""
    fitting = max(1, int(minutes * 60 / seconds))
    epochs = int(min(fitting, most))
    reason = f"{minutes:.3g} minutes"
    if epochs < fitting:
        reason = f"{fitting} would fit into {reason}, but would overfit"
    return Choice("epochs", epochs, reason)
