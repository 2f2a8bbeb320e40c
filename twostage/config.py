"""Settings of the two training commands: one dataclass each makes the flags, the checks and config.json."""

import dataclasses

from twostage.errors import InputError


def option(default, group, text, choices=None):
    return dataclasses.field(
        default=default, metadata={"group": group, "help": text, "choices": choices}
    )


GROUPS = (
    "run",
    "data",
    "network",
    "likelihood",
    "sampling",
    "training",
)  # in the order of --help


NETWORKS = ("resnet", "infogan", "wae", "rae", "beta_sigma", "convolutional")


LIKELIHOODS = (
    "gaussian",
    "diagonal",
    "optimal_image",
    "optimal_batch",
    "bernoulli",
    "logistic",
)


GAMMAS, RULES = (
    ("computed", "learned", "fixed", "scheduled"),
    ("minimum", "ratchet", "ema", "batch"),
)


PRECISIONS = ("float32", "mixed_bfloat16")


@dataclasses.dataclass(frozen=True)
class _Training:
    """What both stages have. The defaults are stage 1's."""

    gamma: str = option(
        "computed",
        "likelihood",
        "how the decoder's standard deviation gamma is found",
        GAMMAS,
    )
    gamma_from: str = option(
        "",
        "likelihood",
        "folder of another run: with --gamma fixed its last gamma is taken (F*-VAE),"
        " with --gamma scheduled its gamma of each epoch",
    )
    gamma_rule: str = option("minimum", "likelihood", "rule of a computed gamma", RULES)
    gamma_start: float = option(
        1.0, "likelihood", "gamma at the start; with --gamma fixed, throughout"
    )
    gamma_floor: float = option(
        0.0011, "likelihood", "least gamma; 0.0011 is the rounding error of 8 bits"
    )
    gamma_multiplier: float = option(
        1.0, "likelihood", "of the learning rate of a learned gamma"
    )
    kl_weight: float = option(1.0, "likelihood", "kappa, weight of the KL divergence")
    epochs: int = option(700, "training", "passes over the data")
    batch_size: int = option(100, "training", "examples a step")
    learning_rate: float = option(1e-4, "training", "of Adam")
    halve_every: int = option(
        250,
        "training",
        "epochs after which the learning rate is halved, again and again",
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
        "steps in one compiled call; on a GPU under JAX 50 or so, where a step takes"
        " less than its start",
    )
    seed: int = option(0, "training", "of weights, batches and noise")
    deterministic: bool = option(
        False,
        "training",
        "the same bits from every run on one machine, at some cost in speed",
    )
    watch_every: int = option(
        1, "training", "epochs from one look at latents and pictures to the next"
    )
    checkpoint_every: float = option(
        600.0,
        "run",
        "seconds from one checkpoint to the next within an epoch; 0: at their ends"
        " only",
    )
    distribute: bool = option(
        False,
        "run",
        "train on all local devices, and on several machines where Keras's environment"
        " variables name them (docs/scaling.md)",
    )
    tensorboard: bool = option(
        False, "training", "also write TensorBoard logs (pip install tensorboard)"
    )


@dataclasses.dataclass(frozen=True)
class Stage1Config(_Training):
    """Stage 1: the ResNet VAE on images."""

    data: str = option(
        "digits",
        "data",
        "digits, mnist, fashion_mnist, cifar10, svhn, celeba; a folder or zip of"
        " pictures; an .npz or .npy file",
    )
    data_dir: str = option(
        "",
        "data",
        "names: folder with the authors' files, or TensorFlow Datasets' own (default"
        " there: ~/tensorflow_datasets)",
    )
    cache: str = option(
        "",
        "data",
        "folder for pictures once they are prepared (default there:"
        " ~/.cache/two-stage-vae)",
    )
    pad: int = option(
        0, "data", "zeros around smaller images, up to this side; 0: none"
    )
    crop: str = option(
        "none",
        "data",
        "pictures: the middle square, or CelebA's square of the face",
        ("none", "center", "128", "140", "148"),
    )
    side: int = option(0, "data", "pictures: resize to side x side; 0: none")
    resize: str = option(
        "bilinear",
        "data",
        "pictures: how; all but nearest are antialiased",
        ("bilinear", "nearest", "bicubic"),
    )
    limit: int = option(
        0, "data", "at most so many images, a fixed random choice; 0: all"
    )
    skip_broken: bool = option(
        False, "data", "pictures: leave out files that cannot be read, and tell which"
    )
    partial: bool = option(
        False,
        "data",
        "a part of CelebA is all right; the splits are then those of any folder",
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
        "gaussian: one gamma, see --gamma; diagonal: one for each dimension, from the"
        " decoder, at least --gamma-floor; optimal_image (Beta-Sigma VAE) and"
        " optimal_batch (sigma-VAE): the best gamma for what is seen; bernoulli:"
        " cross-entropy; logistic: discretised, for 8 bits",
        LIKELIHOODS,
    )
    posterior: str = option(
        "gaussian",
        "likelihood",
        "of the latents; constant: deviation 0.7, as CV-VAE; none: no noise, an"
        " autoencoder",
        ("gaussian", "constant", "none"),
    )
    divergence: str = option(
        "kl",
        "likelihood",
        "what --kl-weight weighs: kl to N(0, I); l2, the squared length of the mean"
        " (RAE); mmd (WAE)",
        ("kl", "l2", "mmd"),
    )
    gradient_penalty: float = option(
        0.0,
        "likelihood",
        "weight of the decoder's squared derivatives (RAE-GP); 0: none",
    )
    network: str = option(
        "resnet",
        "network",
        "resnet, infogan, wae: Dai & Wipf's; rae: Ghosh et al.'s; beta_sigma: its"
        " authors'; convolutional: Berger & Sebag's",
        NETWORKS,
    )
    spectral_norm: bool = option(
        False, "network", "rae: divide kernels by their largest singular value (RAE-SN)"
    )
    num_scale: int = option(3, "network", "scales of the encoder")
    block_per_scale: int = option(1, "network", "residual blocks a scale")
    base_dim: int = option(32, "network", "channels at the full side")
    fc_dim: int = option(512, "network", "width of the fully connected block")
    latent_dim: int = option(64, "network", "latents")
    pooling: str = option(
        "average", "network", "before the fully connected block", ("average", "flatten")
    )
    l2: float = option(
        0.0,
        "network",
        "resnet: weight of the squared kernels, see --l2-of; rae: of the decoder's"
        " (RAE-L2)",
    )
    l2_of: str = option(
        "sampling",
        "network",
        "resnet: down- and upsampling; encoder: downsampling; decoder: upsampling and"
        " its scale blocks",
        ("sampling", "encoder", "decoder"),
    )


