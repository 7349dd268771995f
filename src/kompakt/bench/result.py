"""What a benchmark found: rows, one per engine, thread count and batch size, and the machine it ran on."""

from __future__ import annotations

import json
import math
import os
from dataclasses import dataclass, field
from typing import Any

from .._core.files import atomic_write
from ._statistics import Ratio

AA_LIMIT = 0.10  # an A/A band that leaves 1 by more than this makes its setting uninformative
TELL_APART = 0.02  # smaller differences are not called faster or slower, however small the band
OURS = "kompakt"
_TIMES = ("ms_p10", "ms_median", "wall_ms_median")


@dataclass(frozen=True)
class Row:
    """One engine at one setting against ours, measured in alternation.

    Attributes:
        engine: a name of `peers.PEERS`, or "kompakt" for our engine against a second instance of itself.
        clock: "cpu" (process time, one thread) or "wall"; `ms_p10`, `ms_median` and `ratio` are of this clock.
        ratio: time of `engine` divided by ours, over paired rounds; above 1 ours is faster.
        snr_db: output against the float module in torch, signal to noise.
    """

    engine: str
    threads: int
    batch: int
    clock: str
    ms_p10: float
    ms_median: float
    wall_ms_median: float
    ratio: Ratio
    snr_db: float

    def to_dict(self) -> dict[str, Any]:
        return {
            "engine": self.engine,
            "threads": self.threads,
            "batch": self.batch,
            "clock": self.clock,
            "ms_p10": _digits(self.ms_p10),
            "ms_median": _digits(self.ms_median),
            "wall_ms_median": _digits(self.wall_ms_median),
            "ratio": _digits(self.ratio.median),
            "ratio_band": [_digits(bound) for bound in self.ratio.band],
            "ratio_interval": [_digits(bound) for bound in self.ratio.interval],
            "snr_db": None if math.isinf(self.snr_db) else round(self.snr_db, 1),
        }

    @classmethod
    def from_dict(cls, content: dict[str, Any]) -> Row:
        """A row as `to_dict` wrote it. Raises: KeyError, TypeError."""
        plain = {key: content[key] for key in ("engine", "threads", "batch", "clock", *_TIMES)}
        (low, high), (first, last) = content["ratio_band"], content["ratio_interval"]
        snr = math.inf if content["snr_db"] is None else content["snr_db"]
        return cls(**plain, ratio=Ratio(content["ratio"], (low, high), (first, last)), snr_db=snr)


@dataclass(frozen=True)
class BenchResult:
    """Everything one benchmark run found.

    Attributes:
        net: name of the network in the file.
        isa: instruction set level our engine ran on.
        file: name, bytes and digest of the measured file.
        rows: peers. own: our engine against itself, one row per setting (the A/A rows).
        absent: engine -> why it was not measured.
        how: engine -> what exactly ran.
        settings: rounds and seconds per pair.
        bits: word of bit-widths where the file was packed for this benchmark, untrained; empty for a file.
        hidden: CPU feature that was hidden from all engines ("amx", "avx512"), then family of
            engines -> by what; empty for none.
    """

    net: str
    isa: str
    file: dict[str, Any]
    rows: tuple[Row, ...]
    own: tuple[Row, ...]
    absent: dict[str, str] = field(default_factory=dict)
    how: dict[str, str] = field(default_factory=dict)
    settings: dict[str, Any] = field(default_factory=dict)
    machine: dict[str, Any] = field(default_factory=dict)
    bits: str = ""
    hidden: dict[str, str] = field(default_factory=dict)

    @property
    def aa_ratio(self) -> float | None:
        """The A/A ratio farthest from 1 among all settings; None before the first."""
        if not self.own:
            return None
        return max((row.ratio.median for row in self.own), key=lambda ratio: abs(math.log(ratio)))

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON values; `sentences` say in words what the rows say."""
        return {
            "net": self.net,
            "bits": self.bits,
            "isa": self.isa,
            "hidden": self.hidden,
            "rows": [row.to_dict() for row in self.rows],
            "aa_ratio": None if self.aa_ratio is None else _digits(self.aa_ratio),
            "aa_rows": [row.to_dict() for row in self.own],
            "sentences": sentences(self),
            "absent": self.absent,
            "how": self.how,
            "file": self.file,
            "settings": self.settings,
            "machine": self.machine,
        }

    @classmethod
    def from_dict(cls, content: dict[str, Any]) -> BenchResult:
        """A result as `to_dict` wrote it. Raises: KeyError, TypeError."""
        plain = ("net", "bits", "isa", "hidden", "absent", "how", "file", "settings", "machine")
        rows, own = (tuple(map(Row.from_dict, content[key])) for key in ("rows", "aa_rows"))
        return cls(rows=rows, own=own, **{key: content[key] for key in plain})


def save(result: BenchResult, path: str | os.PathLike[str]) -> None:
    """Write the result as JSON, whole or not at all. Raises: StorageError."""
    atomic_write(path, (json.dumps(result.to_dict(), indent=1, allow_nan=False) + "\n").encode())


def is_informative(own: Row) -> bool:
    """Whether our engine against itself was steady enough for its setting to say anything."""
    low, high = own.ratio.band
    return max(abs(low - 1), abs(high - 1)) <= AA_LIMIT


def sentences(result: BenchResult) -> list[str]:
    """One sentence per setting: whom ours is slower or faster than, or that the run says nothing."""
    return [_sentence(own, [row for row in result.rows if _setting(row) == _setting(own)]) for own in result.own]


def _sentence(own: Row, peers: list[Row]) -> str:
    threads = f"{own.threads} thread{'s' if own.threads != 1 else ''}"
    where = f"{threads}, batch {own.batch}: "
    low, high = own.ratio.band
    if not is_informative(own):
        return (
            f"{where}uninformative, the engine against itself gave {low:.2f} to {high:.2f} "
            f"(limit {1 - AA_LIMIT:.2f} to {1 + AA_LIMIT:.2f}); repeat on a quieter machine."
        )
    if not peers:
        return f"{where}no peer was measured."
    slower = [_against(row) for row in peers if row.ratio.interval[1] < min(low, 1 - TELL_APART)]
    faster = [_against(row) for row in peers if row.ratio.interval[0] > max(high, 1 + TELL_APART)]
    undecided = [text for text in map(_against, peers) if text not in slower + faster]
    parts = [f"slower than {', '.join(slower)}"] if slower else ["slower than none"]
    parts += [f"faster than {', '.join(faster)}"] if faster else []
    parts += [f"not told apart from {', '.join(undecided)}"] if undecided else []
    return f"{where}Kompakt is {'; '.join(parts)}."


def _against(row: Row) -> str:
    return f"{row.engine} ({row.ratio.median:.2f}x)"


def _setting(row: Row) -> tuple[int, int]:
    return row.threads, row.batch


def _digits(value: float) -> float:
    """Four significant digits: more would pretend a precision that no clock here has."""
    return float(f"{value:.4g}")
