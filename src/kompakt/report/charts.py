"""Bars and marks. Each encodes by length, count, shape or pattern; the template says its number beside it."""

from __future__ import annotations

from collections.abc import Sequence

from markupsafe import Markup

from .svg import pct, tag

PATTERNS = 8  # classes f0 to f7 of style.css: solid, diagonal, dots, vertical, cross, outline, tint, horizontal


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
    kind = "weight" if is_weight else "activation"
    if bits is None:
        drawing = []
    elif bits >= 32:
        drawing = [tag("rect", x=0.5, y=1.5, width=77, height=7, class_="f5")]
    else:
        filled = min(max(10 * bits, 0.0), 80.0)
        drawing = [
            tag("rect", width=filled, height=10, class_=f"{kind}-on"),
            tag("rect", x=filled, width=80 - filled, height=10, class_=f"{kind}-off"),
        ]
    return tag("svg", *drawing, width=80, height=10, class_="bits", aria_hidden="true")
