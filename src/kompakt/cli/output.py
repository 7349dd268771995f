"""What commands print: tables of plain text, or JSON."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

import click


def print_json(content: Any) -> None:
    """One JSON value on stdout; NaN and infinities are refused, they are no JSON."""
    click.echo(json.dumps(content, indent=1, allow_nan=False))


def table(header: Sequence[str], rows: Sequence[Sequence[object]], align: str) -> str:
    """Columns of equal width under a ruled header.

    Args:
        align: one letter per column, `l` or `r`.
        rows: cells; None is an empty one.
    """
    cells = [tuple(header), *(tuple("" if cell is None else str(cell) for cell in row) for row in rows)]
    widths = [max(len(row[column]) for row in cells) for column in range(len(header))]
    lines = ["  ".join(map(_padded, row, widths, align)).rstrip() for row in cells]
    return "\n".join([lines[0], "  ".join("-" * width for width in widths), *lines[1:]])


def _padded(cell: str, width: int, side: str) -> str:
    return cell.ljust(width) if side == "l" else cell.rjust(width)


def shape_text(shape: Sequence[int]) -> str:
    """`3x32x32`."""
    return "x".join(map(str, shape))


def count_text(value: float) -> str:
    """A whole number with groups of digits: `1 092 520`."""
    return f"{round(value):,}".replace(",", " ")
