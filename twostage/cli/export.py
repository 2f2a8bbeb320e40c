"""`export`: writes a run's SavedModel, or ONNX files, from its `.keras` files."""

import argparse
import os
from collections.abc import Sequence

from twostage.cli.arguments import Parser
from twostage.cli.backend import load_backend
from twostage.cli.errors import guarded
from twostage.cli.invocation import command
from twostage.config import (
    DENSITY_METHODS,
    EXPORT_FORMATS,
    SAMPLING_METHODS,
)
from twostage.old_names import current_name


def main(argv: Sequence[str] | None = None) -> None:
    """Writes a run's SavedModel, or ONNX files, from its `.keras` files."""
    guarded(_export, argv)


def _parser() -> Parser:
    parser = Parser(prog=command("export"), description=main.__doc__)
    parser.add_argument("--run", help="run folder")
    parser.add_argument(
        "--models", metavar="FOLDER", help="what TwoStageVAE.save wrote, instead"
    )
    parser.add_argument(
        "--out", metavar="FOLDER", help="with --models: the folder to write"
    )
    parser.add_argument(
        "--format",
        choices=EXPORT_FORMATS,
        default="saved_model",
        help=(
            "saved_model: RUN/saved_model; onnx: encoder.onnx, decoder.onnx and"
            " sampler.onnx in RUN/onnx (default: saved_model)"
        ),
    )
    parser.add_argument(
        "--method",
        type=current_name,
        choices=(*SAMPLING_METHODS, *DENSITY_METHODS),
        help="with --models: how latents are sampled (default: as was trained)",
    )
    parser.add_argument(
        "--recalibrate",
        action="store_true",
        help=(
            "re-estimate stage 1's batch-norm statistics on training images, and export"
            " whichever validates better"
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
    return parser


def _check_form(parser: Parser, options: argparse.Namespace) -> None:
    """Ends the command for a flag that goes with the other form."""
    form, other = ("--run", "--models") if options.run else ("--models", "--run")
    of_other = (
        ("models", "out", "method") if options.run else ("recalibrate", "mixture")
    )
    for name in of_other:
        if getattr(options, name):
            parser.error(
                f"received --{name} with {form}, it goes with {other}: drop it"
            )


def _export(argv: Sequence[str] | None) -> None:
    parser = _parser()
    options = parser.parse_args(argv)
    if options.mixture < 0:
        parser.error(
            f"received --mixture {options.mixture}, expected a number of Gaussians, or"
            " 0 for none"
        )
    if bool(options.run) == bool(options.models and options.out):
        parser.error("expected --run RUN, or --models FOLDER and --out FOLDER")
    _check_form(parser, options)
    os.environ["KERAS_BACKEND"] = "tensorflow"
    load_backend()
    from twostage.export.export_models import export_folder
    from twostage.export.export_run import export_run

    if options.models:
        path = export_folder(
            options.models, options.out, options.method, options.format
        )
    else:
        path = export_run(
            options.run,
            recalibrate=options.recalibrate,
            mixture=options.mixture,
            format=options.format,
        )
    print(f"wrote {path}")
