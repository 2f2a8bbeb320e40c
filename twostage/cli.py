"""The commands' entry points: flags from the dataclasses, one-line errors. No framework is imported before the flags are right."""

import argparse
import dataclasses
import errno
import os
import sys
from importlib import import_module

from twostage import config as configs
from twostage.errors import InputError, Stopped

_ROOM, _RIGHTS = "make room", "make the folder writable, or choose another"
UNWRITABLE = {
    errno.ENOSPC: _ROOM, errno.EDQUOT: _ROOM, errno.EFBIG: _ROOM, errno.EROFS: _RIGHTS, errno.EACCES: _RIGHTS, errno.EPERM: _RIGHTS,
}  # fmt: skip


def stage1(argv=None):
    """`train_stage1.py`: trains stage 1 and writes its SavedModel."""
    _guarded(_stage, 1, argv)


def stage2(argv=None):
    """`train_stage2.py`: trains stage 2 on the latents of a finished stage 1."""
    _guarded(_stage, 2, argv)


def export(argv=None):
    """`python -m twostage.export`: writes a run's SavedModel from its `.keras` files."""
    _guarded(_export, argv)


def sample(argv=None):
    """`python -m twostage.sample`: draws a grid of samples from a run's SavedModel."""
    _guarded(_sample, argv)


def data(argv=None):
    """`python -m twostage.data`: a look at images before training: counts, range, moments, duplicates, classes, and a montage.
    `python -m twostage.data resize-comparison FOLDER` draws the same pictures resized in three ways."""
    _guarded(_data, argv)


class _Parser(argparse.ArgumentParser):
    def error(self, message):
        self.exit(2, f"error: {message} (--help lists the flags)\n")


def _guarded(command, *arguments):
    try:
        command(*arguments)
    except InputError as error:
        print(f"error: {error}", file=sys.stderr)
        sys.exit(2)
    except OSError as error:
        if error.errno not in UNWRITABLE:
            raise
        where = f"{error.filename} was not written: " if error.filename else ""
        print(f"error: {where}{error.strerror}: {UNWRITABLE[error.errno]}; what was saved before is whole, --resume goes on", file=sys.stderr)
        sys.exit(2)
    except Stopped as stopped:
        print(f"\n{stopped}" if sys.stdout.isatty() else stopped, file=sys.stderr)  # after a progress bar
        sys.exit(128 + stopped.signal)
    except KeyboardInterrupt:
        print("\nstopped; go on with the same command and --resume", file=sys.stderr)
        sys.exit(130)


def _stage(number, argv):
    changes = vars(_parser(number).parse_args(argv))
    options = {name: changes.pop(name) for name in ("preset", "run", "resume")}
    dry_run = changes.pop("dry_run")
    from twostage.runs import open_stage

    stage, config = open_stage(number, changes, **options)
    recipes = _load("twostage.recipes")
    try:
        (recipes.stage1, recipes.stage2)[number - 1](config, stage, dry_run)
    finally:
        stage.end()


def _export(argv):
    parser = _Parser(prog="python -m twostage.export", allow_abbrev=False, description=export.__doc__)
    parser.add_argument("--run", required=True, help="run folder")
    options = parser.parse_args(argv)
    os.environ["KERAS_BACKEND"] = "tensorflow"
    print(f"wrote {_load('twostage.recipes').export(options.run)}")


def _load(module):
    """Imports a module with the frameworks behind it, without the twenty lines with which TensorFlow greets on standard error."""
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
    sys.stderr.flush()
    kept = os.dup(2)
    with open(os.devnull, "w") as nowhere:
        os.dup2(nowhere.fileno(), 2)
    try:
        loaded = import_module(module)
        import_module("keras").distribution.list_devices()  # the last greeting comes with the first look for devices
        return loaded
    except ModuleNotFoundError as error:
        raise InputError(f"{error}: install it (pip install .), or choose a backend that is there, such as KERAS_BACKEND=jax") from error
    finally:
        os.dup2(kept, 2)
        os.close(kept)


