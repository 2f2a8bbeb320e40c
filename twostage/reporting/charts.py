"""Charts by matplotlib, as SVG text that stands within a page: text stays text, lines
take the page's color, nothing is loaded from outside.
"""

from __future__ import annotations

import contextlib
import dataclasses
import html
import io
import math
import re
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

WIDTH, HEIGHT = 360, 230  # in points; the legend and further lines of a title add to it
MARGIN = 5
POINTS_PER_INCH = 72
LINE = 14  # height of a line of text
LEGEND_HANDLE = 38  # width of a legend's line and the space around it
COLORS = ("#3572b0", "#d1702a", "#3f9a62", "#a14b9e", "#8a8d93", "#c2a11b")
# colors that stand for the page's own, and nowhere else in a chart
INK, FAINT = "#010203", "#d9dde1"
PAGE_COLORS = {INK: "currentColor", FAINT: "var(--faint, #d9dde1)"}
PAPER_COLORS = {"currentColor": "#1c2126", "var(--faint, #d9dde1)": FAINT}
STYLE = {
    "svg.fonttype": "none",
    "svg.hashsalt": "twostage",
    "font.family": "sans-serif",
    "font.sans-serif": ["DejaVu Sans"],
    "font.size": 10,
    "text.color": INK,
    "text.parse_math": False,
    "axes.edgecolor": INK,
    "axes.labelcolor": INK,
    "axes.spines.left": False,
    "axes.spines.right": False,
    "axes.spines.top": False,
    "axes.axisbelow": True,
    "axes.unicode_minus": False,
    "xtick.color": INK,
    "ytick.color": INK,
    "xtick.major.size": 0,
    "ytick.major.size": 0,
    "grid.color": FAINT,
    "grid.linewidth": 0.8,
    "lines.linewidth": 1.8,
    "lines.solid_joinstyle": "round",
}


@dataclasses.dataclass(frozen=True)
class Series:
    """One curve of a chart, finite values only.

    Args:
        label: In the legend.
        x: (n,), float64.
        y: (n,), float64; of a logarithmic chart log10 of the values.
        kind: `"line"`, `"bars"`, `"point"`, `"dots"` or `"marked"`.
        color: `"#rrggbb"`.
    """

    label: str
    x: np.ndarray
    y: np.ndarray
    kind: str
    color: str

    def x_extent(self) -> tuple[float, float]:
        """The least and the greatest x that is drawn; a bar is as wide as a step."""
        half = 0.0
        if self.kind == "bars" and len(self.x) > 1:
            half = float(np.diff(self.x).min()) / 2
        return float(self.x.min()) - half, float(self.x.max()) + half


def chart(
    title: str,
    series: Sequence[tuple],
    x_label: str = "",
    log: bool = False,
    x_range: tuple[float, float] | None = None,
    y_range: tuple[float, float] | None = None,
) -> str:
    """A chart of curves, as SVG.

    Args:
        title: Above it.
        series: Triples (label, xs, ys) of a curve; with a fourth, `"bars"` (from the
            axis up, xs the middles), `"point"`, `"dots"` (small points, those within
            the ranges) or `"marked"` (points on a curve), drawn so. What is not finite
            is left out.
        x_label: Below it.
        log: Whether the vertical axis is logarithmic; values that are not positive are
            left out then.
        x_range: (least, greatest) of the horizontal axis; None: of the values.
        y_range: The same of the vertical axis; with `log`, of the logarithm to base 10.
    """
    curves = _finite_series(series, log)
    with _style():
        labels = [curve.label for curve in curves] if len(curves) > 1 else []
        figure, axes = _figure(title, x_label, labels)
        if not curves:
            axes.set_axis_off()
            axes.text(0.5, 0.5, "no values", ha="center", transform=axes.transAxes)
            return _svg(figure, title)
        x_range = x_range or _x_range(curves)
        y_range = y_range or _y_range(curves)
        _set_axes(axes, x_range, y_range, log)
        axes.grid(axis="y")
        handles = [_draw(axes, curve, x_range, y_range) for curve in curves]
        if len(curves) > 1:
            _add_legend(figure, handles)
        return _svg(figure, title)


def heat_map(
    title: str,
    values: np.ndarray,
    x_range: tuple[float, float],
    y_range: tuple[float, float],
    x_label: str = "",
    curve: tuple | None = None,
) -> str:
    """A field as gray levels, the lighter the higher, as SVG.

    Args:
        title: Above it.
        values: (rows, columns), the first row at the lower end of `y_range`.
        x_range: (least, greatest) of the horizontal axis.
        y_range: The same of the vertical axis.
        x_label: Below it.
        curve: (label, xs, ys) of a line on it, or None.
    """
    values = np.asarray(values, "float64")
    rows, columns = values.shape
    with _style():
        figure, axes = _figure(title, x_label, [curve[0]] if curve else [])
        _set_axes(axes, x_range, y_range, log=False)
        # one path a cell, without antialiasing, so that no seams show
        axes.pcolormesh(
            np.linspace(*x_range, columns + 1),
            np.linspace(*y_range, rows + 1),
            values,
            cmap="gray",
            antialiased=False,
        )
        if curve:
            label, xs, ys = curve
            line = Series(label, np.asarray(xs), np.asarray(ys), "line", COLORS[1])
            _add_legend(figure, [_draw(axes, line, x_range, y_range)])
        return _svg(figure, title)


