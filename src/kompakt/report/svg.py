"""Hand-written SVG. Horizontal positions are percentages: a chart fits any width while its text keeps its size."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence

from markupsafe import Markup, escape

Child = str | Markup


def tag(name: str, *children: Child, **attributes: object) -> Markup:
    """An element. Text and attribute values are escaped; `x_y` becomes `x-y`, a trailing `_` is dropped; None omits."""
    words = [
        f' {key.rstrip("_").replace("_", "-")}="{escape(_value(value))}"'
        for key, value in attributes.items()
        if value is not None
    ]
    inside = "".join(escape(child) for child in children)
    return Markup(f"<{name}{''.join(words)}>{inside}</{name}>")


def _value(value: object) -> str:
    return f"{value:.2f}".rstrip("0").rstrip(".") if isinstance(value, float) else str(value)


def pct(share: float) -> str:
    """0..1 -> `43.21%`, clamped."""
    return f"{_value(100 * min(max(share, 0.0), 1.0))}%"


def join(parts: Iterable[Markup]) -> Markup:
    """Concatenate markup."""
    return Markup("").join(parts)


def stretched(*children: Child, **attributes: object) -> Markup:
    """An inner drawing with a 1000 x 1000 coordinate box stretched over its parent; strokes keep their width."""
    box = {"viewBox": "0 0 1000 1000", "preserveAspectRatio": "none", "width": "100%", "height": "100%"}
    return tag("svg", *children, **(box | attributes))


def path(points: Sequence[tuple[float, float]]) -> str:
    """A polyline through points of 0..1 x 0..1, y upwards, as path data of a `stretched` drawing."""
    return "M" + "L".join(f"{1000 * x:.0f} {1000 * (1 - y):.0f}" for x, y in points)


def steps(heights: Sequence[float], edges: Sequence[float]) -> str:
    """A filled staircase: `heights[i]` over `edges[i]..edges[i+1]`, all 0..1, as path data of a `stretched` drawing."""
    data = [f"M{1000 * edges[0]:.0f} 1000"]
    for height, right in zip(heights, edges[1:], strict=True):
        data.append(f"V{1000 * (1 - height):.0f}H{1000 * right:.0f}")
    return "".join(data) + "V1000Z"


def ticks(low: float, high: float, target: int = 4) -> list[float]:
    """About `target` round numbers from `low` to `high`; a single one where they are equal."""
    if not high - low > 1e-290:  # a step would be zero
        return [low]
    raw = (high - low) / max(target, 1)
    base = 10.0 ** math.floor(math.log10(raw))
    step = next(factor * base for factor in (1, 2, 2.5, 5, 10) if factor * base >= raw * 0.999)
    first, last = math.ceil(low / step - 1e-9), math.floor(high / step + 1e-9)
    return [i * step for i in range(first, last + 1)] or [low]
