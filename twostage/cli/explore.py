"""`explore`: a local page to play with a run."""

import signal
import threading
from collections.abc import Sequence

from twostage.cli.arguments import Parser
from twostage.cli.backend import load_backend
from twostage.cli.errors import guarded
from twostage.cli.invocation import command


def main(argv: Sequence[str] | None = None) -> None:
    """Opens a local page of a run: samples, latents, your own images, interpolation."""
    guarded(_explore, argv)


def _parser() -> Parser:
    parser = Parser(prog=command("explore"), description=main.__doc__)
    parser.add_argument("--run", required=True, help="run folder")
    parser.add_argument(
        "--keras",
        action="store_true",
        help="load the .keras files, which have all samplers, on any backend (default:"
        " the SavedModel, where there is one)",
    )
    parser.add_argument(
        "--host",
        default="127.0.0.1",
        help="address to listen at (default: 127.0.0.1, this machine alone)",
    )
    parser.add_argument(
        "--port", type=int, help="port (default: the first free one from 7860)"
    )
    return parser


def _explore(argv: Sequence[str] | None) -> None:
    options = _parser().parse_args(argv)
    from twostage.explore.server import check_gradio, served

    check_gradio()
    load_backend()
    from twostage.explore.explorer import explorer_of

    explorer = explorer_of(options.run, keras=options.keras)
    print(explorer.source.description.replace("`", ""))
    with served(explorer, host=options.host, port=options.port) as url:
        print(f"open {url} in a browser; Ctrl-C stops it", flush=True)
        _wait()


def _wait() -> None:
    """Until Ctrl-C, or a request to end."""
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        threading.Event().wait()
    except KeyboardInterrupt:
        print("\nstopped")
