"""A drawing of how much every layer minds fewer bits."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from .svg import join, tag

ROW, TOP, LEFT, RIGHT, WIDTH = 22, 44, 210, 40, 860
COLOURS = ("#b3261e", "#c77700", "#2e7d32", "#1f5fa8", "#5b3a8c", "#555555", "#0b7a75", "#8c564b")
SMALLEST = 1e-8  # of a distance: what is below is nothing


def sensitivity_picture(layers: Sequence[dict[str, Any]]) -> str:
    """One row per layer, one dot per bit-width, on a logarithmic axis; a complete SVG file.

    Args:
        layers: {"layer": name, "loss": {bits as text: distance}}, in the order of the rows.
    """
    bits = list(layers[0]["loss"]) if layers else []
    exponents = [_exponent(layer["loss"][b]) for layer in layers for b in bits] or [0.0]
    low, high = math.floor(min(exponents)), math.ceil(max(exponents) + 1e-9)
    scale = (WIDTH - LEFT - RIGHT) / max(high - low, 1)
    height = TOP + ROW * len(layers) + 34
    lines = [
        join([
            tag("line", x1=x, x2=x, y1=TOP, y2=height - 30, stroke="#d5d5d5"),
            tag("text", f"1e{e}", x=x, y=height - 12, text_anchor="middle"),
        ])
        for e in range(low, high + 1)
        for x in [LEFT + (e - low) * scale]
    ]  # fmt: skip
    rows = [
        join([
            tag("text", layer["layer"], x=LEFT - 12, y=y + 4, text_anchor="end"),
            *(
                tag("circle", tag("title", f"{layer['layer']}, {b} bits: {layer['loss'][b]:.3g}"), r=5, cy=y,
                    cx=LEFT + (_exponent(layer["loss"][b]) - low) * scale, fill=COLOURS[i % len(COLOURS)])
                for i, b in enumerate(bits)
            ),
        ])
        for row, layer in enumerate(layers)
        for y in [TOP + ROW * row + ROW // 2]
    ]  # fmt: skip
    legend = [
        tag("text", f"\u25cf {b} bits", x=LEFT + 80 * i, y=20, fill=COLOURS[i % len(COLOURS)])
        for i, b in enumerate(bits)
    ]
    return str(
        tag("svg", *legend, *lines, *rows, xmlns="http://www.w3.org/2000/svg", viewBox=f"0 0 {WIDTH} {height}",
            font_family="system-ui, sans-serif", font_size=12, role="img",
            aria_label="Distance of the outputs by layer and bit-width")
    )  # fmt: skip


def _exponent(distance: float) -> float:
    return math.log10(max(distance, SMALLEST))
