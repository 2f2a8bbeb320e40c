"""`experiment NAME`: recomputes a paper's table."""

import sys
from collections.abc import Sequence

from twostage.cli.arguments import Parser
from twostage.cli.backend import load_backend
from twostage.cli.errors import guarded
from twostage.cli.evaluate import add_extractor_flags
from twostage.cli.invocation import command
from twostage.config import PRECISIONS


def main(argv: Sequence[str] | None = None) -> None:
    """Recomputes a paper's table, and sets it beside the paper's numbers."""
    guarded(_experiment, sys.argv[1:] if argv is None else argv)


def _experiment(argv: Sequence[str]) -> None:
    from twostage.experiments import runner

    names = runner.NAMES
    chooser = Parser(prog=command("experiment"), description=main.__doc__)
    chooser.add_argument("name", metavar="NAME", choices=names, help=", ".join(names))
    name = chooser.parse_args(argv[:1]).name
    parser = _parser(name)
    options = parser.parse_args(argv[1:])
    for flag in ("seeds", "epochs"):
        number = getattr(options, flag)
        if number is not None and number < 1:
            parser.error(f"received --{flag} {number}, expected at least 1")
    load_backend()
    runner.run(
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


def _parser(name: str) -> Parser:
    from twostage.experiments import runner

    what, seeds, lengths, images = runner.about(name)
    parser = Parser(
        prog=command("experiment", name),
        description=f"{what} Runs or resumes the rows, and sets them beside the"
        " paper's numbers.",
    )
    parser.add_argument(
        "--out",
        default=f"runs/{name}",
        help="folder of the results, with a folder for each shorter length; what it"
        f" has is not run again (default: runs/{name})",
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
        help=f"images, as --data of train-stage1 (default: {images})",
    )
    parser.add_argument(
        "--partial",
        action="store_true",
        help="accept an incomplete CelebA, split as any folder is",
    )
    add_extractor_flags(parser)
    parser.add_argument(
        "--precision",
        choices=PRECISIONS,
        default="float32",
        help="of the networks' arithmetic (default: float32)",
    )
    return parser
