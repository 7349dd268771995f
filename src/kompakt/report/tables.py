"""Tables that are shown, sorted and downloaded from one description."""

from __future__ import annotations

import csv
import io
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote

from . import text
from .curve import Curve
from .facts import comparison
from .latency import bench_rows
from .model import Layer, Result


@dataclass(frozen=True)
class Cell:
    """`shown` to people; `value` is sorted by and written to CSV (None: not measured)."""

    shown: str
    value: float | str | None


@dataclass(frozen=True)
class Table:
    """`columns` are headings with their unit, `numeric` tells which hold numbers; `name` is the CSV file's name."""

    name: str
    caption: str
    columns: tuple[str, ...]
    numeric: tuple[bool, ...]
    rows: tuple[tuple[Cell, ...], ...]

    @property
    def csv(self) -> str:
        """The table as CSV text, ASCII where Kompakt wrote it, unmeasured cells empty."""
        stream = io.StringIO()
        writer = csv.writer(stream, lineterminator="\r\n")
        writer.writerow(text.plain(column) for column in self.columns)
        writer.writerows([_csv_value(cell.value) for cell in row] for row in self.rows)
        return stream.getvalue()

    @property
    def csv_link(self) -> str:
        """The CSV as a `data:` address: the download needs neither network nor script."""
        return "data:text/csv;charset=utf-8," + quote(self.csv.encode("utf-8", "replace"), safe=" ,.-_()")


def _csv_value(value: float | str | None) -> str:
    if value is None:
        return ""
    if isinstance(value, str):
        # A spreadsheet would run a text that begins like a formula; layer names come from outside.
        return "'" + value if value[:1] in {"=", "+", "-", "@", "\t", "\r"} else value
    return f"{value:.0f}" if value == round(value) else repr(value)


def word(value: object) -> Cell:
    """A text cell."""
    return Cell(text.DASH if value is None else text.clip(value), None if value is None else text.clip(value, 1000))


def layer_table(layers: list[Layer]) -> Table:
    """Every number of every layer."""
    columns = (
        "layer",
        "number",
        "kind",
        "shape",
        "parameters",
        "MACs",
        "BOPs",
        "weight bits",
        "activation bits",
        "method",
        "packed (B)",
        "float (B)",
        "ratio",
        "weight error",
        "snap error",
        "kernel",
    )
    words = {"layer", "kind", "shape", "method", "kernel"}
    return Table(
        "layers",
        "All layers",
        columns,
        tuple(c not in words for c in columns),
        tuple(_layer_cells(i, layer) for i, layer in enumerate(layers, 1)),
    )


def _layer_cells(index: int, layer: Layer) -> tuple[Cell, ...]:
    packed, full = layer.packed_bytes, layer.float_bytes
    return (
        word(layer.name),
        Cell(str(index), index),
        word(layer.op),
        word(shape_text(layer.shape)),
        Cell(text.count(layer.params), layer.params),
        Cell(text.short(layer.macs), layer.macs),
        Cell(text.short(layer.bops), layer.bops),
        Cell(text.bits(layer.weight_bits), layer.weight_bits),
        Cell(text.bits(layer.activation_bits), layer.activation_bits),
        word(layer.method),
        Cell(text.count(packed), packed),
        Cell(text.count(full), full),
        Cell(text.ratio(full, packed), full / packed if full is not None and packed else None),
        Cell(text.number(layer.weight_error), layer.weight_error),
        Cell(text.number(layer.snap_error), layer.snap_error),
        word(layer.kernel),
    )


def shape_text(shape: list[int] | None) -> str | None:
    """`[16, 3, 3, 3]` -> `16 × 3 × 3 × 3`."""
    return None if shape is None else f" {text.TIMES} ".join(str(n) for n in shape[:8])


def comparison_table(result: Result) -> Table:
    """Before and after, as in the terminal."""
    lines = ((row.label, row.before, row.after, row.change, row.note) for row in comparison(result))
    rows = tuple(tuple(Cell(shown, text.plain(shown)) for shown in line) for line in lines)
    return Table("before-after", "Before and after", ("", "before", "after", "change", "meaning"), (False,) * 5, rows)


def section_table(result: Result) -> Table:
    """Bytes of the file by section, largest first."""
    parts = sorted(((n, v) for n, v in result.sections.items() if v is not None), key=lambda item: -item[1])
    rows = tuple(
        (
            word(name),
            Cell(text.count(value), value),
            Cell(text.share(value, result.file_bytes), 100 * value / result.file_bytes),
            word(SECTION_MEANING.get(name, "")),
        )
        for name, value in parts
    )
    return Table(
        "sections",
        "File bytes by section",
        ("section", "bytes (B)", "share (%)", "holds"),
        (False, True, True, False),
        rows,
    )


SECTION_MEANING = {
    "codes": "packed weight codes",
    "bases": "bases and level tables of the weights",
    "floats": "scales, offsets and float weights",
    "thresholds": "integer thresholds of activations",
    "directions": "directions of thresholds",
    "manifest": "graph, shapes, digests",
    "metadata": "versions, seed, recipe name",
    "header": "table of contents",
}


def curve_table(curve: Curve) -> Table:
    """The drawn points of the training curve."""
    loss, accuracy = dict(curve.loss), dict(curve.accuracy)
    positions = sorted({x for x, _ in curve.loss + curve.accuracy})
    rows = tuple(
        (
            Cell(text.number(x), x),
            Cell(text.number(loss.get(x)), loss.get(x)),
            Cell(text.percent(accuracy.get(x)), accuracy.get(x)),
        )
        for x in positions
    )
    return Table("training", "Training", (curve.unit, "loss", "validation accuracy (%)"), (True,) * 3, rows)


def skipped_table(result: Result) -> Table:
    """Layers left alone, and why."""
    rows = tuple((word(item.name), word(item.reason)) for item in result.skipped or [])
    return Table("skipped", "Layers skipped", ("layer", "reason"), (False, False), rows)


def bench_table(result: Result) -> Table:
    """The benchmark rows as measured: the columns are those that the first row has."""
    bench = bench_rows(result)
    keys = [str(key) for key in (bench[0] if bench else ())][:12]
    columns = tuple(BENCH_HEADING.get(key, key) for key in keys)
    is_number = tuple(all(_is_number(row.get(key)) for row in bench) for key in keys)
    rows = tuple(tuple(_bench_cell(row.get(key)) for key in keys) for row in bench)
    return Table("latency", "Latency", columns, is_number, rows)


BENCH_HEADING = {
    "ms_p10": "10th percentile (ms)",
    "ms_median": "median (ms)",
    "ms_p90": "90th percentile (ms)",
    "wall_ms_median": "median, wall (ms)",
    "ratio_band": "ratio, 10-90 % band",
    "ratio_interval": "ratio, 95 % interval",
    "snr_db": "SNR (dB)",
}


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and abs(value) < 1e18


def _bench_cell(value: Any) -> Cell:
    if _is_number(value):
        return Cell(text.number(value), float(value))
    if isinstance(value, list) and all(_is_number(item) for item in value):
        return word(" to ".join(text.number(item) for item in value))
    return word(value)