@dataclasses.dataclass(frozen=True)
class Stage2Config(_Training):
    """Stage 2: the dense VAE on stage 1's latents."""

    width: int = option(2048, "network", "units of each of the dense layers")
    depth: int = option(3, "network", "dense layers each way")
    gamma_floor: float = option(
        0.03,
        "likelihood",
        "least gamma; stage 2's bound is flat in it, so a rule may drift here",
    )
    sampling: str = option(
        "normalised",
        "sampling",
        "of latents in the SavedModel",
        ("mean", "noise", "normalised"),
    )
    normal_target: str = option(
        "one",
        "sampling",
        "deviation after normalisation: 1 (of an autoencoder without a prior its"
        " latents'), or stage 1's variance law's",
        ("one", "variance_law"),
    )
    per_latent: bool = option(
        False, "sampling", "normalise each latent by its own deviation"
    )
    epochs: int = option(1400, "training", "passes over the latents")
    halve_every: int = option(
        400,
        "training",
        "epochs after which the learning rate is halved, again and again",
    )


def build(kind, values):
    """A config of `kind` from a dict, checked."""
    fields = {field.name: field for field in dataclasses.fields(kind)}
    unknown = set(values) - set(fields)
    if unknown:
        raise InputError(
            f"received unknown settings {', '.join(sorted(unknown))}, expected some of"
            f" {', '.join(fields)}"
        )
    config = kind(**values)
    for name, field in fields.items():
        value, choices = getattr(config, name), field.metadata["choices"]
        flag = "--" + name.replace("_", "-")
        if choices and value not in choices:
            raise InputError(
                f"received {flag} {value}, expected one of"
                f" {', '.join(map(str, choices))}"
            )
        may_be_zero = name in (
            "pad",
            "side",
            "limit",
            "l2",
            "seed",
            "kl_weight",
            "checkpoint_every",
            "gradient_penalty",
        )
        if type(value) in (int, float) and not (
            value > 0 or (may_be_zero and value == 0)
        ):
            raise InputError(
                f"received {flag} {value}, expected"
                f" {'at least 0' if may_be_zero else 'more than 0'}"
            )
    if config.seed >= 2**32:
        raise InputError(f"received --seed {config.seed}, expected less than 2**32")
    if (
        bool(config.gamma_from) != (config.gamma == "scheduled")
        and config.gamma != "fixed"
    ):
        need = (
            "--gamma-from RUN to take the curve from"
            if config.gamma == "scheduled"
            else "no --gamma-from: drop it, or use --gamma fixed or scheduled"
        )
        raise InputError(f"received --gamma {config.gamma}, expected {need}")
    if (
        config.gamma == "scheduled"
        and getattr(config, "likelihood", "gaussian") != "gaussian"
    ):
        raise InputError(
            f"received --gamma scheduled with --likelihood {config.likelihood}, which"
            " has no gamma to set: use --likelihood gaussian"
        )
    if config.gamma_floor > config.gamma_start:
        raise InputError(
            f"received --gamma-start {config.gamma_start} below --gamma-floor"
            f" {config.gamma_floor}: raise it or lower the floor"
        )
    if (
        getattr(config, "posterior", "gaussian") == "none"
        and config.divergence == "kl"
        and config.kl_weight
    ):
        raise InputError(
            "received --posterior none with the KL divergence, which is infinite there:"
            " use --divergence l2 or mmd, or --kl-weight 0 for a plain autoencoder"
        )
    if getattr(config, "spectral_norm", False) and config.network != "rae":
        raise InputError(
            f"received --spectral-norm with --network {config.network}, expected rae"
            " (infogan has it always)"
        )
    return config


def differences(old, new):
    """The text `name old -> new` for each field that differs."""
    pairs = (
        (f.name, getattr(old, f.name), getattr(new, f.name))
        for f in dataclasses.fields(old)
    )
    return [f"{name} {a} -> {b}" for name, a, b in pairs if a != b]