def _sample(argv):
    parser = _Parser(prog="python -m twostage.sample", allow_abbrev=False, description=sample.__doc__)
    parser.add_argument("--run", required=True, help="run folder")
    parser.add_argument("--n", type=int, default=64, help="number of images (default: 64)")
    parser.add_argument("--seed", type=int, default=0, help="the same seed gives the same images (default: 0)")
    parser.add_argument("--out", default="samples.png", help="file to write (default: samples.png)")
    parser.add_argument("--first-stage", action="store_true", help="sample stage 1 alone")
    options = parser.parse_args(argv)
    _load("twostage.sample").draw(options.run, options.n, options.seed, options.out, options.first_stage)


def _parser(number):
    kind = (configs.Stage1Config, configs.Stage2Config)[number - 1]
    parser = _Parser(
        prog=f"train_stage{number}.py", allow_abbrev=False, description=f"{kind.__doc__} Any flag overrides its preset.",
        argument_default=argparse.SUPPRESS,
    )
    group = parser.add_argument_group("run")
    group.add_argument("--preset", default=None, metavar="NAME", help=f"{', '.join(configs.PRESETS)} (default: digits)")
    group.add_argument("--run", default=None, metavar="FOLDER", help="run folder (default: runs/PRESET)")
    group.add_argument("--resume", action="store_true", default=False, help="go on with a run that stopped")
    group.add_argument("--dry-run", action="store_true", default=False, help="print the settings and the networks, and stop")
    groups = {"run": group}
    for field in sorted(dataclasses.fields(kind), key=lambda field: configs.GROUPS.index(field.metadata["group"])):
        name = field.metadata["group"]
        group = groups.get(name) or groups.setdefault(name, parser.add_argument_group(name))
        _add_flag(group, field, _defaults(number, field))
    return parser


def _add_flag(group, field, default):
    flag, choices = "--" + field.name.replace("_", "-"), field.metadata["choices"]
    text = field.metadata["help"] + (f" (default: {default})" if default != "" else "")
    if isinstance(field.default, bool):
        group.add_argument(flag, action="store_true", help=text)
        return
    shown = "{" + ",".join(map(str, choices)) + "}" if choices else type(field.default).__name__.upper()
    group.add_argument(flag, type=type(field.default), metavar=shown, help=text)


def _data(argv):
    argv = sys.argv[1:] if argv is None else argv
    if argv[:1] == ["resize-comparison"]:
        return _compare_resizing(argv[1:])
    parser = _Parser(prog="python -m twostage.data", allow_abbrev=False, description=data.__doc__, argument_default=argparse.SUPPRESS)
    fields = {field.name: field for field in dataclasses.fields(configs.Stage1Config) if field.metadata["group"] == "data"}
    parser.add_argument("data", metavar="NAME_OR_PATH", help=fields.pop("data").metadata["help"])
    parser.add_argument("--montage", default="montage.png", metavar="FILE", help="64 images of the training split (default: montage.png)")
    del fields["flip"]  # of the batches
    for field in fields.values():
        _add_flag(parser, field, field.default)
    settings = vars(parser.parse_args(argv))
    montage = settings.pop("montage")
    import_module("twostage.look").show(configs.build(configs.Stage1Config, settings), montage)


def _compare_resizing(argv):
    parser = _Parser(prog="python -m twostage.data resize-comparison", allow_abbrev=False)
    parser.add_argument("folder", help="pictures of faces, such as img_align_celeba")
    fields = {field.name: field for field in dataclasses.fields(configs.Stage1Config)}
    for name, default in (("crop", "128"), ("side", 64)):
        _add_flag(parser, fields[name], default)
    parser.set_defaults(crop="128", side=64)
    parser.add_argument("--out", default="resize.png", help="file to write (default: resize.png)")
    options = parser.parse_args(argv)
    configs.build(configs.Stage1Config, {"crop": options.crop, "side": options.side})
    import_module("twostage.look").compare_resizing(options.folder, options.out, options.crop, options.side)


def _defaults(number, field):
    """The default, then the presets that have another."""
    others = {name: preset[number - 1][field.name] for name, preset in configs.PRESETS.items() if field.name in preset[number - 1]}
    return "; ".join([str(field.default), *(f"{name} {value}" for name, value in others.items() if value != field.default)])
