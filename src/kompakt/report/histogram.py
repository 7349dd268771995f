"""Weights of a layer and the levels that quantization offers them."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

from markupsafe import Markup

from . import text
from .model import Layer
from .svg import pct, steps, stretched, tag, ticks

MAX_BINS = 64
NAME_WIDTH = 0.09  # of a wide chart; levels closer than this are named below the chart only
RUG_FROM = 33  # more levels than this are drawn as short marks, not as full lines


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
    has_room = all(b - a >= NAME_WIDTH for (a, _), (b, _) in pairwise(levels))
    for place, name in levels:
        foot = tag("path", d="M-4 6L4 6L0 -1Z", class_="foot")
        parts += [
            tag("line", x1=pct(place), x2=pct(place), y1="6%", y2="100%", class_="level"),
            tag("svg", foot, x=pct(place), y="100%", overflow="visible"),
        ]
        if has_room:
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
    labels = [tag("text", text.number(x), x=pct(place), y=16) for x, place in marks if 0 <= place <= 1]
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
