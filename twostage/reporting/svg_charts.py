"""Charts as SVG text, to stand within a page: lines that take the page's colour,
nothing from outside.
"""

import html
import math

import numpy as np

WIDTH, HEIGHT, LEFT, RIGHT, TOP, BASE = 360, 230, 52, 12, 30, 186
COLOURS = ("#3572b0", "#d1702a", "#3f9a62", "#a14b9e", "#8a8d93", "#c2a11b")


def chart(title, series, x_label="", log=False, x_range=None, y_range=None):
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
        x_range, y_range: (least, most) of the axes, of the vertical one's logarithm
            with `log`; None: of the values.
    """
    drawn = [(label, *_finite(xs, ys, log), *kind) for label, xs, ys, *kind in series]
    drawn = [one for one in drawn if len(one[1])]
    if not drawn:
        return _svg(title, [_text(WIDTH / 2, HEIGHT / 2, "no values", "middle")])
    x0, x1 = x_range or _span(
        np.concatenate([_reach(xs, *kind) for _, xs, _, *kind in drawn]), 0
    )
    values = np.concatenate([one[2] for one in drawn])
    y0, y1 = y_range or _span(values)
    place_x, place_y = _places((x0, x1), (y0, y1))
    parts = []
    for tick in log_ticks(y0, y1) if log else ticks(y0, y1):
        y = place_y(math.log10(tick) if log else tick)
        parts += [
            (
                f'<line x1="{LEFT}" x2="{WIDTH - RIGHT}" y1="{y:.1f}" y2="{y:.1f}"'
                ' class="grid"/>'
            ),
            _text(LEFT - 5, y + 4, _number(tick), "end"),
        ]
    for i, (label, xs, ys, *kind) in enumerate(drawn):
        if kind == ["dots"]:
            seen = (xs >= x0) & (xs <= x1) & (ys >= y0) & (ys <= y1)
            xs, ys = xs[seen], ys[seen]
        parts.append(
            _shape(
                place_x(xs),
                place_y(np.clip(ys, y0, y1)),
                kind[0] if kind else "line",
                COLOURS[i % len(COLOURS)],
                label,
            )
        )
    if len(drawn) > 1:
        parts += _legend([label for label, *_ in drawn])
    return _svg(
        title,
        [
            *parts,
            (
                f'<line x1="{LEFT}" x2="{WIDTH - RIGHT}" y1="{BASE}" y2="{BASE}"'
                ' class="axis"/>'
            ),
            *_x_axis(place_x, (x0, x1), x_label),
        ],
    )


def heat_map(title, values, x_range, y_range, x_label="", curve=None):
    """A field as grey levels, the lighter the higher, as SVG.

    Args:
        values: (rows, columns), the first row at the lower end of `y_range`.
        x_range, y_range: (least, most) of the axes.
        curve: (label, xs, ys) of a line on it, or None.
    """
    values = np.asarray(values, "float64")
    rows, columns = values.shape
    levels = np.rint(255 * (values - values.min()) / (np.ptp(values) or 1)).astype(int)
    width, height = (WIDTH - LEFT - RIGHT) / columns, (BASE - TOP) / rows
    cells = [
        f'<rect x="{LEFT + j * width:.1f}" y="{BASE - (i + 1) * height:.1f}"'
        f' width="{width + 0.3:.1f}" height="{height + 0.3:.1f}"'
        f' fill="rgb({v},{v},{v})"/>'
        for i, line in enumerate(levels.tolist())
        for j, v in enumerate(line)
    ]
    place_x, place_y = _places(x_range, y_range)
    cells += [
        _text(LEFT - 5, place_y(tick) + 4, _number(tick), "end")
        for tick in ticks(*y_range)
    ]
    if curve:
        cells += [
            _shape(place_x(curve[1]), place_y(curve[2]), "line", COLOURS[1], curve[0]),
            *_legend([curve[0]], 1),
        ]
    return _svg(title, [*cells, *_x_axis(place_x, x_range, x_label)])


def standalone(svg):
    """A chart as a file of its own: on white, with its own style."""
    style = (
        "svg { color: #1c2126 } rect.ground { fill: #fff } text { font: 10px"
        " sans-serif; fill: currentColor } .title { font-size: 12px; font-weight: 600 }"
        " .grid { stroke: #d9dde2 } .axis { stroke: currentColor }"
    )
    head, rest = svg.split(">", 1)
    return (
        f'{head} xmlns="http://www.w3.org/2000/svg"'
        f' width="{2 * WIDTH}"><style>{style}</style><rect class="ground"'
        f' width="{WIDTH}" height="{HEIGHT}"/>{rest}\n'
    )


def ticks(least, most, about=4):
    """Round numbers within [least, most], a distance of 1, 2 or 5 times a power of ten
    apart.
    """
    rough = (most - least) / about
    power = 10.0 ** math.floor(math.log10(rough))
    step = next(
        factor * power for factor in (1, 2, 5, 10) if factor * power >= rough * 0.999
    )
    return [
        round(i * step, 12)
        for i in range(
            math.ceil(least / step - 1e-9), math.floor(most / step + 1e-9) + 1
        )
    ]


def log_ticks(least, most):
    """Round numbers within [10^least, 10^most]: 1, 2 and 5 times powers of ten; the
    powers alone where these are too many, those of `ticks` where they are too few.
    """
    for factors in ((1, 2, 5), (1,)):
        found = [
            factor * 10.0**power
            for power in range(math.floor(least), math.ceil(most) + 1)
            for factor in factors
        ]
        found = [
            value for value in found if least - 1e-9 <= math.log10(value) <= most + 1e-9
        ]
        if len(found) <= 7:
            break
    return found if len(found) > 1 else ticks(10**least, 10**most)


def _places(x_range, y_range):
    """(x -> its place from the left, y -> its place from the top) for axes from the
    least to the most of each range.
    """

    def across(x):
        return LEFT + (WIDTH - LEFT - RIGHT) * (np.asarray(x) - x_range[0]) / (
            x_range[1] - x_range[0]
        )

    return (
        across,
        lambda y: (
            BASE
            - (BASE - TOP) * (np.asarray(y) - y_range[0]) / (y_range[1] - y_range[0])
        ),
    )


def _x_axis(place_x, x_range, label):
    numbers = [
        _text(place_x(tick), BASE + 15, _number(tick), "middle")
        for tick in ticks(*x_range)
    ]
    return [*numbers, _text((LEFT + WIDTH - RIGHT) / 2, BASE + 29, label, "middle")]


def _reach(xs, kind="line"):
    half = np.diff(xs).min() / 2 if kind == "bars" and len(xs) > 1 else 0
    return np.array([xs.min() - half, xs.max() + half])


def _finite(xs, ys, log):
    xs, ys = np.asarray(xs, "float64"), np.asarray(ys, "float64")
    good = np.isfinite(xs) & np.isfinite(ys) & ((ys > 0) | (not log))
    return xs[good], np.log10(ys[good]) if log else ys[good]


def _span(values, margin=0.05):
    least, most = float(values.min()), float(values.max())
    room = (most - least) * margin or (0 if most > least else abs(most) * 0.1 + 0.1)
    return least - room, most + room


def _shape(xs, ys, kind, colour, label):
    name = f"<title>{html.escape(label)}</title>"
    if kind == "dots":
        return (
            f'<g fill="{colour}"'
            f' fill-opacity=".6">{"".join(f"""<circle cx="{x:.1f}" cy="{y:.1f}" r="1"/>""" for x, y in zip(xs, ys, strict=True))}</g>'
        )
    if kind == "point" or (kind == "line" and len(xs) == 1):
        return "".join(
            f'<circle cx="{x:.1f}" cy="{y:.1f}" r="4" fill="{colour}">{name}</circle>'
            for x, y in zip(xs, ys, strict=True)
        )
    if kind == "marked":
        return _shape(xs, ys, "line", colour, label) + "".join(
            f'<circle cx="{x:.1f}" cy="{y:.1f}" r="2.5" fill="{colour}"/>'
            for x, y in zip(xs, ys, strict=True)
        )
    if kind == "bars":
        width = float(np.diff(xs).min()) if len(xs) > 1 else 10.0
        return "".join(
            f'<rect x="{x - width / 2:.1f}" y="{y:.1f}" width="{width:.1f}"'
            f' height="{BASE - y:.1f}" fill="{colour}" fill-opacity=".45"/>'
            for x, y in zip(xs, ys, strict=True)
        )
    points = " ".join(f"{x:.1f},{y:.1f}" for x, y in zip(xs, ys, strict=True))
    return (
        f'<polyline points="{points}" fill="none" stroke="{colour}" stroke-width="1.8"'
        f' stroke-linejoin="round">{name}</polyline>'
    )


def _legend(labels, first=0):
    parts, x = [], LEFT
    for i, label in enumerate(labels, first):
        parts += [
            (
                f'<rect x="{x:.0f}" y="{HEIGHT - 9}" width="9" height="4"'
                f' fill="{COLOURS[i % len(COLOURS)]}"/>'
            ),
            _text(x + 12, HEIGHT - 3, label, "start"),
        ]
        x += 20 + 5.6 * len(label)
    return parts


def _text(x, y, text, anchor):
    return (
        f'<text x="{x:.1f}" y="{y:.1f}"'
        f' text-anchor="{anchor}">{html.escape(text)}</text>'
    )


def _svg(title, parts):
    heading = f'<text x="{LEFT}" y="16" class="title">{html.escape(title)}</text>'
    return (
        f'<svg viewBox="0 0 {WIDTH} {HEIGHT}" role="img"'
        f' aria-label="{html.escape(title)}">{heading}{"".join(parts)}</svg>'
    )


def _number(value):
    return (
        f"{value:,.0f}".replace(",", " ")
        if 1_000 <= abs(value) < 1e6
        else f"{value:.4g}"
    )
