"""Goals of speed beside what was measured: the right row on the right kind of processor, misses with their bound."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from kompakt._core.errors import DataError
from kompakt.bench import PEERS
from kompakt.bench.results import render_results
from kompakt.bench.results._goals import column
from kompakt.bench.results._records import BenchRecord, Goal, parse
from kompakt.zoo import NETS

from . import examples

ROOT = Path(__file__).resolve().parents[2]
GOAL = {
    "goal": "tiny against int8", "net": "tiny", "bits": "w2a2", "against": ["openvino:int8", "onnxruntime:int8"],
    "ratio": {"avx512": 1.5, "avx2": 1.2}, "bounds": {"avx2": "memory: 90 % of a plain read"},
}  # fmt: skip


def bench(isa: str = "avx512", features: tuple[str, ...] = ("avx2", "avx512f"), **changes: Any) -> dict[str, Any]:
    rows = [examples.row("openvino:int8", 1.4), examples.row("onnxruntime:int8", 1.6), examples.row("torch:eager", 1.1)]
    found = examples.result(*rows, bits="w2a2").to_dict() | {"isa": isa} | changes
    return found | {"machine": {"cpu": "A processor", "features": list(features)}}


def goal_line(*records: dict[str, Any]) -> str:
    page = render_results([], list(records), [GOAL])
    return next(line for line in page.splitlines() if line.startswith("| tiny against int8"))


def test_the_fastest_of_the_peers_decides() -> None:
    assert goal_line(bench()) == (
        "| tiny against int8 | 1 | 1 | - | 1.40x openvino:int8; goal 1.5x: **missed** | not measured (goal 1.2x) |"
    )


def test_a_miss_is_a_sentence_with_its_bound() -> None:
    lesser = bench(isa="avx2", hidden={"features": "avx512"})
    lesser["rows"][0]["ratio"] = 1.1
    page = render_results([], [bench(), lesser], [GOAL])
    short = page.split("## Not reached")[1]
    assert "* tiny against int8, AVX-512, no AMX: 1.40x instead of 1.5x. Bound: no bound was found yet." in short
    assert "* tiny against int8, AVX2 only: 1.10x instead of 1.2x. Bound: memory: 90 % of a plain read" in short


@pytest.mark.parametrize(
    ("isa", "features", "hidden", "expected"),
    [
        ("avx512", ("avx2", "avx512f"), {}, "avx512"),
        ("avx512", ("avx2", "avx512f", "amx_int8"), {}, None),  # ours was held back, the others were not
        ("amx", ("avx2", "avx512f", "amx_int8"), {}, "amx"),
        ("avx512", ("avx2", "avx512f", "amx_int8"), {"features": "amx"}, "avx512"),
        ("avx2", ("avx2", "avx512f"), {"features": "avx512"}, "avx2"),
        ("avx2", ("avx2", "avx512f"), {}, None),
        ("avx2", ("avx2",), {}, "avx2"),
        ("portable", ("avx2",), {}, None),
    ],
)
def test_kinds_of_processors(isa: str, features: tuple[str, ...], hidden: dict, expected: str | None) -> None:
    (record,) = parse([bench(isa, features, hidden=hidden)], BenchRecord)
    assert column(record) == expected


def test_figures_with_their_goals() -> None:
    figure = {"name": "wheel", "value": 0.4, "unit": "MB", "goal": 2.0, "machine": "A processor"}
    slow = {"name": "start", "value": 0.3, "unit": "s", "goal": 0.25, "bound": "imports", "band": [0.2, 0.4]}
    fast = {"name": "threads", "value": 1.7, "unit": "x", "relation": ">=", "goal": 1.6}
    page = render_results([], [], [], [figure, slow, fast])
    assert "| wheel | 0.4 MB | - | <= 2 MB | reached | - | A processor |" in page
    assert "| start | 0.3 s | 0.2 to 0.4 | <= 0.25 s | **missed** |" in page
    assert "| threads | 1.7 x | - | >= 1.6 x | reached |" in page
    assert "* start: 0.3 s instead of <= 0.25 s. Bound: imports" in page


def test_unknown_keys_of_a_goal_are_refused() -> None:
    with pytest.raises(DataError, match="record 0: rati"):
        render_results([], [], [{**GOAL, "rati": 1}])


def test_committed_goals_name_networks_and_peers_that_exist() -> None:
    for goal in parse(json.loads((ROOT / "benchmarks/goals.json").read_text()), Goal):
        assert goal.net in NETS
        assert set(goal.against) <= set(PEERS), goal.goal
