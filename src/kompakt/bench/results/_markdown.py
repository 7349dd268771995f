"""Markdown tables and numbers for people."""

from __future__ import annotations

from collections.abc import Sequence

MISSING = "-"


def table(header: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """A pipe table; cells are escaped, columns whose header ends in `>` are right-aligned."""
    titles = [title.removesuffix(">") for title in header]
    rules = ["---:" if title.endswith(">") else "---" for title in header]
    lines = [titles, rules, *rows]
    return "\n".join(f"| {' | '.join(map(cell, line))} |" for line in lines)


def cell(text: str) -> str:
    """Text that cannot break its row."""
    return " ".join(text.replace("|", "\\|").split()) or MISSING


def count(number: float | None) -> str:
    """12,345 or `-`."""
    return MISSING if number is None else f"{number:,.0f}"


def millions(number: float | None) -> str:
    """Millions with one digit, or `-`."""
    return MISSING if number is None else f"{number / 1e6:,.1f}"
