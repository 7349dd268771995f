"""The benchmark of a run, as `kompakt bench --json` writes it: peers in `rows`, Kompakt against itself in `aa_rows`."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from . import text
from .model import LARGEST, Result

OWN = "kompakt"
FLOAT_ENGINES = ("fp32", "float", "torch:")
BenchRow = dict[str, Any]


@dataclass(frozen=True)
class Latency:
    """Kompakt's median in milliseconds under some conditions, and its peers under the same.

    Attributes:
        float_engine: the fastest float peer, its median in `float_ms`; empty and None where none was measured.
        faster: peers whose paired ratio is below 1, as (ratio, engine), fastest first.
    """

    conditions: str
    own_ms: float
    float_engine: str
    float_ms: float | None
    float_ratio: float | None
    faster: tuple[tuple[float, str], ...]


def bench_rows(result: Result) -> list[BenchRow]:
    """Kompakt's own rows, then the peers'; empty where the run was not benchmarked."""
    parts = [(result.latency or {}).get(key) for key in ("aa_rows", "rows")]
    return [row for part in parts if isinstance(part, list) for row in part if isinstance(row, dict)]


def remarks(result: Result) -> list[str]:
    """What the benchmark itself says in words, and which engines it could not measure."""
    found = result.latency or {}
    sentences, absent = found.get("sentences"), found.get("absent")
    lines = [str(line) for line in sentences] if isinstance(sentences, list) else []
    if isinstance(absent, dict):
        lines += [f"{engine} was not measured: {reason}" for engine, reason in absent.items()]
    return [text.clip(line, 300) for line in lines[:20]]


def bars(result: Result) -> list[tuple[str, float]]:
    """(engine and conditions, median in ms) of every row with a median."""
    timed = ((row, _positive(row, "ms_median")) for row in bench_rows(result))
    return [(f"{text.clip(_engine(row), 40)}, {_conditions(row)}", ms) for row, ms in timed if ms is not None]


def latencies(result: Result) -> list[Latency]:
    """One entry for each of Kompakt's own rows."""
    rows = bench_rows(result)
    own = ((row, _positive(row, "ms_median")) for row in rows if _engine(row) == OWN)
    return [_beside_peers(row, ms, rows) for row, ms in own if ms is not None]


def _beside_peers(own: BenchRow, own_ms: float, rows: Sequence[BenchRow]) -> Latency:
    peers = [row for row in rows if _engine(row) != OWN and _conditions(row) == _conditions(own)]
    floats = [row for row in peers if any(word in _engine(row) for word in FLOAT_ENGINES)]
    timed = [(ms, i) for i, row in enumerate(floats) if (ms := _positive(row, "ms_median")) is not None]
    float_ms, best = min(timed, default=(None, None))
    ratios = [(ratio, _engine(row)) for row in peers if (ratio := _positive(row, "ratio")) is not None]
    return Latency(
        conditions=_conditions(own),
        own_ms=own_ms,
        float_engine="" if best is None else text.clip(_engine(floats[best]), 40),
        float_ms=float_ms,
        float_ratio=None if best is None else _positive(floats[best], "ratio"),
        faster=tuple(sorted(pair for pair in ratios if pair[0] < 1)),
    )


def _positive(row: BenchRow, key: str) -> float | None:
    value = row.get(key)
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    return float(value) if 0 < value < LARGEST else None


def _engine(row: BenchRow) -> str:
    return str(row.get("engine", ""))


def _conditions(row: BenchRow) -> str:
    threads = text.clip(row.get("threads", "?"), 10)
    return f"{threads} thread{'' if threads == '1' else 's'}, batch {text.clip(row.get('batch', '?'), 10)}"
