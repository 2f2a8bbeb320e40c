"""Building blocks of a self-contained HTML page."""

import base64
import html

STYLE = """
:root { color-scheme: light dark; --ink: #1c2126; --paper: #fff; --faint: #d9dde2; --note: #5a636d }
@media (prefers-color-scheme: dark) { :root { --ink: #e6e9ec; --paper: #16191d; --faint: #3a4148; --note: #a3adb7 } }
body { font: 15px/1.5 system-ui, sans-serif; color: var(--ink); background: var(--paper); max-width: 1180px; margin: 0 auto; padding: 1rem }
h1 { font-size: 1.5rem; margin: .3em 0; overflow-wrap: anywhere } h2 { font-size: 1.15rem; margin: 2em 0 .5em; border-bottom: 1px solid var(--faint) } h3 { font-size: 1rem; margin: 1.4em 0 .4em }
p { max-width: 75ch; margin: .5em 0 } .note, figcaption { color: var(--note); font-size: .87rem } p, figcaption { overflow-wrap: anywhere }
.scroll { overflow-x: auto } table { border-collapse: collapse; font-variant-numeric: tabular-nums; font-size: .87rem } caption { text-align: left; font-weight: 600; padding: .4em 0 }
th, td { text-align: right; padding: .25em .7em; border-bottom: 1px solid var(--faint); white-space: nowrap } th { vertical-align: bottom; white-space: normal } th:first-child { text-align: left; white-space: nowrap }
.grid { display: grid; gap: 1.2rem; grid-template-columns: repeat(auto-fill, minmax(min(45%, 250px), 1fr)) } .charts { grid-template-columns: repeat(auto-fill, minmax(min(100%, 330px), 1fr)) } .wide { grid-template-columns: repeat(auto-fill, minmax(min(100%, 420px), 1fr)) }
figure { margin: 0; min-width: 0 } img { width: 100%; image-rendering: pixelated; display: block } svg { width: 100%; height: auto; display: block }
svg text { font: 10px system-ui, sans-serif; fill: currentColor } svg .title { font-size: 12px; font-weight: 600 } .grid line, line.grid { stroke: var(--faint) } line.axis { stroke: currentColor }
pre { overflow-x: auto; font-size: .8rem }
"""


def document(title, body):
    """A page, as text: the parts of its body under this project's style."""
    head = [
        (
            '<!doctype html>\n<html lang="en"><head><meta charset="utf-8"><meta'
            ' name="viewport" content="width=device-width, initial-scale=1">'
        ),
        f"<title>{html.escape(title)}</title><style>{STYLE}</style></head><body>",
    ]
    return "\n".join([*head, *body, "</body></html>"]) + "\n"


def table(heading, header, rows):
    """A table's HTML; the first cell of each row is its name."""
    head = "".join(f'<th scope="col">{html.escape(cell)}</th>' for cell in header)
    cells = [
        [
            "".join(f"<td>{html.escape(cell)}</td>" for cell in others),
            html.escape(first),
        ]
        for first, *others in rows
    ]
    lines = "".join(
        f'<tr><th scope="row">{first}</th>{others}</tr>' for others, first in cells
    ).replace("+-", "&plusmn;")
    return (
        "<div"
        f' class="scroll"><table><caption>{html.escape(heading)}</caption><thead><tr>{head}</tr></thead><tbody>{lines}</tbody></table></div>'
    )


def figure(path, caption):
    """A PNG within the page."""
    caption = html.escape(caption)
    return (
        f'<figure><img alt="{caption}"'
        f' src="data:image/png;base64,{base64.b64encode(path.read_bytes()).decode()}"><figcaption>{caption}</figcaption></figure>'
    )
