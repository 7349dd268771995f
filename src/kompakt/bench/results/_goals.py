"""Goals of speed beside what was measured, a column for each kind of processor."""

from __future__ import annotations

from collections.abc import Sequence

from ._markdown import MISSING, table
from ._records import BenchRecord, BenchRow, FigureRecord, Goal

COLUMNS = {"amx": "AMX", "avx512": "AVX-512, no AMX", "avx2": "AVX2 only"}


def column(record: BenchRecord) -> str | None:
    """The kind of processor that all engines of a benchmark saw; None where ours alone was held back."""
    features = set(record.machine.get("features", []))
    hidden = record.hidden.get("features")
    if hidden == "avx512" or not any(name.startswith("avx512") for name in features):
        seen = "avx2"
    else:
        seen = "amx" if "amx_int8" in features and hidden != "amx" else "avx512"
    return seen if record.isa == seen else None


def goals_section(goals: Sequence[Goal], records: Sequence[BenchRecord]) -> str:
    """A line per goal, a cell per processor."""
    header = ("goal", "threads>", "batch>", *COLUMNS.values())
    rows = [
        [goal.goal, str(goal.threads), str(goal.batch), *(_cell(goal, name, records) for name in COLUMNS)]
        for goal in goals
    ]
    return table(header, rows)


def missed_goals(goals: Sequence[Goal], records: Sequence[BenchRecord]) -> list[str]:
    """A sentence per goal that was measured and missed, with the bound."""
    lines = []
    for goal in goals:
        for name, wanted in goal.ratio.items():
            best = best_row(goal, name, records)
            if best is not None and best.ratio < wanted:
                bound = goal.bounds.get(name, "no bound was found yet.")
                lines.append(f"{goal.goal}, {COLUMNS[name]}: {best.ratio:.2f}x instead of {wanted:g}x. Bound: {bound}")
    return lines


def best_row(goal: Goal, processor: str, records: Sequence[BenchRecord]) -> BenchRow | None:
    """The row of the fastest of the goal's peers on that processor, of the latest fitting record."""
    fitting = [r for r in records if (r.net, r.bits, column(r)) == (goal.net, goal.bits, processor)]
    rows = [
        row
        for record in fitting
        for row in record.rows
        if row.engine in goal.against and (row.threads, row.batch) == (goal.threads, goal.batch)
    ]
    return min(rows, key=lambda row: row.ratio, default=None)


def _cell(goal: Goal, processor: str, records: Sequence[BenchRecord]) -> str:
    wanted = goal.ratio.get(processor)  # type: ignore[call-overload]
    best = best_row(goal, processor, records)
    if best is None:
        return MISSING if wanted is None else f"not measured (goal {wanted:g}x)"
    if wanted is None:
        return f"{best.ratio:.2f}x {best.engine}"
    verdict = "reached" if best.ratio >= wanted else "**missed**"
    return f"{best.ratio:.2f}x {best.engine}; goal {wanted:g}x: {verdict}"


def figures_section(figures: Sequence[FigureRecord]) -> str:
    """Kompakt's own figures: size, start, overhead, threads."""
    header = ("figure", "value>", "10-90 %", "goal", "", "measured as", "processor")
    return table(header, [_figure(record) for record in sorted(figures, key=lambda f: (f.name, f.isa, f.machine))])


def missed_figures(figures: Sequence[FigureRecord]) -> list[str]:
    """A sentence per figure that misses its goal."""
    return [
        f"{record.name}: {record.value:g} {record.unit} instead of {record.relation} {record.goal:g} {record.unit}."
        + (f" Bound: {record.bound}" if record.bound else "")
        for record in figures
        if not record.is_reached
    ]


def _figure(record: FigureRecord) -> list[str]:
    band = f"{record.band[0]:g} to {record.band[1]:g}" if record.band else MISSING
    goal = MISSING if record.goal is None else f"{record.relation} {record.goal:g} {record.unit}"
    verdict = MISSING if record.goal is None else "reached" if record.is_reached else "**missed**"
    where = ", ".join(part for part in (record.isa, record.machine) if part)
    return [record.name, f"{record.value:g} {record.unit}", band, goal, verdict, record.how, where]