def standalone(svg: str) -> str:
    """A chart as a file of its own: on white, with colors of its own."""
    for page_color, color in PAPER_COLORS.items():
        svg = svg.replace(page_color, color)
    size = re.search(r'viewBox="0 0 (\S+) (\S+)"', svg)
    assert size is not None  # every chart has it
    ground = f'<rect width="{size[1]}" height="{size[2]}" fill="#ffffff"/>'
    head, rest = svg.split(">", 1)
    return f'{head} width="{2 * WIDTH}">{ground}{rest}\n'


def ticks(least: float, greatest: float, about: int = 4) -> list[float]:
    """Round numbers within [least, greatest], at most `about` steps of 1, 2 or 5 times
    a power of ten.
    """
    from matplotlib.ticker import MaxNLocator

    locator = MaxNLocator(about, steps=[1, 2, 5, 10], min_n_ticks=1)
    room = 1e-9 * (greatest - least)
    return [
        round(float(tick), 12)
        for tick in locator.tick_values(least, greatest)
        if least - room <= tick <= greatest + room
    ]


def log_ticks(least: float, greatest: float) -> list[float]:
    """Round numbers within [10^least, 10^greatest]: 1, 2 and 5 times powers of ten; the
    powers alone where these are too many, those of `ticks` where they are too few.
    """
    powers = range(math.floor(least), math.ceil(greatest) + 1)
    found = []
    for factors in ((1, 2, 5), (1,)):
        candidates = [factor * 10.0**power for power in powers for factor in factors]
        found = [
            value
            for value in candidates
            if least - 1e-9 <= math.log10(value) <= greatest + 1e-9
        ]
        if len(found) <= 7:
            break
    return found if len(found) > 1 else ticks(10**least, 10**greatest)


@contextlib.contextmanager
def _style() -> Iterator[None]:
    """Within: matplotlib's settings are this module's, whatever the user's are."""
    import matplotlib

    with matplotlib.rc_context():
        matplotlib.rcdefaults()
        matplotlib.rcParams.update(STYLE)
        yield


def _finite_series(series: Sequence[tuple], log: bool) -> list[Series]:
    """Those that have a finite value, each with its color."""
    found = []
    for label, xs, ys, *kind in series:
        x, y = np.asarray(xs, "float64"), np.asarray(ys, "float64")
        good = np.isfinite(x) & np.isfinite(y)
        if log:
            good &= y > 0
        if not good.any():
            continue
        x, y = x[good], y[good]
        color = COLORS[len(found) % len(COLORS)]
        y = np.log10(y) if log else y
        found.append(Series(label, x, y, kind[0] if kind else "line", color))
    return found


def _x_range(curves: list[Series]) -> tuple[float, float]:
    extents = np.array([curve.x_extent() for curve in curves])
    return _with_margin(extents, 0.0)


def _y_range(curves: list[Series]) -> tuple[float, float]:
    return _with_margin(np.concatenate([curve.y for curve in curves]), 0.05)


def _with_margin(values: np.ndarray, margin: float) -> tuple[float, float]:
    """The values' range and a part of it on both sides; never empty."""
    least, greatest = float(values.min()), float(values.max())
    room = (greatest - least) * margin
    if greatest == least:
        room = abs(greatest) * 0.1 + 0.1
    return least - room, greatest + room


def _figure(title: str, x_label: str, labels: list[str]) -> tuple[Figure, Axes]:
    """A figure with its title, and as high as the legend of `labels` needs; the legend
    itself is drawn last.
    """
    from matplotlib.figure import Figure

    title = _wrapped(title, size=12, weight="bold")
    labels = [_wrapped(label, room=LEGEND_HANDLE) for label in labels]
    lines = title.count("\n") + _legend_lines(labels)
    size = (WIDTH / POINTS_PER_INCH, (HEIGHT + LINE * lines) / POINTS_PER_INCH)
    figure = Figure(figsize=size, dpi=POINTS_PER_INCH, layout="constrained")
    engine: Any = figure.get_layout_engine()
    engine.set(w_pad=MARGIN / POINTS_PER_INCH, h_pad=MARGIN / POINTS_PER_INCH)
    figure.suptitle(title, x=MARGIN / WIDTH, ha="left", fontsize=12, fontweight="bold")
    axes = figure.add_subplot()
    axes.set_xlabel(_wrapped(x_label))
    figure.patch.set_visible(False)
    axes.patch.set_visible(False)
    return figure, axes


def _set_axes(
    axes: Axes, x_range: tuple[float, float], y_range: tuple[float, float], log: bool
) -> None:
    axes.set_xlim(*x_range)
    axes.set_ylim(*y_range)
    x_ticks = ticks(*x_range)
    axes.set_xticks(x_ticks, [_number(tick) for tick in x_ticks])
    y_ticks = log_ticks(*y_range) if log else ticks(*y_range)
    places = np.log10(y_ticks) if log else y_ticks
    axes.set_yticks(places, [_number(tick) for tick in y_ticks])


