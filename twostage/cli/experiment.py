"""`experiment NAME`: recomputes a paper's table."""

import sys
from collections.abc import Sequence

from twostage.cli.arguments import Parser
from twostage.cli.backend import load_backend
from twostage.cli.errors import guarded
from twostage.cli.evaluate import add_extractor_flags
from twostage.cli.invocation import command
from twostage.config import PRECISIONS
from twostage.experiments.catalog import EXPERIMENTS
from twostage.experiments.experiment import Experiment


def main(argv: Sequence[str] | None = None) -> None:
    """Recomputes a paper's table, and prints it beside the paper's numbers."""
    guarded(_experiment, sys.argv[1:] if argv is None else argv)


def _experiment(argv: Sequence[str]) -> None:
    experiment = EXPERIMENTS[_chosen_name(argv[:1])]
    options = _parser(experiment).parse_args(argv[1:])
    load_backend()
    from twostage.experiments import runner

    runner.run(
        experiment,
        options.out,
        seeds=options.seeds,
        epochs=options.epochs,
        data=options.data,
        quick=options.quick,
        extractor=options.extractor,
        weights=options.weights,
        partial=options.partial,
        precision=options.precision,
        rows=options.rows,
    )


def _chosen_name(argv: Sequence[str]) -> str:
    parser = Parser(prog=command("experiment"), description=main.__doc__)
    parser.add_argument(
        "name", metavar="NAME", choices=EXPERIMENTS, help=", ".join(EXPERIMENTS)
    )
    return parser.parse_args(argv).name


def _parser(experiment: Experiment) -> Parser:
    name = experiment.name
    parser = Parser(
        prog=command("experiment", name),
        description=f"{experiment.title} Runs or resumes the rows, and prints them"
        " beside the paper's numbers.",
    )
    parser.add_argument(
        "--out",
        default=f"runs/{name}",
        help="folder of the results, with a folder for each shorter length; what it"
        f" has is not run again (default: runs/{name})",
    )
    parser.add_argument(
        "--rows",
        nargs="+",
        metavar="ROW",
        help="only these rows, and those that they need (default: all:"
        f" {'; '.join(row.name for row in experiment.rows)})",
    )
    _add_length_flags(parser, experiment)
    parser.add_argument(
        "--data",
        default="",
        help=f"images, as --data of train-stage1 (default:"
        f" {experiment.data or 'its own'})",
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


def _add_length_flags(parser: Parser, experiment: Experiment) -> None:
    parser.add_argument(
        "--seeds",
        type=int,
        metavar="N",
        help=f"seeds 0 to N - 1 (default: {experiment.seeds})",
    )
    parser.add_argument(
        "--epochs",
        type=int,
        metavar="N",
        help=f"length of the longest row (default: {experiment.full_epochs}, with"
        f" --quick {experiment.quick_epochs})",
    )
    parser.add_argument(
        "--quick",
        action="store_true",
        help="a short length and at most two seeds, for two cores",
    )
