"""What MkDocs does beside its plugins when it builds the site.

- `<!-- help: train-stage1 -->` becomes the help text of a command.
- `<!-- settings: 1 -->` becomes the table of a stage's settings.
- Links to files outside docs/ lead to the source repository.
- Formulas become MathML, so that a reader needs no script and no network.
- A page that would fetch anything from another host fails a strict build.
"""

import configparser
import contextlib
import dataclasses
import html
import io
import logging
import os
import re
import sys
from pathlib import Path
from typing import Any

from math_core import LatexError, LatexToMathML

ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT))  # the commands of this tree, installed or not

from twostage.cli.main import main  # noqa: E402
from twostage.config import GROUPS, Stage1Config, Stage2Config  # noqa: E402

logger = logging.getLogger("mkdocs.hooks.website")

HELP = re.compile(r"^<!-- help: ([\w -]+) -->$", re.M)
SETTINGS = re.compile(r"^<!-- settings: ([12]) -->$", re.M)
# a link to a file that is not the page's own folder's
UPWARD_LINK = re.compile(r"\]\(((?:\.\./)+[^)#\s]+)((?:#[^)\s]*)?)\)")
FORMULA = re.compile(
    r'<(span|div) class="arithmatex">(?:\\\((.*?)\\\)|\\\[(.*?)\\\])</\1>', re.S
)
# what a browser fetches by itself, from wherever
FETCHED = re.compile(
    r'<(?:script|img|iframe|source)\b[^>]*\bsrc="(?:https?:)?//[^"]*"'
    r'|<link\b[^>]*\bhref="(?:https?:)?//[^"]*"'
)
IN_STYLES = re.compile(r"(?:url\(|@import )[\"']?(?:https?:)?//[^)\s]*")
HELP_COLUMNS = 80

to_mathml = LatexToMathML(fancy_error=False)


def on_page_markdown(markdown: str, *, page: Any, config: Any, **_: Any) -> str:
    """Fills in what the program itself says, and the links to the source."""
    text = HELP.sub(lambda found: _help_block(found[1]), markdown)
    text = SETTINGS.sub(lambda found: _settings_table(int(found[1])), text)
    folder = Path(page.file.abs_src_path).parent
    docs = Path(config.docs_dir)
    return UPWARD_LINK.sub(lambda found: _source_link(found, folder, docs), text)


def on_page_content(content: str, *, page: Any, **_: Any) -> str:
    """Writes the formulas as MathML."""
    return FORMULA.sub(lambda found: _mathml(found, page.file.src_uri), content)


def on_post_build(*, config: Any) -> None:
    """Warns of pages and styles that would fetch from another host."""
    for path in Path(config.site_dir).rglob("*"):
        pattern = {".html": FETCHED, ".css": IN_STYLES}.get(path.suffix)
        for fetched in pattern.findall(path.read_text()) if pattern else ():
            name = path.relative_to(config.site_dir)
            logger.warning("%s fetches from another host: %s", name, fetched)


def help_text(command: str) -> str:
    """What `twostage COMMAND --help` prints, 80 columns wide."""
    output, arguments, columns = io.StringIO(), sys.argv, os.environ.get("COLUMNS")
    sys.argv, os.environ["COLUMNS"] = ["twostage"], str(HELP_COLUMNS)
    try:
        with contextlib.redirect_stdout(output), contextlib.suppress(SystemExit):
            main([*command.split(), "--help"])
    finally:
        sys.argv = arguments
        os.environ.pop("COLUMNS")
        if columns is not None:
            os.environ["COLUMNS"] = columns
    return output.getvalue().strip()


def _help_block(command: str) -> str:
    text = help_text(command)
    if not text.startswith("usage: "):
        logger.warning("`twostage %s --help` prints no help", command)
    return f"```text\n{text}\n```"


def _settings_table(number: int) -> str:
    """A table for each group of a stage's settings."""
    fields = dataclasses.fields((Stage1Config, Stage2Config)[number - 1])
    lines: list[str] = []
    for group in GROUPS:
        members = [field for field in fields if field.metadata["group"] == group]
        if members:
            lines += [f"### Stage {number}: {group}", ""]
            lines += ["| setting | default | what it is |", "| --- | --- | --- |"]
            lines += [*map(_settings_row, members), ""]
    return "\n".join(lines)


def _settings_row(field: dataclasses.Field) -> str:
    text, choices = field.metadata["help"], field.metadata["choices"]
    if choices:
        text += f". One of {', '.join(f'`{choice}`' for choice in choices)}"
    return f"| `{field.name}` | `{field.default!r}` | {text} |"


def _source_link(found: re.Match[str], folder: Path, docs: Path) -> str:
    """A link out of docs/ leads to the repository; others stay."""
    target = (folder / found[1]).resolve()
    if target.is_relative_to(docs) or not target.exists():
        return found[0]
    place = target.relative_to(ROOT).as_posix()
    return f"]({_repository()}/blob/main/{place}{found[2]})"


def _repository() -> str:
    """The address of the source, from setup.cfg."""
    setup = configparser.ConfigParser(interpolation=None)
    setup.read(ROOT / "setup.cfg")
    addresses = setup["metadata"]["project_urls"].strip().splitlines()
    named = dict(re.split(r"\s*=\s*", line.strip(), maxsplit=1) for line in addresses)
    return named["Source"]


def _mathml(found: re.Match[str], page: str) -> str:
    is_block = found[2] is None
    latex = html.unescape(found[3] if is_block else found[2]).strip()
    try:
        formula = to_mathml.convert_with_local_state(latex, displaystyle=is_block)
    except LatexError as error:
        logger.warning("%s: the formula %r is not understood: %s", page, latex, error)
        return found[0]
    return f'<div class="formula">{formula}</div>' if is_block else formula
