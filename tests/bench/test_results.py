"""The results page: generated, in one order, with every shortfall on it; and equal to the committed one."""

from __future__ import annotations

import json
import random
from pathlib import Path

import pytest

from kompakt._core.errors import DataError
from kompakt.bench.results import accuracy_record, generate, render_results, update
from kompakt.strategy import Recipe, load_recipe

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


def test_a_run_is_one_line_with_float_gap_published_number_size_and_time() -> None:
    page = render_results([examples.accuracy(mean_bits={"weights": 2.02, "activations": 2.07}, epochs=10)], [])
    line = lines_with(page, "| w2a2 | lq_nets | zoo")[0]
    assert "| W2 A2; first/last 8 | 2.02 / 2.07 | 1 | 91.73 | 89.90 | -1.83 |" in line
    assert line.endswith("| 90.20 | A paper, table 1 | 87,504 | 10 | 60 |")


def test_every_protocol_has_its_table_and_columns_that_say_something() -> None:
    runs = [examples.accuracy(protocol=protocol, recipe=protocol) for protocol in ("long", "ptq", "short")]
    runs[1] |= {"train_s": 0.0, "published": None}
    page = render_results(runs, [])
    titles = {"short": "Trained, short protocol", "long": "Trained, long protocol", "ptq": "Without training"}
    tables = {protocol: page.split(f"### {title}")[1].split("\n#")[0] for protocol, title in titles.items()}
    assert all(f"| {protocol} | lq_nets |" in table for protocol, table in tables.items())
    assert "training min" in tables["long"]
    assert "training min" not in tables["ptq"]
    assert "published" not in tables["ptq"]
    with pytest.raises(DataError, match="protocol"):
        render_results([examples.accuracy(protocol="magic")], [])


def test_chance_is_no_float_network() -> None:
    line = lines_with(render_results([examples.accuracy(float_top1=None)], []), "| w2a2 | lq_nets")[0]
    assert "| 1 | 89.90 |" in line  # no column for what no run has


def test_seeds_are_one_line_with_their_spread() -> None:
    runs = [examples.accuracy(seeds=[seed], engine_top1=top1) for seed, top1 in enumerate((89.0, 90.0, 91.6))]
    page = render_results(runs, [])
    assert "| 3 | 91.73 | 90.20 (89.00 to 91.60) |" in lines_with(page, "| w2a2 | lq_nets | zoo")[0]
    assert "points below the published" not in page


def test_one_record_may_hold_several_seeds() -> None:
    page = render_results([examples.accuracy(seeds=[0, 1, 2], engine_top1=[89.0, 90.0, 91.6])], [])
    assert "| 3 | 91.73 | 90.20 (89.00 to 91.60) |" in lines_with(page, "| w2a2 | lq_nets | zoo")[0]


@pytest.mark.parametrize(("goal", "cell"), [(89.0, "89.00: reached"), (90.5, "90.50: missed by 0.60"), (None, "-")])
def test_goals_stay_in_the_table(goal: float | None, cell: str) -> None:
    page = render_results([examples.accuracy(goal_top1=goal), examples.accuracy(recipe="other", goal_top1=80.0)], [])
    assert f"| {cell} | 90.20 |" in lines_with(page, "| w2a2 | lq_nets | zoo")[0]
    assert ("0.60 points short of its goal" in page) == (goal == 90.5)


def test_a_missed_goal_says_why() -> None:
    record = examples.accuracy(goal_top1=90.5, goal_remark="Ten epochs are too few.")
    assert "0.60 points short of its goal. Ten epochs are too few." in render_results([record], [])
    assert "too few" not in render_results([record | {"goal_top1": 89.0}], []).split("## Not reached")[1]


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
    assert "| w2a2-lq | lq_nets | zoo:cifar10-resnet20 | cifar10 | W2 A2 |" in render_results([record], [])


def test_who_taught_and_where_it_went_on_from_stand_in_the_table() -> None:
    recipe = {"train": {"teacher": "zoo:cifar10-resnet44"}, "model": {"start": "runs/before"}}
    taught = accuracy_record(run_result() | {"recipe": recipe}, {})
    page = render_results([taught], [])
    assert lines_with(page, "| goes on from | taught by |")
    assert lines_with(page, "| before | zoo:cifar10-resnet44 |")
    assert "taught by" not in render_results([accuracy_record(run_result(), {})], []).replace("*Taught by*", "")


def test_every_width_of_a_file_stands_beside_the_best_network_of_that_width_alone() -> None:
    bits = {"weights": 8, "activations": 8, "first_last": 8}
    found = [{"bits": width, "engine": {"top1": top1}} for width, top1 in ((8, 91.9), (2, 89.0))]
    shared = accuracy_record(run_result() | {"widths": found}, {}) | {"recipe": "shared", "bits": bits}
    alone = [
        examples.accuracy(recipe=name, protocol="short", bits=bits | {"weights": 2, "activations": 2}, engine_top1=top1)
        for name, top1 in (("weak", 88.0), ("best", 89.3))
    ]
    page = render_results([shared, *alone], [])
    assert lines_with(page, "| shared | zoo:cifar10-resnet20 | 8 | 1 | 91.90 | 87,504 | - | - | - | - |")
    assert lines_with(page, "| 2 | 1 | 89.00 | 87,504 | best | 89.30 | 87,504 | -0.30 |")
    assert "Several bit-widths" not in render_results(alone, [])


EXACT = {
    "images": 10_000, "argmax_equal": 10_000, "max_abs_logit_difference": 2.3e-6, "codes_compared": 2_898_560_000,
    "codes_at_boundary": 1_270, "codes_wrong": 0,
}  # fmt: skip


