"""What a training step costs: the table on the results page, and the cases that the benchmark draws from the tables."""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from kompakt._core.errors import DataError
from kompakt.bench.results import render_results
from kompakt.quant import METHODS
from kompakt.strategy import builtin_recipes, load_recipe

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(scope="module")
def benchmark() -> ModuleType:
    spec = importlib.util.spec_from_file_location("training_step", ROOT / "benchmarks" / "training_step.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules["training_step"] = module  # its dataclasses look there
    spec.loader.exec_module(module)
    return module


def record(**changes: Any) -> dict[str, Any]:
    return {
        "method": "lsq", "recipe": "w2a2-lsq", "net": "resnet20", "bits": "W2 A2", "threads": 1, "ms": 250.0,
        "float_ms": 200.0, "ratio": 1.25, "ratio_band": [1.2, 1.3], "aa_ratio": 1.0, "aa_band": [0.98, 1.02],
        "goal": 1.4, "remark": "",
    } | changes  # fmt: skip


def page(*records: dict[str, Any]) -> str:
    return render_results([], [], training_records=list(records))


def test_a_step_stands_beside_the_step_without_quantizers() -> None:
    section = page(record()).split("## Cost of a training step")[1]
    assert (
        "| lsq | w2a2-lsq | resnet20 | W2 A2 | 1 | 200 | 250 | 1.25 | 1.20 to 1.30 | 1.00 | 0.98 to 1.02 |" in section
    )
    assert "| 1.4: reached | - |" in section


def test_a_dear_step_is_listed_as_missed() -> None:
    text = page(record(ratio=1.55), record(method="searching", ratio=2.0, goal=None, remark="a search"))
    assert "1.4: **missed**" in text
    assert "* training step of lsq: 1.55 times the step without quantizers instead of 1.4." in text
    assert "training step of searching" not in text
    assert "| - | a search |" in text


def test_a_record_without_its_ratio_is_refused() -> None:
    with pytest.raises(DataError, match="record 0: ratio"):
        page({key: value for key, value in record().items() if key != "ratio"})


def test_every_method_that_a_recipe_trains_has_a_case(benchmark: ModuleType) -> None:
    cases = benchmark.cases()
    trained = [load_recipe(path) for path in (*builtin_recipes().values(), *ROOT.glob("recipes/*.toml"))]
    assert {recipe.stage[0].method for recipe in trained if recipe.train.epochs} <= set(cases) <= set(METHODS)
    for name, case in cases.items():
        stage = case.recipe.stage[0]
        assert name in (stage.method, stage.method_of_activations)
        assert {METHODS[name].rule} & set(benchmark.INNER_LOOPS) == set() or case.remark
    assert {"lsq_channel", "pact_plus", "sawb_zero", "syq_row"} <= set(cases), "the same rule in another's place"


def test_a_method_that_searches_while_it_trains_says_so(benchmark: ModuleType) -> None:
    assert "least squares" in benchmark.cases()["lq_nets"].remark
    assert benchmark.cases()["lsq"].remark == ""


def test_committed_records_are_of_cases(benchmark: ModuleType) -> None:
    assert {path.stem for path in ROOT.glob("benchmarks/training/*.json")} <= set(benchmark.cases())
