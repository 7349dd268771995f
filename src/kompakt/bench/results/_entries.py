"""All runs of one recipe on one network, taken together."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass

from ._records import AccuracyRecord


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
    def gap(self) -> float | None:
        """Percentage points above the float network; None where training began from random weights."""
        return None if self.first.float_top1 is None else self.mean_top1 - self.first.float_top1

    @property
    def train_s(self) -> float | None:
        """Mean over seeds; None without training."""
        times = [record.train_s for record in self.records if record.train_s]
        return sum(times) / len(times) if times else None

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
        head = " ".join(_part(part[0].upper(), bits.pop(part)) for part in main)
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


def _part(letter: str, bits: int | float | str) -> str:
    """`W2`, but `W float`."""
    return f"{letter} {bits}" if isinstance(bits, str) else f"{letter}{bits}"
