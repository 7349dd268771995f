"""Accuracy and size tables of the results page."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass

from ._markdown import MISSING, count, millions, table
from ._records import AccuracyRecord

ENOUGH_SEEDS = 3


@dataclass(frozen=True)
class Entry:
    """All seeds of one recipe on one network: a line of the tables."""

    records: tuple[AccuracyRecord, ...]

    @property
    def first(self) -> AccuracyRecord:
        return self.records[0]

    @property
    def top1(self) -> list[float]:
        """Percent, one per seed."""
        return [value for record in self.records for value in record.engine_top1]

    @property
    def mean_top1(self) -> float:
        return sum(self.top1) / len(self.top1)

    @property
    def short_of_goal(self) -> float | None:
        """Percentage points by which the goal was missed; 0 if reached, None where there is none."""
        goal = self.first.goal_top1
        return None if goal is None else max(0.0, round(goal - self.mean_top1, 4))

    @property
    def bits(self) -> str:
        """`W2 A2`, then the parts with other bit-widths."""
        bits = dict(self.first.bits)
        main = [part for part in ("weights", "activations") if part in bits]
        head = " ".join(f"{part[0].upper()}{bits.pop(part)}" for part in main)
        rest = ", ".join(f"{part.replace('_', '/')} {bits[part]}" for part in sorted(bits))
        return "; ".join(part for part in (head, rest) if part)


def entries(records: list[AccuracyRecord]) -> list[Entry]:
    """Records grouped by what was run, in a fixed order."""
    groups: dict[tuple[str, ...], list[AccuracyRecord]] = defaultdict(list)
    for record in records:
        bits = ",".join(f"{part}={record.bits[part]}" for part in sorted(record.bits))
        groups[(record.model, record.dataset, record.recipe, record.system, record.protocol, bits)].append(record)
    runs = [sorted(groups[key], key=lambda run: (run.seeds, run.engine_top1)) for key in sorted(groups)]
    return [Entry(tuple(records)) for records in runs]


def accuracy_section(found: list[Entry]) -> str:
    """Top-1 in the engine beside the float network, the goal, and the number that others published."""
    header = (
        "recipe", "network", "data", "bits", "protocol", "seeds>", "float top-1 %>", "engine top-1 %>", "change>",
        "goal", "published %>", "published in", "training min>", "on threads>",
    )  # fmt: skip
    return table(header, [_accuracy_row(entry) for entry in found])


def text_section(found: list[Entry]) -> str:
    """Bits per character of language models in the engine beside the float network."""
    header = ("recipe", "network", "data", "bits", "float bits per character>", "engine bits per character>", "change>")
    return table(header, [_text_row(entry.first, entry.bits) for entry in found if entry.first.engine_bits])


def _text_row(record: AccuracyRecord, bits: str) -> list[str]:
    before, after = record.float_bits or 0.0, record.engine_bits or 0.0
    change = f"{100 * (after / before - 1):+.2f} %" if before else MISSING
    return [record.recipe, record.model, record.dataset, bits, f"{before:.4f}", f"{after:.4f}", change]


def _accuracy_row(entry: Entry) -> list[str]:
    first = entry.first
    minutes = [record.train_s / 60 for record in entry.records if record.train_s is not None]
    return [
        first.recipe, first.model, first.dataset, entry.bits, first.protocol, _seeds(entry),
        f"{first.float_top1:.2f}", _spread(entry.top1), f"{entry.mean_top1 - first.float_top1:+.2f}", _goal(entry),
        f"{first.published.value:.2f}" if first.published else MISSING,
        first.published.source if first.published else MISSING,
        f"{sum(minutes) / len(minutes):.0f}" if minutes else MISSING,
        f"{first.train_threads:.0f}" if minutes and first.train_threads else MISSING,
    ]  # fmt: skip


def _seeds(entry: Entry) -> str:
    seeds = len(entry.top1)
    return str(seeds) if seeds >= ENOUGH_SEEDS else f"{seeds} (too few for a spread)"


def _spread(values: list[float]) -> str:
    mean = sum(values) / len(values)
    return f"{mean:.2f}" if len(values) == 1 else f"{mean:.2f} ({min(values):.2f} to {max(values):.2f})"


def _goal(entry: Entry) -> str:
    if entry.short_of_goal is None:
        return MISSING
    verdict = f"missed by {entry.short_of_goal:.2f}" if entry.short_of_goal > 0 else "reached"
    return f"{entry.first.goal_top1:.2f}: {verdict}"


def size_section(found: list[Entry]) -> str:
    """Bytes on disk of both files and what ours is made of; operations per image."""
    parts = sorted({part for entry in found for part in entry.first.file_breakdown})
    sizes = ("float file bytes>", "`.kpt` bytes>", "times smaller>", *(f"{part}>" for part in parts))
    header = ("recipe", "network", *sizes, "million MACs>", "million BOPs>")
    return table(header, [_size_row(entry.first, parts) for entry in found])


def _size_row(record: AccuracyRecord, parts: list[str]) -> list[str]:
    smaller = f"{record.float_bytes / record.file_bytes:.1f}" if record.file_bytes else MISSING
    breakdown = [count(record.file_breakdown.get(part)) for part in parts]
    sizes = [count(record.float_bytes), count(record.file_bytes), smaller, *breakdown]
    return [record.recipe, record.model, *sizes, millions(record.macs), millions(record.bops)]


def shortfalls(found: list[Entry]) -> list[str]:
    """A sentence per goal that was missed and per published number that was not reached."""
    lines = []
    for entry in found:
        first = entry.first
        if entry.short_of_goal:
            lines.append(
                f"{first.recipe}: {entry.mean_top1:.2f} %, {entry.short_of_goal:.2f} points short of its goal."
            )
        if first.published and entry.mean_top1 < first.published.value:
            points = first.published.value - entry.mean_top1
            lines.append(f"{first.recipe}: {points:.2f} points below the published {first.published.value:.2f} %.")
    return lines


def provenance(found: list[Entry]) -> str:
    """Where each run came from."""
    rows = [
        [record.recipe, ", ".join(map(str, record.seeds)), record.commit or MISSING, record.machine or MISSING]
        for entry in found
        for record in entry.records
    ]
    return table(("recipe", "seed", "commit", "machine"), rows)
