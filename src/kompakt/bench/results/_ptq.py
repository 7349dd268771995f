"""Post-training quantization beside other tools: the same network, images and bits."""

from __future__ import annotations

from collections.abc import Sequence

from ._markdown import MISSING, count, table
from ._records import PtqRecord, PtqRow

LONGEST = 2.0  # times the other tool's time


def ptq_section(records: Sequence[PtqRecord]) -> str:
    """A line per tool and network; ours first."""
    header = (
        "network", "tool", "images", "seeds>", "float top-1 %>", "top-1 %>", "lowest to highest", "time to quantize s>",
        "file bytes>", "its time per image / ours>", "10-90 %",
    )  # fmt: skip
    return table(header, [_row(record, row) for record in records for row in record.rows])


def _row(record: PtqRecord, row: PtqRow) -> list[str]:
    band = f"{row.ratio_band[0]:.2f} to {row.ratio_band[1]:.2f}" if row.ratio_band else MISSING
    return [
        record.net, row.tool, str(record.calibration_images), str(len(row.top1)), f"{record.float_top1:.2f}",
        f"{mean(row.top1):.2f}", f"{min(row.top1):.2f} to {max(row.top1):.2f}", f"{mean(row.seconds):.1f}",
        count(row.bytes), f"{row.ratio:.2f}" if row.ratio else MISSING, band,
    ]  # fmt: skip


def ptq_shortfalls(records: Sequence[PtqRecord]) -> list[str]:
    """A sentence where another tool is more accurate, or runs faster, or ours takes more than twice as long."""
    lines = []
    for record in records:
        ours, *others = record.rows
        for row in others:
            where = f"{record.net} int8 against {row.tool}"
            if mean(ours.top1) < mean(row.top1):
                lines.append(f"{where}: {mean(ours.top1):.2f} % instead of {mean(row.top1):.2f} %.")
            if mean(ours.seconds) > LONGEST * mean(row.seconds):
                lines.append(f"{where}: {mean(ours.seconds):.1f} s to quantize instead of {mean(row.seconds):.1f} s.")
            if row.ratio is not None and row.ratio < 1:
                lines.append(f"{where}: {1 / row.ratio:.2f} times its time per image.")
    return lines


def mean(values: Sequence[float]) -> float:
    """Of at least one value."""
    return sum(values) / len(values)
