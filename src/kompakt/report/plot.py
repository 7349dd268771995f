"""Line charts of the training."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from markupsafe import Markup

from . import text
from .curve import Point
from .svg import path, pct, stretched, tag, ticks

Scale = Callable[[float], float]

HEIGHT = 210  # of a chart, in pixels
STRIP = 22  # above it, for the names of the stages


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
    return json.dumps([[round(x, 2), float(f"{y:.6g}"), round(a, 4), round(1 - b, 4)] for (x, y), (a, b) in pairs])


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
