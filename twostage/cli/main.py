"""The program `twostage`: one sub-command for each thing that a user does."""

import argparse
import difflib
import sys
from collections.abc import Sequence

from twostage.cli import data, evaluate, experiment, explore, export, sample, train
from twostage.cli.arguments import Parser
from twostage.cli.invocation import program

COMMANDS = {
    "train-stage1": train.stage1,
    "train-stage2": train.stage2,
    "sample": sample.main,
    "explore": explore.main,
    "evaluate": evaluate.main,
    "export": export.main,
    "data": data.main,
    "experiment": experiment.main,
}


def main(argv: Sequence[str] | None = None) -> None:
    """Runs `twostage COMMAND ...`."""
    argv = sys.argv[1:] if argv is None else argv
    parser = Parser(
        prog=program(),
        description="Two-stage VAEs for Keras 3.",
        epilog=f"{program()} COMMAND --help lists the options of a command.",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    commands = parser.add_subparsers(metavar="COMMAND", required=True)
    for name, function in COMMANDS.items():
        commands.add_parser(name, help=" ".join((function.__doc__ or "").split()))
    if argv and argv[0] in COMMANDS:
        COMMANDS[argv[0]](argv[1:])
        return
    for typed in argv[:1]:
        near = difflib.get_close_matches(typed, COMMANDS, n=2, cutoff=0.5)
        if near:
            meant = " or ".join(sorted(near))
            parser.error(f"no command {typed}: did you mean {meant}?")
    parser.parse_args(argv[:1])  # --help, or an error
