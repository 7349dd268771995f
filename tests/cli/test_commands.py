"""Every command does what its help says, as text and as JSON."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from xml.etree import ElementTree

import numpy as np
import pytest

import kompakt
from kompakt.data import digits
from support.command import Outcome

Command = Callable[..., Outcome]


def test_compress_leaves_a_whole_run_folder(run_folder: Path) -> None:
    names = {path.name for path in run_folder.iterdir()}
    assert {"recipe.toml", "model.kpt", "report.html", "env.json", "result.json"} <= names


def test_compress_prints_the_result_as_json(kompakt: Command, net: Path, tmp_path: Path) -> None:
    arguments = (
        "--recipe",
        "w4a4-lsq",
        "--data",
        "digits",
        "-s",
        "train.epochs=0",
        "--folder",
        tmp_path / "run",
        "--json",
    )
    outcome = kompakt("compress", f"{net}:build", *arguments)
    assert outcome.code == 0, outcome.err
    assert outcome.json["name"] == "net-w4a4-lsq"
    assert outcome.json == json.loads((tmp_path / "run" / "result.json").read_text())


def test_a_run_can_be_repeated_from_its_own_recipe(kompakt: Command, run_folder: Path, tmp_path: Path) -> None:
    outcome = kompakt("compress", run_folder / "recipe.toml", "--folder", tmp_path / "again", "--quiet")
    assert outcome.code == 0, outcome.err
    assert (tmp_path / "again" / "model.kpt").read_bytes() == (run_folder / "model.kpt").read_bytes()


def test_smoke_runs_every_phase_beside_the_run(kompakt: Command, net: Path, tmp_path: Path) -> None:
    arguments = ("--recipe", "w2a2-lsq", "--data", "digits", "--folder", tmp_path, "--smoke", "-s", "train.epochs=50")
    outcome = kompakt("compress", f"{net}:build", *arguments)
    assert outcome.code == 0, outcome.err
    assert "every phase works" in outcome.out
    assert [path.name for path in tmp_path.iterdir()] == ["smoke"]


def test_plan_predicts_the_size_and_writes_nothing(kompakt: Command, net: Path, run_folder: Path) -> None:
    before = sorted(net.parent.iterdir())
    outcome = kompakt("plan", f"{net}:build", "--recipe", "w2a2-lq", "--input", "1,1,8,8", "--json")
    assert sorted(net.parent.iterdir()) == before
    real = (run_folder / "model.kpt").stat().st_size
    assert abs(outcome.json["file_bytes"] - real) < 0.02 * real
    assert [layer["weight_bits"] for layer in outcome.json["layers"]] == [8, 2, 2, 2, 8]


def test_plan_says_what_is_left_alone(kompakt: Command, net: Path) -> None:
    override = '[{layers = "features.3", weight_bits = "float", activation_bits = "float"}]'
    outcome = kompakt("plan", f"{net}:build", "--input", "1,1,8,8", "-s", f"stage.override={override}")
    assert "left alone: features.3: " in outcome.out
    assert "nothing was changed" in outcome.out


def test_inspect_of_a_file_adds_up(kompakt: Command, model_file: Path) -> None:
    outcome = kompakt("inspect", model_file, "--kernels", "--json")
    assert sum(outcome.json["sections"].values()) == outcome.json["bytes"] == model_file.stat().st_size
    assert sum(layer["parameters"] for layer in outcome.json["layers"]) == 65_440
    assert [row["node"] for row in outcome.json["kernels"]] == [layer["name"] for layer in outcome.json["layers"]]
    text = kompakt("inspect", model_file, "--kernels").out
    assert "planes" in text
    assert " kcycles" in text


def test_inspect_of_a_network(kompakt: Command, net: Path) -> None:
    outcome = kompakt("inspect", f"{net}:build", "--input", "1,1,8,8", "--json")
    layers = {layer["name"]: layer for layer in outcome.json["layers"]}
    assert layers["features.3"]["macs"] == 32 * 32 * 9 * 64
    assert layers["features.3"]["note"] == ""
    assert "8 bits" in layers["classifier"]["note"]
    assert "can be negative" in layers["features.0"]["note"]
    assert outcome.json["total"]["parameters"] == 65_440
    assert "total" in kompakt("inspect", f"{net}:build", "--input", "1,1,8,8").out


def test_run_writes_what_the_engine_gives(kompakt: Command, model_file: Path, tmp_path: Path) -> None:
    images = digits().normalise(digits().test.images[:20])
    np.save(tmp_path / "x.npy", images)
    outcome = kompakt("run", model_file, tmp_path / "x.npy", "--output", tmp_path / "y.npy", "--threads", "2")
    assert outcome.code == 0, outcome.err
    assert np.array_equal(np.load(tmp_path / "y.npy"), load(model_file).run(images))
    assert "12 more rows" in outcome.out


def test_run_on_noise_is_repeatable(kompakt: Command, model_file: Path) -> None:
    first, second = (kompakt("run", model_file, "--random", "--json") for _ in range(2))
    assert first.json == second.json
    assert first.json["shape"] == [1, 10]
    assert first.json["argmax"] == [int(np.argmax(first.json["output"][0]))]


def test_evaluate_counts_right_answers(kompakt: Command, model_file: Path, run_folder: Path) -> None:
    outcome = kompakt("evaluate", model_file, "--json")  # the file records its data
    expected = json.loads((run_folder / "result.json").read_text())["engine"]
    assert outcome.json["top1"] == pytest.approx(expected["top1"])
    assert outcome.json["images"] == expected["images"] == 450
    limited = kompakt("evaluate", model_file, "--data", "digits", "--limit", "7", "--json")
    assert limited.json["images"] == 7
    assert "of 450 images of digits" in kompakt("evaluate", model_file).out


def test_evaluate_with_data_from_a_file(kompakt: Command, model_file: Path, tmp_path: Path) -> None:
    (tmp_path / "mine.py").write_text(
        "from helper import shift\nfrom kompakt.data import digits\n\n"
        "def loaders():\n    d = digits()\n"
        "    return tuple((shift(d.normalise(part.images)), part.labels) for part in (d.train, d.test))\n"
    )
    (tmp_path / "helper.py").write_text("def shift(x):\n    return x\n")
    outcome = kompakt("evaluate", model_file, "--data", f"{tmp_path / 'mine.py'}:loaders", "--json")
    assert outcome.json["right"] == kompakt("evaluate", model_file, "--json").json["right"]


def test_verify_compares_every_level(kompakt: Command, model_file: Path) -> None:
    from kompakt import _native

    outcome = kompakt("verify", model_file, "--data", "digits", "--limit", "3", "--json")
    assert outcome.code == 0
    assert len(outcome.json["checks"]) == 2 + 2 * len(_native.isa_levels())
    assert "3 test images" in outcome.json["checks"][-1]["detail"]


def test_report_is_written_where_it_is_asked_for(kompakt: Command, run_folder: Path, tmp_path: Path) -> None:
    outcome = kompakt("report", run_folder, "--output", tmp_path / "page.html")
    assert outcome.code == 0
    assert "<!doctype html>" in (tmp_path / "page.html").read_text().lower()
    assert "size on disk" in outcome.out


def test_results_records_a_run_and_writes_the_page(kompakt: Command, run_folder: Path, tmp_path: Path) -> None:
    outcome = kompakt("results", run_folder, "--root", tmp_path, "--json")
    assert outcome.code == 0, outcome.err
    (record,) = outcome.json["records"]
    assert json.loads(Path(record).read_text())["file_bytes"] == (run_folder / "model.kpt").stat().st_size
    assert "net-w2a2-lq" in (tmp_path / "docs" / "results.md").read_text()


def test_methods_and_recipes_list_the_tables(kompakt: Command) -> None:
    from kompakt.quant import METHODS
    from kompakt.strategy import builtin_recipes

    assert [row["method"] for row in kompakt("methods", "--json").json] == list(METHODS)
    rows = kompakt("recipes", "--json").json
    assert [row["name"] for row in rows] == list(builtin_recipes())
    assert all(row["about"] for row in rows)
    assert all(name in kompakt("methods").out for name in METHODS)
    assert all(name in kompakt("recipes").out for name in builtin_recipes())


def test_doctor_tests_every_kernel_of_every_level(kompakt: Command) -> None:
    from kompakt import _native

    outcome = kompakt("doctor", "--json")
    assert outcome.code == 0, outcome.out
    text = " ".join(finding["text"] for finding in outcome.json["findings"] if "self-test" in finding["name"])
    available = _native.isa_levels()
    assert all(row["kernel"] in text for row in _native.kernel_table() if row["isa"] in available)


@pytest.mark.parametrize(
    "name",
    "bench compress demo doctor evaluate inspect methods plan recipes report results run verify".split(),
)
def test_help_has_a_worked_example(kompakt: Command, name: str) -> None:
    outcome = kompakt(name, "--help")
    assert outcome.code == 0
    assert f"\n  kompakt {name}" in outcome.out


def load(path: Path) -> kompakt.Engine:
    return kompakt.load(path)


def test_sensitivity_ranks_layers_and_draws_them(kompakt: Command, net: Path, tmp_path: Path) -> None:
    picture = tmp_path / "layers.svg"
    arguments = ("--data", "digits", "--bits", "2,8", "--samples", "64", "--mean-bits", "5", "--picture", picture)
    outcome = kompakt("sensitivity", f"{net}:build", *arguments, "--json")
    assert outcome.code == 0, outcome.err
    layers = outcome.json["layers"]
    assert [row["loss"]["2"] for row in layers] == sorted((row["loss"]["2"] for row in layers), reverse=True)
    assert all(row["chosen"] in (2, 8) for row in layers)
    assert outcome.json["mean_bits"] <= 5
    assert outcome.json["block"].count("[[stage.override]]") == len(layers)
    drawing = ElementTree.fromstring(picture.read_text())
    assert len(drawing.findall(".//{*}circle")) == 2 * len(layers)
    text = kompakt("sensitivity", f"{net}:build", *arguments)
    assert all(row["layer"] in text.out for row in layers)
    assert "weight_bits = " in text.out
