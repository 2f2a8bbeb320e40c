"""`sample`: a grid of samples from a run's SavedModel.

The lines that matter, below `twostage/`:

- how the graph draws: `export/saved_model.py`, `_add_samplers`
- from the prior to latents: `sampling/generate.py`, `sample_latents`
- their normalization: `models/latent_normalizer.py`, `LatentNormalizer`
- from latents to images: `sampling/generate.py`, `decode`
- the grid and its file: `reporting/png.py`, `tile`, `save_png`
"""

from collections.abc import Sequence
from pathlib import Path

from twostage.cli.arguments import Parser
from twostage.cli.backend import load_backend
from twostage.cli.errors import guarded
from twostage.cli.invocation import command
from twostage.errors import InputError
from twostage.export.saved_vae import LARGEST


def main(argv: Sequence[str] | None = None) -> None:
    """Draws a grid of samples from a run's SavedModel."""
    guarded(_sample, argv)


def _parser() -> Parser:
    parser = Parser(prog=command("sample"), description=main.__doc__)
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
    return parser


def _sample(argv: Sequence[str] | None) -> None:
    options = _parser().parse_args(argv)
    if options.n < 1:
        raise InputError(f"`n={options.n}`", "at least 1")
    if max(options.n, abs(options.seed)) > LARGEST:
        raise InputError(
            f"`n={options.n}` and `seed={options.seed}`",
            f"numbers below {LARGEST + 1}",
            "the SavedModel takes no larger ones",
        )
    if not Path(options.run).is_dir():
        raise InputError(f"`run={options.run!r}`", "a run folder", "check the path")
    load_backend()
    from twostage import export
    from twostage.data.inspection import check_outside
    from twostage.reporting.png import check_place, save_png, tile
    from twostage.runs.export_record import check_current
    from twostage.system import files

    check_place(options.out)
    saved = files.read_json(Path(options.run) / "stage1" / "config.json")
    check_outside("out", options.out, saved.get("config", {}).get("data", ""))
    check_current(options.run)
    model = export.load(Path(options.run) / "saved_model")
    draw = model.sample_first_stage if options.first_stage else model.sample
    save_png(options.out, tile(draw(options.n, options.seed)))
    print(f"wrote {options.n} samples with seed {options.seed} to {options.out}")
