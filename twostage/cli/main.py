"""The commands' entry points: flags from the dataclasses, one-line errors. No framework
is imported before the flags are right.
"""

import argparse
import dataclasses
import os
import sys
from importlib import import_module

from twostage.cli.arguments import Parser, add_flag, stage_parser
from twostage.cli.errors import RESUME, guarded
from twostage.config import PRECISIONS, Stage1Config, build
from twostage.errors import InputError
from twostage.system.output import suppress_output

EXTRACTORS = ("classifier", "random", "inception2015", "keras")
BACKENDS = ("tensorflow", "jax")


def stage1(argv=None):
    """`train_stage1.py`: trains stage 1 and writes its SavedModel."""
    guarded(_stage, 1, argv, again=RESUME)


def stage2(argv=None):
    """`train_stage2.py`: trains stage 2 on the latents of a finished stage 1."""
    guarded(_stage, 2, argv, again=RESUME)


def export(argv=None):
    """`python -m twostage.export`: writes a run's SavedModel from its `.keras` files."""
    guarded(_export, argv)


def sample(argv=None):
    """`python -m twostage.sample`: draws a grid of samples from a run's SavedModel."""
    guarded(_sample, argv)


def data(argv=None):
    """`python -m twostage.data`: a look at images before training: counts, range,
    moments, duplicates, classes, and a montage. `python -m twostage.data
    resize-comparison FOLDER` draws the same pictures resized in three ways.
    """
    guarded(_data, argv)


def evaluate(argv=None):
    """`python -m twostage.evaluate`: measures a finished run: distances of
    reconstructions and samples, likelihoods, latents; each with its protocol.
    """
    guarded(_evaluate, argv)


def experiment(name, argv=None):
    """`python -m twostage.experiments.NAME`: runs the rows of a paper's table, or goes
    on with them, and sets them beside the paper's figures.
    """
    guarded(_experiment, name, argv)


def _stage(number, argv):
    changes = vars(stage_parser(number).parse_args(argv))
    options = {name: changes.pop(name) for name in ("preset", "run", "resume")}
    dry_run = changes.pop("dry_run")
    from twostage.runs.run import default_run, open_stage

    if changes.get("distribute"):
        options["run"] = _load("twostage.distribution", look=False).join(
            options["run"] or default_run(options["preset"])
        )
    elif options["resume"]:
        changes["distribute"] = (
            False  # by the command line alone, as is the number of devices
        )
    stage, config = open_stage(number, changes, **options)
    stage.command += " --distribute" if config.distribute else ""
    recipes = _load("twostage.recipes")
    try:
        (recipes.stage1, recipes.stage2)[number - 1](config, stage, dry_run)
    finally:
        stage.end()


def _export(argv):
    parser = Parser(
        prog="python -m twostage.export", allow_abbrev=False, description=export.__doc__
    )
    parser.add_argument("--run", required=True, help="run folder")
    parser.add_argument(
        "--recalibrate",
        action="store_true",
        help=(
            "measure stage 1's batch normalisation anew on training images, and export"
            " the better by validation images"
        ),
    )
    parser.add_argument(
        "--mixture",
        type=int,
        default=0,
        metavar="N",
        help=(
            "sample from a mixture of N Gaussians, fitted to stage 1's latents, instead"
            " of stage 2"
        ),
    )
    options = parser.parse_args(argv)
    if options.mixture < 0:
        parser.error(
            f"received --mixture {options.mixture}, expected a number of Gaussians, or"
            " 0 for none"
        )
    os.environ["KERAS_BACKEND"] = "tensorflow"
    print(
        "wrote"
        f" {_load('twostage.publish').export(options.run, options.recalibrate, options.mixture)}"
    )


