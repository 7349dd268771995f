"""What quantization costs in training: a step with quantizers beside the same step without."""

from __future__ import annotations

from collections.abc import Sequence

from ._markdown import MISSING, table
from ._records import TrainingRecord


def training_section(records: Sequence[TrainingRecord]) -> str:
    """A line per method, in the order of their names."""
    header = (
        "method", "as in recipe", "network", "bits", "threads>", "ms without>", "ms with>", "ratio>", "10-90 %",
        "A/A>", "A/A 10-90 %", "goal", "search in training",
    )  # fmt: skip
    return table(header, [_row(record) for record in _ordered(records)])


def _ordered(records: Sequence[TrainingRecord]) -> list[TrainingRecord]:
    return sorted(records, key=lambda record: (record.method, record.net, record.threads))


def _row(record: TrainingRecord) -> list[str]:
    return [
        record.method, record.recipe, record.net, record.bits, str(record.threads), f"{record.float_ms:.0f}",
        f"{record.ms:.0f}", f"{record.ratio:.2f}", _band(record.ratio_band), f"{record.aa_ratio:.2f}",
        _band(record.aa_band), _verdict(record), record.remark,
    ]  # fmt: skip


def _band(band: tuple[float, float]) -> str:
    return f"{band[0]:.2f} to {band[1]:.2f}"


def _verdict(record: TrainingRecord) -> str:
    if record.goal is None:
        return MISSING
    return f"{record.goal:g}: {'reached' if record.ratio <= record.goal else '**missed**'}"


def training_shortfalls(records: Sequence[TrainingRecord]) -> list[str]:
    """A sentence per method whose step costs more than its goal."""
    return [
        f"training step of {record.method}: {record.ratio:.2f} times the step without quantizers instead of "
        f"{record.goal:g}."
        for record in _ordered(records)
        if record.goal is not None and record.ratio > record.goal
    ]
