"""The guide to methods: its figures are those of the records, its choices the best of them."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

from kompakt.bench.results import guide
from kompakt.bench.results._choice import by_bits, by_network, by_processor, by_size, trained_at
from kompakt.bench.results._entries import Entry, entries
from kompakt.bench.results._guide import NOT_MEASURED, render_guide
from kompakt.bench.results._records import AccuracyRecord, BenchRecord, parse
from kompakt.quant import METHODS
from kompakt.strategy import builtin_recipes

from . import examples

ROOT = Path(__file__).resolve().parents[2]
TEMPLATE = (ROOT / "src/kompakt/bench/results/which_method.md.j2").read_text()


def found(*records: dict[str, Any]) -> list[Entry]:
    return entries(parse(list(records), AccuracyRecord))


def run(recipe: str, top1: float, size: int, **changes: Any) -> dict[str, Any]:
    """A network of 1,000,000 float bytes whose file has `size` bytes."""
    numbers = {"engine_top1": top1, "float_top1": 92.0, "float_bytes": 1_000_000, "file_bytes": size}
    return examples.accuracy(recipe=recipe, **{**numbers, **changes})


def test_the_committed_guide_is_what_the_committed_records_give() -> None:
    assert (ROOT / "docs/which-method.md").read_text() == guide(ROOT), "run `kompakt results`"


def test_every_figure_of_the_text_has_its_record() -> None:
    named = re.findall(r'figure\("([^"]+)"\)', TEMPLATE)
    assert len(named) > 10
    assert [name for name in named if not list(ROOT.glob(f"results/{name}-seed*.json"))] == []


def test_recipes_and_methods_of_the_text_exist() -> None:
    words = set(re.findall(r"`([a-z][a-z0-9_-]+)`", TEMPLATE))
    settings = {"first_last", "activation_method", "mean_bits", "step", "finish"}
    recipes = {word for word in words if word not in METHODS and word not in settings}
    assert recipes <= set(builtin_recipes()), recipes - set(builtin_recipes())
    assert {"lsq", "lq_nets", "syq", "bit_pruning", "dp_net_trained"} <= words


def test_no_records_leave_a_guide_without_figures() -> None:
    page = render_guide([], [])
    assert NOT_MEASURED in page
    assert " %" not in page.split("## Without training")[1].split("## With training")[0]


def test_a_size_names_the_most_accurate_file_that_is_small_enough() -> None:
    table = by_size(found(
        run("a8", 91.9, 250_000, protocol="ptq"), run("a4", 91.0, 130_000, protocol="ptq"), run("q2", 90.0, 80_000),
        run("q3", 91.5, 120_000),
    ))  # fmt: skip
    rows = {line.split(" | ")[0]: line for line in table.splitlines()[2:]}
    assert rows["| 3.5x"] == (
        "| 3.5x | `a8` | W2 A2 | 91.90 % (-0.10), 4.0x smaller | `q3` | W2 A2 | 91.50 % (-0.50), 8.3x smaller |"
    )
    assert "`a4`" in rows["| 7x"]
    assert rows["| 10x"] == "| 10x | - | - | - | `q2` | W2 A2 | 90.00 % (-2.00), 12.5x smaller |"
    assert "| 15x" not in rows


def test_trained_networks_stand_by_bits_and_the_best_comes_first() -> None:
    bits = {"weights": 2, "activations": 2, "first_last": 8}
    records = found(
        run("w4", 91.8, 200_000, bits=bits | {"weights": 4, "activations": 4}), run("worse", 89.0, 80_000, bits=bits),
        run("better", 90.0, 80_000, bits=bits), run("untrained", 91.0, 80_000, bits=bits, protocol="ptq"),
        run("learned", 91.0, 90_000, bits=bits | {"weights": "mixed"}, mean_bits={"weights": 2.7, "activations": 3.0}),
    )  # fmt: skip
    assert re.findall(r"`(\w+)`", by_bits(records)) == ["better", "worse", "learned", "w4"]
    assert "| W mixed A2 (2.7 / 3.0 on average) |" in by_bits(records)
    best = trained_at(records, "2", "2")
    assert best is not None
    assert best.first.recipe == "better"
    assert trained_at(records, "3", "3") is None


def test_a_network_names_its_smallest_file_that_keeps_the_accuracy() -> None:
    eight = {"weights": 8, "activations": 8, "first_last": 8}
    table = by_network(found(
        run("int8", 91.9, 250_000, protocol="ptq", bits=eight), run("w4", 91.6, 130_000, protocol="ptq"),
        run("w2", 89.0, 80_000), run("chance", 98.0, 10_000, model="zoo:untrained", float_top1=None),
    ))  # fmt: skip
    (row,) = table.splitlines()[2:]
    assert row == (
        "| cifar10-resnet20 | 92.00 | 91.90 % (-0.10), 4.0x smaller | `w4` | 91.60 % (-0.40), 7.7x smaller |"
    )


def test_processors_and_bits_are_rows_and_columns() -> None:
    def bench(bits: str, ratio: float) -> dict[str, Any]:
        return examples.result(examples.row("onnxruntime:fp32", ratio)).to_dict() | {"bits": bits}

    table = by_processor(parse([bench("w2a2", 5.0), bench("w8a8", 2.0), bench("", 9.0)], BenchRecord)).splitlines()
    assert table[0] == "| network | processor | W8 A8 | W2 A2 |"
    assert table[2:] == ["| tiny | AVX2 only | 2.0 | 5.0 |"]