def _load(module, look=True):
    """Imports a module with the frameworks behind it, without the twenty lines with
    which TensorFlow greets on standard error. `look`: for devices, too.
    """
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
    try:
        with suppress_output(2):
            loaded = import_module(module)
            keras = import_module("keras")
            if keras.backend.backend() not in BACKENDS:
                raise InputError(
                    f"received the backend {keras.backend.backend()}, expected"
                    f" {' or '.join(BACKENDS)}: set KERAS_BACKEND to one of them"
                )
            if look:
                # the last greeting comes with the first look for devices
                keras.distribution.list_devices()
        return loaded
    except (
        ImportError,
        ValueError,
    ) as error:  # of an unknown backend Keras raises a ValueError
        if isinstance(error, InputError) or (
            isinstance(error, ValueError) and "backend" not in str(error)
        ):
            raise
        raise InputError(
            f"{error}: install it (pip install .), or choose a backend that is there,"
            " such as KERAS_BACKEND=jax"
        ) from error


def _sample(argv):
    parser = Parser(
        prog="python -m twostage.sample", allow_abbrev=False, description=sample.__doc__
    )
    parser.add_argument("--run", required=True, help="run folder")
    parser.add_argument(
        "--n", type=int, default=64, help="number of images (default: 64)"
    )
    parser.add_argument(
        "--seed",
        type=int,
        default=0,
        help="the same seed gives the same images (default: 0)",
    )
    parser.add_argument(
        "--out", default="samples.png", help="file to write (default: samples.png)"
    )
    parser.add_argument(
        "--first-stage", action="store_true", help="sample stage 1 alone"
    )
    options = parser.parse_args(argv)
    _load("twostage.sample").draw(
        options.run, options.n, options.seed, options.out, options.first_stage
    )


def _data(argv):
    argv = sys.argv[1:] if argv is None else argv
    if argv[:1] == ["resize-comparison"]:
        return _compare_resizing(argv[1:])
    parser = Parser(
        prog="python -m twostage.data",
        allow_abbrev=False,
        description=data.__doc__,
        argument_default=argparse.SUPPRESS,
    )
    fields = {
        field.name: field
        for field in dataclasses.fields(Stage1Config)
        if field.metadata["group"] == "data"
    }
    parser.add_argument(
        "data", metavar="NAME_OR_PATH", help=fields.pop("data").metadata["help"]
    )
    parser.add_argument(
        "--montage",
        default="montage.png",
        metavar="FILE",
        help="64 images of the training split (default: montage.png)",
    )
    del fields["flip"]  # of the batches
    for field in fields.values():
        add_flag(parser, field, field.default)
    settings = vars(parser.parse_args(argv))
    montage = settings.pop("montage")
    import_module("twostage.look").show(build(Stage1Config, settings), montage)


def _compare_resizing(argv):
    parser = Parser(
        prog="python -m twostage.data resize-comparison", allow_abbrev=False
    )
    parser.add_argument("folder", help="pictures of faces, such as img_align_celeba")
    fields = {field.name: field for field in dataclasses.fields(Stage1Config)}
    for name, default in (("crop", "128"), ("side", 64)):
        add_flag(parser, fields[name], default)
    parser.set_defaults(crop="128", side=64)
    parser.add_argument(
        "--out", default="resize.png", help="file to write (default: resize.png)"
    )
    options = parser.parse_args(argv)
    build(Stage1Config, {"crop": options.crop, "side": options.side})
    import_module("twostage.look").compare_resizing(
        options.folder, options.out, options.crop, options.side
    )