@pytest.mark.parametrize(
    ("changes", "said"),
    [({}, ""), ({"codes_wrong": 2}, "differ in 2 of 2,898,560,000 codes and in the class of 0 of 10,000 images"),
     ({"argmax_equal": 9_998}, "differ in 0 of 2,898,560,000 codes and in the class of 2 of 10,000 images")],
)  # fmt: skip
def test_engine_and_simulation_stand_side_by_side(changes: dict, said: str) -> None:
    engine = {"top1": 89.9, "integer_exact": EXACT | changes}
    page = render_results([accuracy_record(run_result() | {"engine": engine}, {})], [])
    row = lines_with(page.split("## Engine and simulation")[1], "| w2a2-lq |")[0]
    found = {**EXACT, **changes}
    assert f"| {found['argmax_equal']:,} | 2.3e-06 | 2,898,560,000 | 1,270 | {found['codes_wrong']} |" in row
    short = page.split("## Not reached")[1]
    assert said in short
    assert ("engine and simulation differ" in short) == bool(said)
    assert "Engine and simulation" not in render_results([accuracy_record(run_result(), {})], [])


def test_every_width_of_a_file_is_compared_with_its_own_simulation() -> None:
    found = [{"bits": bits, "engine": {"top1": 90.0, "integer_exact": EXACT}} for bits in (8, 2)]
    page = render_results([accuracy_record(run_result() | {"widths": found}, {})], [])
    assert [line.split(" | ")[2] for line in lines_with(page, "| 2,898,560,000 |")] == ["8", "2"]


def layers(*bits: tuple[int, int]) -> list[dict]:
    """Layers of 10 weights and 100 multiply-adds with these bits of weights and activations."""
    return [{"params": 10, "macs": 100, "weight_bits": w, "activation_bits": a} for w, a in bits]


@pytest.mark.parametrize(
    ("found", "bits", "mean"),
    [
        (layers((8, 8), (2, 2), (2, 2), (8, 8)), {"weights": 2, "activations": 2, "first_last": 8}, (5.0, 5.0)),
        (layers((1, 8), (1, 1), (1, 1), (1, 1)), {"weights": 1, "activations": 1, "first_last": "W1 A8 and W1 A1"},
         (1.0, 2.75)),
        (layers((8, 32), (4, 4), (4, 4), (8, 32)), {"weights": 4, "activations": 4, "first_last": "W8 Afloat"},
         (6.0, 18.0)),
        (layers((8, 32), (2, 32), (2, 32), (8, 32)), {"weights": 2, "activations": "float", "first_last": 8},
         (5.0, 32.0)),
        (layers((8, 8), (3, 4), (5, 4), (8, 8)), {"weights": "mixed", "activations": 4, "first_last": 8}, (6.0, 6.0)),
        (layers((32, 32), (2, 2), (2, 2), (32, 32)),
         {"weights": 2, "activations": 2, "first_last": "float"}, (17.0, 17.0)),
    ],
)  # fmt: skip
def test_bits_are_those_that_the_layers_have(found: list[dict], bits: dict, mean: tuple) -> None:
    result = run_result() | {"layers": found}
    result["bits"] = {"weights": 8, "activations": 8, "first_last": 8}
    record = accuracy_record(result, {})
    assert record["bits"] == bits
    assert record["mean_bits"] == dict(zip(("weights", "activations"), mean, strict=True))


def test_a_network_of_random_weights_has_no_float_accuracy() -> None:
    assert accuracy_record(run_result(), {})["float_top1"] == 91.73
    stock = run_result() | {"model": "zoo:resnet20"}
    assert accuracy_record(stock, {})["float_top1"] is None
    assert accuracy_record(stock | {"recipe": {"pretrain": {"epochs": 5}}}, {})["float_top1"] == 91.73


def test_labels_are_those_of_the_recipe_as_it_is_now(tmp_path: Path) -> None:
    text = """
version = 1
name = "w2a2-lq"
protocol = "{}"
goal_top1 = 90.0
[[stage]]
kind = "quantize"
method = "lq_nets"
[train]
epochs = {}
"""
    path = tmp_path / "w2a2-lq.toml"
    path.write_text(text.format("short", 12))
    result = run_result() | {"recipe": load_recipe(path).model_dump(exclude_defaults=True)}
    path.write_text(text.format("long", 12))
    assert accuracy_record(result, {}, tmp_path)["protocol"] == "long"
    assert accuracy_record(result, {}, tmp_path)["goal_top1"] == 90.0
    path.write_text(text.format("long", 13))  # another training: the recipe says nothing about this run
    assert accuracy_record(result, {}, tmp_path)["protocol"] == "short"
    assert accuracy_record(result, {}, tmp_path / "elsewhere")["protocol"] == "short"


def test_the_short_protocol_is_the_same_for_every_recipe() -> None:
    recipes = [load_recipe(path) for path in ROOT.glob("recipes/resnet20-cifar10-*.toml")]
    short = [recipe for recipe in recipes if recipe.protocol == "short"]
    assert {(recipe.train.batch_size, recipe.model.source) for recipe in short} == {(128, "zoo:cifar10-resnet20")}
    assert {r.name: r.train.epochs for r in short} == {r.name: _short_epochs(r) for r in short}


def _short_epochs(recipe: Recipe) -> int:
    """Fewer where a step has several passes, more with binary and ternary weights."""
    stage = recipe.stage[0]
    if stage.lower_bits:
        return 7
    if stage.method == "adaqat":
        return 5
    return 16 if stage.weight_bits == 1 or stage.method in ("syq", "syq_pixel") else 10
