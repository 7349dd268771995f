"""Networks of several bit-widths in one file, beside networks trained for one of them."""

from __future__ import annotations

from ._entries import Entry
from ._markdown import MISSING, count, table

HEADER = (
    "recipe", "network", "bits>", "seeds>", "engine top-1 %>", "file bytes>", "trained for it alone", "its top-1 %>",
    "its file bytes>", "difference>",
)  # fmt: skip


def widths_section(found: list[Entry]) -> str:
    """A line per bit-width; beside it the best network of the same protocol with these bits alone."""
    rows = [_row(entry, bits, found) for entry in found for bits in sorted(entry.first.widths, reverse=True)]
    return table(HEADER, rows)


def _row(entry: Entry, bits: int, found: list[Entry]) -> list[str]:
    first, values = entry.first, [record.widths[bits] for record in entry.records]
    mean, twin = sum(values) / len(values), _twin(entry, bits, found)
    line = [first.recipe, first.model, str(bits), count(len(values)), f"{mean:.2f}", count(first.file_bytes)]
    if twin is None:
        return [*line, *[MISSING] * 4]
    alone = twin.first
    return [
        *line, alone.recipe, f"{twin.mean_top1:.2f}", count(alone.file_bytes), f"{mean - twin.mean_top1:+.2f}"
    ]  # fmt: skip


def _twin(entry: Entry, bits: int, found: list[Entry]) -> Entry | None:
    """The best one, so that the difference flatters nobody."""
    first = entry.first
    same = [
        other for other in found
        if (other.first.model, other.first.dataset, other.first.protocol)
        == (first.model, first.dataset, first.protocol)
        and other.first.bits == first.bits | {"weights": bits, "activations": bits}
        and not other.first.widths
    ]  # fmt: skip
    return max(same, key=lambda other: other.mean_top1, default=None)