def _evaluate(argv):
    from twostage.evaluation.protocol import QUIRKS, SPLITS
    from twostage.features.inception import RESIZES

    parser = Parser(
        prog="python -m twostage.evaluate",
        allow_abbrev=False,
        description=evaluate.__doc__,
    )
    parser.add_argument("--run", help="run folder")
    parser.add_argument(
        "--compare",
        nargs=2,
        metavar="JSON",
        help=(
            "say whether two results, RUN/evaluation/*.json, may be compared, and set"
            " them side by side"
        ),
    )
    parser.add_argument(
        "--extractor",
        choices=EXTRACTORS,
        help="what sees the images (default: a classifier where there are labels)",
    )
    parser.add_argument(
        "--weights",
        help=(
            "classify_image_graph_def.pb for inception2015, the .h5 without top for"
            " keras"
        ),
    )
    parser.add_argument(
        "--inception-resize",
        choices=RESIZES,
        default="tf1",
        help="to 299x299, of inception2015 (default: tf1, as the papers)",
    )
    parser.add_argument(
        "--protocol",
        choices=tuple(SPLITS),
        default="fid10k_test",
        help="which images, and how many (default: fid10k_test)",
    )
    parser.add_argument(
        "--quirk",
        action="append",
        default=[],
        choices=QUIRKS,
        help=(
            "what the papers' code did and did not say, or tone: brightness and"
            " contrast taken out; may be repeated"
        ),
    )
    parser.add_argument(
        "--recalibrate",
        action="store_true",
        help=(
            "measure also with stage 1's batch normalisation measured anew on training"
            " images"
        ),
    )
    parser.add_argument(
        "--mixtures",
        type=int,
        nargs="*",
        default=[1, 10],
        help=(
            "numbers of Gaussians fitted to stage 1's latents, to sample from (default:"
            " 1 10)"
        ),
    )
    for name, default, text in (
        ("seed", 0, "of all samples"),
        ("half-samples", 10, "that the standard errors come from"),
        ("bound-images", 500, "test images whose likelihood is bounded"),
        ("importance-samples", 50, "draws of z for the importance-weighted bound"),
    ):
        parser.add_argument(
            f"--{name}", type=int, default=default, help=f"{text} (default: {default})"
        )
    options = parser.parse_args(argv)
    if options.compare:
        print(import_module("twostage.results").compare(*options.compare))
        return
    if not options.run:
        parser.error("expected --run RUN, or --compare A B")
    _load("twostage.evaluation").main(options)


def _experiment(name, argv):
    command = import_module("twostage.experiments.command")
    what, seeds, lengths, images = command.about(name)
    parser = Parser(
        prog=f"python -m twostage.experiments.{name}",
        allow_abbrev=False,
        description=(
            f"{what} Runs the rows, or goes on with them, and sets them beside the"
            " paper's figures."
        ),
    )
    parser.add_argument(
        "--out",
        default=f"runs/{name}",
        help=(
            "folder of the results, a shorter length's within; what it has is not run"
            f" again (default: runs/{name})"
        ),
    )
    parser.add_argument(
        "--seeds", type=int, metavar="N", help=f"seeds 0 to N - 1 (default: {seeds})"
    )
    parser.add_argument(
        "--epochs",
        type=int,
        metavar="N",
        help=f"length of the longest row (default: {lengths})",
    )
    parser.add_argument(
        "--quick",
        action="store_true",
        help="a short length and at most two seeds, for two cores",
    )
    parser.add_argument(
        "--data",
        default="",
        help=(
            "images, as train_stage1.py --data, authors' files by their folder"
            f" (default: {images})"
        ),
    )
    parser.add_argument(
        "--partial",
        action="store_true",
        help="a part of CelebA is all right; the splits are then those of any folder",
    )
    parser.add_argument(
        "--extractor",
        choices=EXTRACTORS,
        help="what sees the images (default: a classifier where there are labels)",
    )
    parser.add_argument("--weights", help="its file, as of python -m twostage.evaluate")
    parser.add_argument(
        "--precision",
        choices=PRECISIONS,
        default="float32",
        help="of the networks' arithmetic (default: float32)",
    )
    options = parser.parse_args(argv)
    for flag in ("seeds", "epochs"):
        if getattr(options, flag) is not None and getattr(options, flag) < 1:
            parser.error(
                f"received --{flag} {getattr(options, flag)}, expected at least 1"
            )
    _load("twostage.evaluation")  # the frameworks, before the first row
    command.run(
        name,
        options.out,
        options.seeds,
        options.epochs,
        options.data,
        options.quick,
        options.extractor,
        options.weights,
        options.partial,
        options.precision,
    )
