"""Speed tables of the results page."""

from __future__ import annotations

from ..result import TELL_APART
from ._markdown import MISSING, count, table
from ._records import BenchRecord, BenchRow

HEADER = (
    "engine", "threads>", "batch>", "clock", "ms p10>", "ms median>", "ratio>", "10-90 % of pairs>", "95 % interval>",
    "SNR dB>",
)  # fmt: skip


def ordered(records: list[BenchRecord]) -> list[BenchRecord]:
    """By network, processor, instruction set, file."""
    return sorted(records, key=lambda r: (r.net, str(r.machine.get("cpu")), r.bits, r.isa, str(r.file.get("sha256"))))


def speed_section(record: BenchRecord) -> str:
    """One benchmark: the A/A row first in every setting, then what the rows say, what is absent, and the machine."""
    rows = []
    for own in record.aa_rows:
        rows.append(_cells(own, "Kompakt against itself (A/A)"))
        rows += [_cells(row, row.engine) for row in record.rows if (row.threads, row.batch) == (own.threads, own.batch)]
    cpu = record.machine.get("cpu", "unknown processor")
    parts = [f"### {_title(record)}, {cpu}", table(HEADER, rows)]
    parts.append("\n".join(f"* {line}" for line in [*record.sentences, *_remarks(record)]))
    return "\n\n".join(parts)


def _title(record: BenchRecord) -> str:
    """Network, bits where it was packed untrained, level, and what was hidden."""
    hidden = f", {record.hidden['features']} hidden" if record.hidden else ""
    return f"{' '.join(part for part in (record.net, record.bits) if part)}, {record.isa}{hidden}"


def losses(records: list[BenchRecord]) -> list[str]:
    """A line per row in which Kompakt clearly took more time than the other engine."""
    return [
        f"{_title(record)}, threads {row.threads}, batch {row.batch}: "
        f"{1 / row.ratio:.2f} times the time of {row.engine}."
        for record in records
        for row in record.rows
        if row.ratio < 1 - TELL_APART
    ]


def _cells(row: BenchRow, engine: str) -> list[str]:
    band, interval = row.ratio_band, row.ratio_interval
    return [
        engine, str(row.threads), str(row.batch), row.clock, f"{row.ms_p10:.3f}", f"{row.ms_median:.3f}",
        f"{row.ratio:.2f}", f"{band[0]:.2f} to {band[1]:.2f}", f"{interval[0]:.2f} to {interval[1]:.2f}",
        MISSING if row.snr_db is None else f"{row.snr_db:.1f}",
    ]  # fmt: skip


def _remarks(record: BenchRecord) -> list[str]:
    machine, settings = record.machine, record.settings
    versions = ", ".join(f"{name} {version}" for name, version in sorted(machine.get("versions", {}).items()))
    hidden = {key: text for key, text in record.hidden.items() if key != "features"}
    facts = {
        "file": f"{count(record.file.get('bytes'))} bytes" if record.file else None,
        "weights": "random, quantized without training" if record.bits else None,
        "hidden by": ", ".join(f"{family}: {text}" for family, text in hidden.items()),
        "rounds": settings.get("rounds"),
        "seconds per pair": settings.get("seconds_per_pair"),
        "commit": machine.get("commit"),
        "load average at the start": machine.get("load_average_1m"),
        "features": " ".join(machine.get("features", [])),
        "versions": versions,
        "system": machine.get("os"),
    }
    lines = [f"{engine}: {text}" for engine, text in sorted(record.absent.items())]
    lines += [f"{engine} is {text}." for engine, text in sorted(record.how.items())]
    return [*lines, "; ".join(f"{name} {value}" for name, value in facts.items() if value not in (None, ""))]
