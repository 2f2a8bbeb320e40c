"""`data`: inspects images before training, and compares ways to resize them."""

import argparse
import dataclasses
import sys
from collections.abc import Sequence

from twostage.cli.arguments import Parser, add_field
from twostage.cli.errors import guarded
from twostage.cli.invocation import command
from twostage.config import Stage1Config

COMPARISON = "resize-comparison"


def main(argv: Sequence[str] | None = None) -> None:
    """Inspects images: counts, range, moments, duplicates, classes; draws some."""
    argv = sys.argv[1:] if argv is None else argv
    if argv[:1] == [COMPARISON]:
        guarded(_compare_resizing, argv[1:])
    else:
        guarded(_inspect, argv)


def _inspect(argv: Sequence[str]) -> None:
    parser = Parser(
        prog=command("data"),
        description=main.__doc__,
        epilog=f"`{command('data', COMPARISON)} FOLDER` draws the same images resized"
        " in three ways.",
        argument_default=argparse.SUPPRESS,
    )
    fields = {
        field.name: field
        for field in dataclasses.fields(Stage1Config)
        if field.metadata["group"] == "data"
    }
    source = fields.pop("data")
    parser.add_argument("data", metavar="NAME_OR_PATH", help=source.metadata["help"])
    parser.add_argument(
        "--grid",
        default="grid.png",
        metavar="FILE",
        help="file for a grid of 64 training images (default: grid.png)",
    )
    # its name in earlier versions
    parser.add_argument("--montage", dest="grid", help=argparse.SUPPRESS)
    del fields["flip"]  # a setting of the batches
    for field in fields.values():
        add_field(parser, field, field.default)
    settings = vars(parser.parse_args(argv))
    grid = settings.pop("grid")
    from twostage.data import inspection

    inspection.show(Stage1Config.from_dict(settings), grid)


def _compare_resizing(argv: Sequence[str]) -> None:
    """Draws a few images of a folder, resized by each filter."""
    parser = Parser(
        prog=command("data", COMPARISON), description=_compare_resizing.__doc__
    )
    parser.add_argument("folder", help="images of faces, such as img_align_celeba")
    fields = {field.name: field for field in dataclasses.fields(Stage1Config)}
    for name, default in (("crop", "128"), ("side", 64)):
        add_field(parser, fields[name], default)
    parser.set_defaults(crop="128", side=64)
    parser.add_argument(
        "--out", default="resize.png", help="file to write (default: resize.png)"
    )
    options = parser.parse_args(argv)
    Stage1Config(crop=options.crop, side=options.side)  # checks both
    from twostage.data import inspection

    inspection.compare_resizing(
        options.folder, options.out, crop=options.crop, side=options.side
    )
