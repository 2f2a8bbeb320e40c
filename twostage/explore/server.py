"""Serves the page, on this machine alone, with nothing from the net."""

import contextlib
import os
import socket
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from twostage.data.decode import MAX_BYTES
from twostage.errors import InputError

if TYPE_CHECKING:
    from twostage.explore.explorer import Explorer

HOST = "127.0.0.1"
MAX_PORT = 65_535
FONTS = ["system-ui", "sans-serif"]
MONOSPACED = ["ui-monospace", "monospace"]
# The browser refuses whatever else the page would fetch.
POLICY = (
    "default-src 'self' data: blob: 'unsafe-inline' 'unsafe-eval'; frame-ancestors"
    " 'self'"
)


class OwnSourcesOnly:
    """An ASGI layer that adds `POLICY` to each answer."""

    def __init__(self, app: Any):
        self.app = app

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        async def with_policy(message: Any) -> None:
            if message["type"] == "http.response.start":
                header = (b"content-security-policy", POLICY.encode())
                message = {**message, "headers": [*message.get("headers", ()), header]}
            await send(message)

        await self.app(scope, receive, with_policy)


def check_gradio() -> None:
    """Imports gradio, its analytics off.

    Raises:
        InputError: it is not installed.
    """
    os.environ["GRADIO_ANALYTICS_ENABLED"] = "False"
    os.environ["HF_HUB_DISABLE_TELEMETRY"] = "1"
    try:
        import gradio  # noqa: F401  # pyright: ignore[reportMissingImports]
    except ImportError as error:
        raise InputError(
            "no gradio",
            "it for the page",
            "pip install gradio (the extra `explore`)",
        ) from error


@contextlib.contextmanager
def served(
    explorer: "Explorer", *, host: str = HOST, port: int | None = None
) -> Iterator[str]:
    """Within, the page is served; gives its address. Its files, uploads included, are
    removed at the end.

    Args:
        explorer: What the page shows.
        host: The network address to listen at.
        port: None: the first free one from 7860.

    Raises:
        InputError: gradio is missing, or the address cannot be listened at.
    """
    _check_address(host, port)
    with tempfile.TemporaryDirectory(prefix="twostage-explore-") as folder:
        os.environ["GRADIO_TEMP_DIR"] = str(Path(folder) / "uploads")
        check_gradio()
        blocks = _blocks(explorer, Path(folder))
        try:
            yield _launched(blocks, host, port)
        finally:
            blocks.close(verbose=False)


def _blocks(explorer: "Explorer", folder: Path) -> Any:
    from twostage.explore.page import Page

    return Page(explorer, folder).blocks


def _launched(blocks: Any, host: str, port: int | None) -> str:
    from gradio.themes import Default  # pyright: ignore[reportMissingImports]
    from starlette.middleware import Middleware  # pyright: ignore

    from twostage.explore.page import CSS

    _, url, _ = blocks.launch(
        server_name=host,
        server_port=port,
        share=False,
        inbrowser=False,
        prevent_thread_lock=True,
        quiet=True,
        show_error=False,
        footer_links=[],
        run_history=False,
        enable_monitoring=False,
        ssr_mode=False,
        pwa=False,
        mcp_server=False,
        max_file_size=MAX_BYTES,
        theme=Default(font=FONTS, font_mono=MONOSPACED),
        css=CSS,
        app_kwargs={"middleware": [Middleware(OwnSourcesOnly)]},
    )
    return url


def _check_address(host: str, port: int | None) -> None:
    """Raises `InputError` unless one can listen at an address; gradio, which looks for
    a free port from 7860, would wait for minutes.
    """
    if port is not None and not 1 <= port <= MAX_PORT:
        raise InputError(f"`port={port}`", f"1 to {MAX_PORT}")
    try:
        family = socket.getaddrinfo(host, port)[0][0]
        with socket.socket(family) as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.bind((host, port or 0))
    except OSError as error:
        raise InputError(
            f"`host={host!r}, port={port}` ({error.strerror})",
            "an address of this machine, and a free port",
            "choose another `port`, or drop `host`",
        ) from error