def _draw(
    axes: Axes,
    curve: Series,
    x_range: tuple[float, float],
    y_range: tuple[float, float],
) -> Any:
    """Draws a curve, and returns its handle for the legend. What leaves the vertical
    range runs along its end.
    """
    label = _wrapped(curve.label, room=LEGEND_HANDLE)
    x, y = curve.x, np.clip(curve.y, *y_range)
    style: dict[str, Any] = {"color": curve.color, "label": label}
    if curve.kind == "bars":
        width = float(np.diff(x).min()) if len(x) > 1 else 0.05 * np.ptp(x_range)
        bottom = y_range[0]
        return axes.bar(x, y - bottom, width, bottom=bottom, alpha=0.45, **style)
    style["markeredgewidth"] = 0
    if curve.kind == "dots":
        inside = (x >= x_range[0]) & (x <= x_range[1]) & (y == curve.y)
        x, y = x[inside], y[inside]
        return axes.plot(x, y, "o", markersize=2, alpha=0.6, **style)[0]
    if curve.kind == "point" or (curve.kind == "line" and len(x) == 1):
        return axes.plot(x, y, "o", markersize=8, **style)[0]
    if curve.kind == "marked":
        return axes.plot(x, y, "o-", markersize=5, **style)[0]
    return axes.plot(x, y, **style)[0]


def _add_legend(figure: Figure, handles: list[Any]) -> None:
    """A legend below, in as many columns as fit."""
    from matplotlib.lines import Line2D

    legend = figure.legend(
        handles=handles,
        loc="outside lower left",
        ncols=_legend_columns([handle.get_label() for handle in handles]),
        frameon=False,
        handlelength=1.5,
        handletextpad=0.5,
        columnspacing=1.5,
        borderaxespad=0,
        borderpad=0.5,
        labelspacing=0.3,
    )
    for handle in legend.legend_handles:
        if isinstance(handle, Line2D):
            # dots would hardly be seen
            handle.set_markersize(max(handle.get_markersize(), 5))


def _legend_columns(labels: list[str]) -> int:
    """The most columns that fit; a column is as wide as its widest label."""
    widths = [LEGEND_HANDLE + _text_width(label) for label in labels]
    for count in range(len(labels), 1, -1):
        # as matplotlib fills the columns
        columns = np.array_split(widths, count)
        if sum(column.max() for column in columns) <= WIDTH - 2 * MARGIN:
            return count
    return 1


def _legend_lines(labels: list[str]) -> int:
    """Lines of text that a legend takes."""
    if not labels:
        return 0
    columns = _legend_columns(labels)
    rows = math.ceil(len(labels) / columns)
    return rows * max(label.count("\n") + 1 for label in labels)


def _wrapped(text: str, size: int = 10, weight: str = "normal", room: int = 0) -> str:
    """Text in lines that are no wider than the chart less `room`."""
    lines = [""]
    for word in text.split(" "):
        longer = f"{lines[-1]} {word}".strip()
        if lines[-1] and _text_width(longer, size, weight) > WIDTH - 3 * MARGIN - room:
            lines.append(word)
        else:
            lines[-1] = longer
    return "\n".join(lines)


def _text_width(text: str, size: int = 10, weight: str = "normal") -> float:
    """Of the widest line, points."""
    from matplotlib.font_manager import FontProperties
    from matplotlib.textpath import text_to_path

    font = FontProperties(size=size, weight=weight)
    return max(
        text_to_path.get_text_width_height_descent(line, font, False)[0]
        for line in text.split("\n")
    )


def _svg(figure: Figure, title: str) -> str:
    """The figure as an `<svg>` for a page, which may hold many: without a document's
    head, a style of its own, clipping, and names that others have too.
    """
    content = io.StringIO()
    nothing = dict.fromkeys(("Date", "Creator", "Format", "Type"))
    figure.savefig(content, format="svg", metadata=nothing)
    body = content.getvalue().split("<svg", 1)[1].split(">", 1)[1]
    body = re.sub(r"<style.*?</style>|<clipPath.*?</clipPath>", "", body, flags=re.S)
    body = re.sub(r' clip-path="[^"]*"', "", body)
    body = re.sub(r' id="[a-z0-9.]+_\d+"', "", body)
    body = re.sub(r' transform="rotate\(-0 [^"]*"', "", body)
    body = re.sub(r"<defs>\s*</defs>", "", body)
    for color, page_color in PAGE_COLORS.items():
        body = body.replace(color, page_color)
    width, height = figure.get_size_inches() * POINTS_PER_INCH
    return (
        '<svg xmlns="http://www.w3.org/2000/svg"'
        ' xmlns:xlink="http://www.w3.org/1999/xlink"'
        f' viewBox="0 0 {width:g} {height:g}" role="img"'
        f' aria-label="{html.escape(title)}">{body}'
    )


def _number(value: float) -> str:
    """Thousands apart below a million, else four digits."""
    if 1_000 <= abs(value) < 1e6:
        return f"{value:,.0f}".replace(",", " ")
    return f"{value:.4g}"
