"""The flags of the commands; those of the training commands come from the configs."""

import argparse
import dataclasses
import difflib
import re
from pathlib import Path
from typing import NoReturn

from twostage.cli.errors import in_flags
from twostage.config import GROUPS, Stage1Config, Stage2Config
from twostage.old_names import old_names
from twostage.presets import PRESETS

# argparse takes -3e-3 and -inf for options
NEGATIVE_NUMBER = re.compile(r"-(\d+\.?\d*|\.\d+)(e[-+]?\d+)?$|-(inf|nan)$", re.I)


class Parser(argparse.ArgumentParser):
    """Takes no abbreviations, and reports an error in one line."""

    def __init__(self, **options):
        super().__init__(allow_abbrev=False, **options)
        self._negative_number_matcher = NEGATIVE_NUMBER

    def parse_args(self, args=None, namespace=None):
        options, unknown = self.parse_known_args(args, namespace)
        if unknown:
            meant = " ".join(filter(None, map(self._meant, unknown)))
            question = f": did you mean {meant}?" if meant else ""
            self.error(f"unrecognized arguments: {' '.join(unknown)}{question}")
        return options

    def _meant(self, argument: str) -> str:
        """The option that an unknown argument is probably for, else ""."""
        flags = self._option_string_actions
        if argument.startswith("-"):
            name = argument.split("=")[0]
            near = difflib.get_close_matches(name, flags, n=1, cutoff=0.7)
            return near[0] if near else ""
        if "--data" in flags and Path(argument).expanduser().exists():
            return f"--data {argument}"
        return ""

    def error(self, message: str) -> NoReturn:
        self.exit(2, f"error: {message} (--help lists the options)\n")


def stage_parser(number: int, prog: str) -> Parser:
    """The parser of `train-stage1` or `train-stage2`."""
    kind = (Stage1Config, Stage2Config)[number - 1]
    parser = Parser(
        prog=prog,
        description=(
            f"{kind.__doc__} Any option overrides its preset. The preset auto, the"
            " default for your own data, chooses most options from the images;"
            " --dry-run prints its choices."
        ),
        argument_default=argparse.SUPPRESS,
    )
    groups = {"run": parser.add_argument_group("run")}
    _add_run_flags(groups["run"], number)
    fields = dataclasses.fields(kind)
    for field in sorted(fields, key=lambda each: GROUPS.index(each.metadata["group"])):
        name = field.metadata["group"]
        if name not in groups:
            groups[name] = parser.add_argument_group(name)
        add_field(groups[name], field, _defaults(number, field))
    return parser


def _add_run_flags(group, number: int) -> None:
    names = ", ".join(PRESETS)
    default, run = "stage 1's", "runs/PRESET; runs/digits without --preset"
    if number == 1:
        default = "that of the data; auto for your own, digits without data"
        run = "runs/PRESET"
    group.add_argument(
        "--preset", default=None, metavar="NAME", help=f"{names} (default: {default})"
    )
    group.add_argument(
        "--run",
        default=None,
        metavar="FOLDER",
        help=f"run folder (default: {run})",
    )
    group.add_argument(
        "--resume", action="store_true", default=False, help="resume a run"
    )
    group.add_argument(
        "--dry-run",
        action="store_true",
        default=False,
        help="print the settings and the networks, and stop",
    )


def add_field(group, field: dataclasses.Field, default: object) -> None:
    """Adds the flag of a config's field."""
    flag, choices = _flag(field.name), field.metadata["choices"]
    text = in_flags(field.metadata["help"])
    if default != "":
        text += f" (default: {default})"
    if isinstance(field.default, bool):
        group.add_argument(flag, action="store_true", help=text)
        for old in old_names(field.name):
            group.add_argument(
                _flag(old),
                dest=field.name,
                action="store_true",
                help=argparse.SUPPRESS,
            )
        return
    kind = type(field.default)
    shown = f"{{{','.join(map(str, choices))}}}" if choices else kind.__name__.upper()
    group.add_argument(flag, type=kind, metavar=shown, help=text)


def _flag(name: str) -> str:
    return "--" + name.replace("_", "-")


def _defaults(number: int, field: dataclasses.Field) -> str:
    """The default, then those of the presets that have another."""
    texts = [str(field.default)]
    for name, preset in PRESETS.items():
        value = preset[number - 1].get(field.name, field.default)
        if value != field.default:
            texts.append(f"{name} {value}")
    return "; ".join(texts)
