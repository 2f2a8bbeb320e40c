"""`evaluate`: measures a finished run, or compares two results.

The lines that matter, below `twostage/`:

- what is measured, in its order: `evaluation/evaluate.py`, `_evaluate`
- which images are compared, and how: `evaluation/protocol.py`, `Protocol`
- the features: `features/choose.py`, `chosen_extractor`
- the Frechet distance: `metrics/frechet.py`, `frechet_distance`
- the bounds of the likelihood: `metrics/likelihood_bounds.py`, `bounds`
- the verdict: `evaluation/verdict.py`, `verdict`
"""

from collections.abc import Sequence

from twostage.cli.arguments import Parser
from twostage.cli.backend import load_backend
from twostage.cli.errors import guarded
from twostage.cli.invocation import command

NUMBERS = (
    ("seed", 0, "of all samples"),
    ("half-samples", 10, "number of random halves, for the standard errors"),
    ("bound-images", 500, "number of test images whose likelihood is bounded"),
    (
        "importance-samples",
        50,
        "number of draws of z for the importance-weighted bound",
    ),
)


def main(argv: Sequence[str] | None = None) -> None:
    """Measures a finished run: distances of reconstructions and samples, likelihoods,
    latents; each with its protocol.
    """
    guarded(_evaluate, argv)


def _parser() -> Parser:
    parser = Parser(prog=command("evaluate"), description=main.__doc__)
    parser.add_argument("--run", help="run folder")
    parser.add_argument(
        "--compare",
        nargs=2,
        metavar="JSON",
        help=(
            "report whether two results, RUN/evaluation/*.json, are comparable, and"
            " print them side by side"
        ),
    )
    add_extractor_flags(parser)
    _add_protocol_flags(parser)
    parser.add_argument(
        "--recalibrate",
        action="store_true",
        help="also with batch-norm statistics re-estimated on training images",
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
    for name, default, text in NUMBERS:
        parser.add_argument(
            f"--{name}", type=int, default=default, help=f"{text} (default: {default})"
        )
    return parser


def _add_protocol_flags(parser: Parser) -> None:
    from twostage.evaluation.protocol import QUIRKS, SPLITS
    from twostage.features.inception import RESIZES

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
        "--samples",
        type=int,
        default=0,
        metavar="N",
        help="images of each kind, and in the reference at most (default: as the"
        " protocol says); fewer are faster and have larger distances",
    )
    parser.add_argument(
        "--quirk",
        action="append",
        default=[],
        choices=QUIRKS,
        help=(
            "a step of the papers' code that their text omits; or tone: brightness and"
            " contrast are matched first; may be repeated"
        ),
    )


def add_extractor_flags(parser: Parser) -> None:
    """Adds --extractor and --weights."""
    from twostage.features import EXTRACTORS

    parser.add_argument(
        "--extractor",
        choices=EXTRACTORS,
        help=(
            "feature extractor (default: a classifier where there are labels, else"
            " imagenet for color images where it is installed, else random)"
        ),
    )
    parser.add_argument(
        "--weights",
        help=(
            "weights file: for inception and keras if they cannot be downloaded; for"
            " inception2015 always, classify_image_graph_def.pb"
        ),
    )


def _evaluate(argv: Sequence[str] | None) -> None:
    parser = _parser()
    options = parser.parse_args(argv)
    if options.compare and options.run:
        parser.error("expected --run or --compare, not both")
    if options.compare:
        from twostage.evaluation import comparison

        print(comparison.compare(*options.compare))
        return
    if not options.run:
        parser.error("expected --run RUN, or --compare A B")
    load_backend()
    from twostage.evaluation.evaluate_run import evaluate_run

    evaluate_run(
        options.run,
        extractor=options.extractor,
        weights=options.weights,
        inception_resize=options.inception_resize,
        protocol=options.protocol,
        quirks=options.quirk,
        samples=options.samples,
        recalibrate=options.recalibrate,
        mixtures=options.mixtures,
        seed=options.seed,
        half_samples=options.half_samples,
        bound_images=options.bound_images,
        importance_samples=options.importance_samples,
    )
