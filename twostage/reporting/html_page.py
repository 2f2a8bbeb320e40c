"""Self-contained HTML pages, from templates."""

from __future__ import annotations

import base64
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from jinja2 import Environment

TEMPLATES = Path(__file__).parent / "templates"


def render(template: str, folder: Path = TEMPLATES, **values: Any) -> str:
    """A template of `folder`, which may use this room's, with its values in place."""
    return _environment(folder).get_template(template).render(**values)


def document(title: str, body: Iterable[str]) -> str:
    """A page of parts that are HTML already, in this project's style."""
    return render("page.html.jinja", title=title, body=list(body))


def table(heading: str, header: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """A table's HTML; the first cell of each row is its name."""
    return _part("table", heading, header, list(rows))


def figure(path: Path, caption: str) -> str:
    """The HTML of a PNG with its caption."""
    return _part("figure", path, caption)


def _part(macro: str, *values: Any) -> str:
    parts: Any = _environment(TEMPLATES).get_template("parts.html.jinja").module
    return str(getattr(parts, macro)(*values))


def _environment(folder: Path) -> Environment:
    from jinja2 import Environment, FileSystemLoader, StrictUndefined

    environment = Environment(
        loader=FileSystemLoader([folder, TEMPLATES]),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    environment.filters |= {"data_uri": _data_uri, "plus_minus": _plus_minus}
    return environment


def _data_uri(path: Path) -> str:
    content = base64.b64encode(path.read_bytes()).decode()
    return f"data:image/png;base64,{content}"


def _plus_minus(text: str) -> str:
    return text.replace("+-", "\u00b1")
