"""The results page: generated, in one order, with every shortfall on it; and equal to the committed one."""

from __future__ import annotations

import json
import random
from pathlib import Path

import pytest

from kompakt._core.errors import DataError
from kompakt.bench.results import accuracy_record, generate, render_results, update

from . import examples

ROOT = Path(__file__).resolve().parents[2]


def lines_with(page: str, text: str) -> list[str]:
    return [line for line in page.splitlines() if text in line]


def test_the_committed_page_is_what_the_committed_records_give() -> None:
    records = [*ROOT.glob("results/*.json"), *ROOT.glob("benchmarks/results/*.json")]
    if not records:
        pytest.skip("no result records are committed yet")
    assert (ROOT / "docs/results.md").read_text() == generate(ROOT)


def test_no_records_give_a_page_that_says_so() -> None:
    page = render_results([], [])
    assert page.count("No records yet.") == 2
    assert page.endswith("Nothing.\n")


def test_order_of_records_does_not_matter() -> None:
    runs = [examples.accuracy(recipe=recipe, seeds=[seed]) for recipe in ("a", "b", "c") for seed in (0, 1, 2)]
    benches = [
        examples.result(examples.row("torch:eager", ratio)).to_dict() | {"net": f"n{ratio}"} for ratio in (1, 2, 3)
    ]
    page = render_results(runs, benches)
    for seed in range(5):
        shuffle = random.Random(seed).shuffle
        shuffle(runs)
        shuffle(benches)
        assert render_results(runs, benches) == page


def test_a_single_seed_is_called_too_few() -> None:
    line = lines_with(render_results([examples.accuracy()], []), "| w2a2 | zoo")[0]
    assert "| 1 (too few for a spread) |" in line
    assert "| W2 A2; first/last 8 |" in line
    assert "| 91.73 | 89.90 | -1.83 |" in line
    assert "| 90.20 | A paper, table 1 |" in line


def test_seeds_are_one_line_with_their_spread() -> None:
    runs = [examples.accuracy(seeds=[seed], engine_top1=top1) for seed, top1 in enumerate((89.0, 90.0, 91.6))]
    page = render_results(runs, [])
    assert "| 3 | 91.73 | 90.20 (89.00 to 91.60) |" in lines_with(page, "| w2a2 | zoo")[0]
    assert "points below the published" not in page


def test_one_record_may_hold_several_seeds() -> None:
    page = render_results([examples.accuracy(seeds=[0, 1, 2], engine_top1=[89.0, 90.0, 91.6])], [])
    assert "| 3 | 91.73 | 90.20 (89.00 to 91.60) |" in lines_with(page, "| w2a2 | zoo")[0]


@pytest.mark.parametrize(("goal", "cell"), [(89.0, "89.00: reached"), (90.5, "90.50: missed by 0.60"), (None, "-")])
def test_goals_stay_in_the_table(goal: float | None, cell: str) -> None:
    page = render_results([examples.accuracy(goal_top1=goal)], [])
    assert f"| {cell} | 90.20 |" in lines_with(page, "| w2a2 | zoo")[0]
    assert ("0.60 points short of its goal" in page) == (goal == 90.5)


def test_everything_not_reached_is_listed() -> None:
    bench = examples.result(examples.row("openvino:int8", 0.5), examples.row("onnxruntime:int8", 0.99)).to_dict()
    short = render_results([examples.accuracy()], [bench]).split("## Not reached")[1].split("## Runs")[0]
    assert "w2a2: 0.30 points below the published 90.20 %." in short
    assert "tiny, avx2, threads 1, batch 1: 2.00 times the time of openvino:int8." in short
    assert "onnxruntime:int8" not in short  # too close to tell apart


def test_sizes_and_their_parts() -> None:
    line = lines_with(render_results([examples.accuracy()], []), "1,092,520")[0]
    assert line == "| w2a2 | zoo:cifar10-resnet20 | 1,092,520 | 87,504 | 12.5 | 70,000 | 4,000 | 40.6 | 300.0 |"


def test_speed_table_begins_with_the_own_row_and_names_machine_and_absent() -> None:
    bench = examples.result(
        examples.row("onnxruntime:int8", 1.1), absent={"openvino:int8": "not installed: pip install openvino"}
    ).to_dict()
    section = render_results([], [bench]).split("## Speed")[1]
    rows = [line for line in section.splitlines() if line.startswith("| ")]
    assert [row.split(" | ")[0] for row in rows[2:]] == ["| Kompakt against itself (A/A)", "| onnxruntime:int8"]
    assert "### tiny, avx2, A processor" in section
    assert "* openvino:int8: not installed: pip install openvino" in section
    assert "versions kompakt 0.1.0" in section


def test_text_cannot_break_a_table() -> None:
    record = examples.accuracy(published={"value": 90.2, "source": "a | b\nc"})
    assert r"| a \| b c |" in render_results([record], [])


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"engine_top1": None}, "record 0: engine_top1"),
        ({"engine_top1": 101.0}, "record 0: engine_top1.0: Input should be less than or equal to 100, got '101.0'"),
        ({"bits": 2}, "record 0: bits"),
        ({"seeds": []}, "record 0: seeds"),
        ({"seeds": [0, 1]}, "record 0: record: .*one accuracy per seed"),
    ],
)
def test_records_that_are_not_records_are_refused(changes: dict, message: str) -> None:
    with pytest.raises(DataError, match=message):
        render_results([examples.accuracy(**changes)], [])


def test_update_writes_the_page_and_names_a_bad_file(tmp_path: Path) -> None:
    (tmp_path / "results").mkdir()
    (tmp_path / "results" / "a.json").write_text(json.dumps(examples.accuracy()))
    page = update(tmp_path)
    assert page == tmp_path / "docs/results.md"
    assert page.read_text() == render_results([examples.accuracy()], [])
    (tmp_path / "results" / "b.json").write_text("{}")
    with pytest.raises(DataError, match=r"b\.json: system: Field required"):
        update(tmp_path)
    (tmp_path / "results" / "b.json").write_text("{")
    with pytest.raises(DataError, match=r"b\.json: not JSON"):
        update(tmp_path)


def run_result() -> dict:
    rows = [
        {"engine": "torch:eager", "threads": 1, "batch": batch, "ratio": ratio} for batch, ratio in ((1, 8.0), (8, 3.0))
    ]
    return {
        "name": "w2a2-lq", "model": "zoo:cifar10-resnet20", "dataset": "cifar10", "method": "lq_nets",
        "bits": {"weights": 2, "activations": 2}, "protocol": "short", "seed": 3, "train_s": 10.0,
        "float": {"top1": 91.73, "bytes": 1_092_520}, "engine": {"top1": 89.9, "images": 10_000}, "file_bytes": 87_504,
        "sections": {"codes": 70_000}, "bops": 1, "macs": 2, "published": None, "latency": {"rows": rows},
    }  # fmt: skip


def test_a_run_folder_becomes_a_record() -> None:
    record = accuracy_record(run_result(), {"commit": "0123456789ab", "cpu": "A processor"})
    assert record["seeds"] == [3]
    assert record["latency_ratio"] == {"torch:eager": 8.0}
    assert "| w2a2-lq | zoo:cifar10-resnet20 | cifar10 | W2 A2 |" in render_results([record], [])


def test_an_unmeasured_run_is_no_record() -> None:
    result = run_result()
    del result["engine"]
    with pytest.raises(DataError, match=r"result\.json: engine_top1"):
        accuracy_record(result, {})
