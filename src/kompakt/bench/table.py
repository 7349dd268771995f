"""A benchmark result as plain text for a terminal."""

from __future__ import annotations

from .result import BenchResult, Row, sentences

_HEADER = ("engine", "threads", "batch", "ms p10", "ms median", "clock", "ratio", "10-90 %", "95 % interval", "SNR dB")


def format_table(result: BenchResult) -> str:
    """Rows per setting, the A/A row first; then a sentence per setting, absent peers, and the machine."""
    rows = []
    for own in result.own:
        rows.append(_cells(own, f"{own.engine} (A/A)"))
        rows += [_cells(row, row.engine) for row in result.rows if (row.threads, row.batch) == (own.threads, own.batch)]
    lines = [f"{result.net}, {result.isa}; ratio = time of the engine / time of Kompakt: above 1 Kompakt is faster", ""]
    lines += _aligned([_HEADER, *rows])
    lines += ["", *sentences(result)]
    lines += [f"{engine}: {reason}" for engine, reason in result.absent.items()]
    return "\n".join([*lines, _machine_line(result)]) + "\n"


def _cells(row: Row, engine: str) -> tuple[str, ...]:
    band, interval = row.ratio.band, row.ratio.interval
    return (
        engine, str(row.threads), str(row.batch), f"{row.ms_p10:.3f}", f"{row.ms_median:.3f}", row.clock,
        f"{row.ratio.median:.2f}", f"{band[0]:.2f}-{band[1]:.2f}", f"{interval[0]:.2f}-{interval[1]:.2f}",
        f"{row.snr_db:.1f}",
    )  # fmt: skip


def _aligned(rows: list[tuple[str, ...]]) -> list[str]:
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    return ["  ".join([row[0].ljust(widths[0]), *map(str.rjust, row[1:], widths[1:])]) for row in rows]


def _machine_line(result: BenchResult) -> str:
    machine = result.machine
    versions = ", ".join(f"{name} {version}" for name, version in machine.get("versions", {}).items())
    parts = [machine.get("cpu"), machine.get("os"), versions, _load(machine.get("load_average_1m"))]
    return "; ".join(part for part in parts if part)


def _load(value: float | None) -> str | None:
    return None if value is None else f"load average {value}"
