"""The drawings of the report. Each encodes by position, length, shape or pattern, and says its numbers in words too."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import pairwise

from markupsafe import Markup

from . import text
from .curve import Point
from .model import Layer
from .svg import join, path, pct, steps, stretched, tag, ticks

Scale = Callable[[float], float]

PATTERNS = 8  # classes f0 to f7 of style.css: solid, diagonal, dots, vertical, cross, outline, tint, horizontal
MAX_BINS = 64
HEIGHT = 210  # of a line chart, in pixels
STRIP = 22  # above it, for the names of the stages
NAMED_LEVELS = 4  # more would overlap on a phone; they are listed below the chart
RUG_FROM = 33  # more levels than this are drawn as short marks, not as full lines


def pattern_defs() -> Markup:
    """The fill patterns, once per page; colours come from the style sheet."""
    strokes = {1: "M-2 2L2 -2M0 8L8 0M6 10L10 6", 3: "M2 0V8M6 0V8", 4: "M0 4H8M4 0V8", 7: "M0 2H8M0 6H8"}
    patterns = []
    for number in (1, 2, 3, 4, 7):
        drawing = (
            tag("path", d=strokes[number], class_="ink")
            if number in strokes
            else join([tag("circle", cx=x, cy=x, r=1.3, class_="dot") for x in (2, 6)])
        )
        patterns.append(
            tag(
                "pattern",
                tag("rect", width=8, height=8, class_="ground"),
                drawing,
                id=f"fill{number}",
                width=8,
                height=8,
                patternUnits="userSpaceOnUse",
            )
        )
    return tag("svg", tag("defs", *patterns), width=0, height=0, class_="defs", aria_hidden="true")


def bar(share: float, pattern: int = 0, height: int = 10) -> Markup:
    """One horizontal bar over a faint track; `share` 0..1. Something is always seen of a value above zero."""
    width = max(share, 0.004) if share > 0 else 0.0
    return tag(
        "svg",
        tag("rect", width="100%", height=height, class_="track"),
        tag("rect", width=pct(width), height=height, class_=f"f{pattern}"),
        class_="bar",
        width="100%",
        height=height,
        aria_hidden="true",
    )


def stacked(values: Sequence[float], height: int = 36) -> Markup:
    """Parts of a whole in one bar, each with its own pattern."""
    total, at, parts = sum(values) or 1.0, 0.0, []
    for index, value in enumerate(values):
        parts.append(
            tag("rect", x=pct(at / total), width=pct(value / total), height=height, class_=f"f{index % PATTERNS} cut")
        )
        at += value
    return tag("svg", *parts, class_="bar", width="100%", height=height, aria_hidden="true")


def swatch(index: int) -> Markup:
    """The key to a part of `stacked`."""
    return tag(
        "svg",
        tag("rect", width=16, height=16, class_=f"f{index % PATTERNS} cut"),
        width=16,
        height=16,
        class_="swatch",
        aria_hidden="true",
    )


def bit_marks(bits: float | None, is_weight: bool) -> Markup:
    """Eight places, as many filled as there are bits: squares for weights, circles for activations, a bar for float."""
    if bits is None or bits >= 32:
        drawing = [tag("rect", x=0.5, y=1.5, width=77, height=7, class_="f5")] if bits else []
    else:
        drawing = [_bit_mark(place, bits - place >= 1, is_weight) for place in range(8)]
    return tag("svg", *drawing, width=78, height=10, class_="bits", aria_hidden="true")


def _bit_mark(place: int, is_filled: bool, is_weight: bool) -> Markup:
    look = "on" if is_filled else "off"
    if is_weight:
        return tag("rect", x=place * 10 + 0.5, y=1.5, width=7, height=7, class_=look)
    return tag("circle", cx=place * 10 + 4, cy=5, r=3.5, class_=look)


@dataclass(frozen=True)
class Plot:
    """A line chart: `reference` holds (height, label) of dashed lines, `stages` holds (position, name)."""

    title: str
    points: Sequence[Point]
    x_unit: str
    y_unit: str = ""
    reference: Sequence[tuple[float, str]] = ()
    stages: Sequence[tuple[float, str]] = ()


def line_plot(plot: Plot) -> Markup:
    """Draw a plot. It takes the keyboard focus; the script moves a cursor over its points with the arrow keys."""
    xs, ys = [x for x, _ in plot.points], [y for _, y in plot.points] + [y for y, _ in plot.reference]
    left, right, low, high = min(xs), max(xs), min(ys), max(ys)
    pad = 0.06 * (high - low) or 0.5
    low, high = low - pad, high + pad

    def across(x: float) -> float:
        return (x - left) / (right - left) if right > left else 0.5

    def up(y: float) -> float:
        return (y - low) / (high - low)

    places = [(across(x), up(y)) for x, y in plot.points]
    top = STRIP if len(plot.stages) > 1 else 0
    size = {"height": top + HEIGHT + 24, "aria_hidden": "true"}
    shift = {"transform": f"translate(0 {top})"}
    marks = ticks(low, high, 5)
    numbers = [tag("text", _tick(y), x="100%", y=HEIGHT * (1 - up(y)) + 4) for y in marks]
    area = tag(
        "g",
        *(_horizontal(HEIGHT * (1 - up(y)), "grid") for y in marks),
        *_stage_lines(plot, across),
        stretched(tag("path", d=path(places), class_="line"), height=HEIGHT),
        *_reference_lines(plot, up),
        tag("circle", cx=pct(places[-1][0]), cy=HEIGHT * (1 - places[-1][1]), r=4, class_="end"),
        *_x_labels(plot, left, right, across),
        class_="area",
        **shift,
    )
    return tag(
        "div",
        tag("svg", tag("g", *numbers, **shift), class_="ylabels", width=46, **size),
        tag("svg", area, class_="canvas", width="100%", **size),
        class_="plot",
        tabindex=0,
        role="group",
        data_points=_data(plot.points, places),
        data_x=plot.x_unit,
        data_y=plot.y_unit,
        data_height=HEIGHT,
        aria_label=_plot_words(plot),
    )


def _data(points: Sequence[Point], places: Sequence[Point]) -> str:
    """For the script: [x, y, share from the left, share from the top] of every point."""
    pairs = zip(points, places, strict=True)
    return json.dumps([[round(x, 2), round(y, 4), round(a, 4), round(1 - b, 4)] for (x, y), (a, b) in pairs])


def _x_labels(plot: Plot, left: float, right: float, across: Scale) -> list[Markup]:
    whole = [x for x in ticks(left, right, 5) if x == round(x)]
    return [tag("text", _tick(x), x=pct(across(x)), y=HEIGHT + 19, class_="xlabel") for x in whole]


def _tick(value: float) -> str:
    return f"{value:.6g}".replace("-", text.MINUS)


def _plot_words(plot: Plot) -> str:
    (x0, y0), (x1, y1) = plot.points[0], plot.points[-1]
    return (
        f"{plot.title}: from {text.number(y0)} at {plot.x_unit} {text.number(x0)} to {text.number(y1)} at "
        f"{plot.x_unit} {text.number(x1)}. Arrow keys read single points."
    )


def _horizontal(y: float, look: str) -> Markup:
    return tag("line", x1=0, x2="100%", y1=y, y2=y, class_=look)


def _reference_lines(plot: Plot, up: Scale) -> list[Markup]:
    parts = []
    ordered = sorted(plot.reference, reverse=True)
    for place, (height, label) in enumerate(ordered):
        y = HEIGHT * (1 - up(height))
        # The upper label stands above its line, the lower one below, so that close values stay readable.
        parts += [
            _horizontal(y, f"reference r{place}"),
            tag("text", label, x=6, y=y - 6 if place == 0 else y + 15, class_="label"),
        ]
    return parts


def _stage_lines(plot: Plot, across: Scale) -> list[Markup]:
    parts = []
    for start, name in plot.stages if len(plot.stages) > 1 else ():
        place = across(start + 0.5) if start else 0.0
        is_late = place > 0.8  # its name would leave the chart at the right
        side = {"dx": -6, "text_anchor": "end"} if is_late else {"dx": 6}
        parts += [
            tag("line", x1=pct(place), x2=pct(place), y1=-STRIP, y2=HEIGHT, class_="stage"),
            tag("text", f"{name} →" if is_late else name, x=pct(place), y=9 - STRIP, class_="stagename", **side),
        ]
    return parts


def histogram(layer: Layer) -> Markup:
    """Weights of a layer as a staircase, its quantization levels as lines (or short marks, where there are many)."""
    edges, counts, low, high = _weights(layer)
    places, peak = [(edge - low) / (high - low) for edge in edges], max(counts) or 1.0
    levels = [((level - low) / (high - low), text.number(level)) for level in sorted(layer.levels or [])[:256]]
    return tag(
        "svg",
        stretched(tag("path", d=steps([0.94 * c / peak for c in counts], places), class_="weights")),
        tag("line", x1=0, x2="100%", y1="100%", y2="100%", class_="base"),
        *(_levels(levels) if len(levels) < RUG_FROM else [_rug(levels)]),
        class_="histogram",
        width="100%",
        aria_hidden="true",
    )


def _levels(levels: Sequence[tuple[float, str]]) -> list[Markup]:
    parts = []
    for place, name in levels:
        foot = tag("path", d="M-4 6L4 6L0 -1Z", class_="foot")
        parts += [
            tag("line", x1=pct(place), x2=pct(place), y1="6%", y2="100%", class_="level"),
            tag("svg", foot, x=pct(place), y="100%", overflow="visible"),
        ]
        if len(levels) <= NAMED_LEVELS:
            parts.append(tag("text", name, x=pct(place), y=0, class_="levelname"))
    return parts


def _rug(levels: Sequence[tuple[float, str]]) -> Markup:
    """Many levels as one path of short marks at the bottom."""
    marks = "".join(f"M{1000 * place:.0f} 880V1000" for place, _ in levels)
    return stretched(tag("path", d=marks, class_="level rug"))


def histogram_ticks(layer: Layer) -> Markup:
    """The value axis under `histogram`."""
    *_, low, high = _weights(layer)
    marks = ((x, (x - low) / (high - low)) for x in ticks(low, high, 4))
    labels = [tag("text", _tick(x), x=pct(place), y=16) for x, place in marks if 0 <= place <= 1]
    return tag("svg", *labels, class_="axis", width="100%", height=20, aria_hidden="true")


def _weights(layer: Layer) -> tuple[list[float], list[float], float, float]:
    """Edges and densities of the histogram, and the ends of an axis that holds it and the levels."""
    found = layer.histogram
    edges, density = _rebin(found.edges, found.counts) if found else ([0.0, 1.0], [0.0])
    around = [edges[0], edges[-1], *(layer.levels or [])]
    return edges, density, min(around), max(around)


def _rebin(edges: Sequence[float], counts: Sequence[float]) -> tuple[list[float], list[float]]:
    """At most MAX_BINS bins as densities (weights per unit), so that bins of unequal width compare."""
    width = -(-len(counts) // MAX_BINS)
    cuts = [*range(0, len(counts), width), len(counts)]
    density = [sum(counts[a:b]) / (edges[b] - edges[a]) for a, b in pairwise(cuts)]
    return [edges[i] for i in cuts], density
