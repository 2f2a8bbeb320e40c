"""The flags of the training commands, made from the dataclasses of settings."""

import argparse
import dataclasses

from twostage import config, presets


class Parser(argparse.ArgumentParser):
    """Errors in one line."""

    def error(self, message):
        self.exit(2, f"error: {message} (--help lists the flags)\n")


def stage_parser(number):
    """The parser of `train_stage1.py` or `train_stage2.py`."""
    kind = (config.Stage1Config, config.Stage2Config)[number - 1]
    parser = Parser(
        prog=f"train_stage{number}.py",
        allow_abbrev=False,
        description=f"{kind.__doc__} Any flag overrides its preset.",
        argument_default=argparse.SUPPRESS,
    )
    group = parser.add_argument_group("run")
    group.add_argument(
        "--preset",
        default=None,
        metavar="NAME",
        help=f"{', '.join(presets.PRESETS)} (default: digits)",
    )
    group.add_argument(
        "--run",
        default=None,
        metavar="FOLDER",
        help="run folder (default: runs/PRESET)",
    )
    group.add_argument(
        "--resume",
        action="store_true",
        default=False,
        help="go on with a run that stopped",
    )
    group.add_argument(
        "--dry-run",
        action="store_true",
        default=False,
        help="print the settings and the networks, and stop",
    )
    groups = {"run": group}
    for field in sorted(
        dataclasses.fields(kind),
        key=lambda field: config.GROUPS.index(field.metadata["group"]),
    ):
        name = field.metadata["group"]
        group = groups.get(name) or groups.setdefault(
            name, parser.add_argument_group(name)
        )
        add_flag(group, field, _defaults(number, field))
    return parser


def add_flag(group, field, default):
    """Adds the flag of a dataclass's field."""
    flag, choices = "--" + field.name.replace("_", "-"), field.metadata["choices"]
    text = field.metadata["help"] + (f" (default: {default})" if default != "" else "")
    if isinstance(field.default, bool):
        group.add_argument(flag, action="store_true", help=text)
        return
    shown = (
        "{" + ",".join(map(str, choices)) + "}"
        if choices
        else type(field.default).__name__.upper()
    )
    group.add_argument(flag, type=type(field.default), metavar=shown, help=text)


def _defaults(number, field):
    """The default, then the presets that have another."""
    others = {
        name: preset[number - 1][field.name]
        for name, preset in presets.PRESETS.items()
        if field.name in preset[number - 1]
    }
    return "; ".join(
        [
            str(field.default),
            *(
                f"{name} {value}"
                for name, value in others.items()
                if value != field.default
            ),
        ]
    )
