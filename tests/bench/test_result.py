"""What a result says: its JSON, its table, and sentences that never hide a loss."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from kompakt._core.errors import StorageError
from kompakt.bench import BenchResult, format_table, save
from kompakt.bench.result import sentences

from . import examples


def test_json_has_the_documented_keys(tmp_path: Path) -> None:
    found = examples.result(
        examples.row("onnxruntime:int8", 1.5), absent={"openvino:fp32": "not installed: pip install openvino"}
    )
    save(found, tmp_path / "bench.json")
    content = json.loads((tmp_path / "bench.json").read_text())
    assert content == found.to_dict()
    assert set(content) == {
        "net", "isa", "rows", "aa_ratio", "aa_rows", "sentences", "absent", "how", "file", "settings", "machine",
        "bits", "hidden",
    }  # fmt: skip
    assert content["rows"][0] == {
        "engine": "onnxruntime:int8", "threads": 1, "batch": 1, "clock": "cpu", "ms_p10": 0.45, "ms_median": 0.465,
        "wall_ms_median": 0.48, "ratio": 1.5, "ratio_band": [1.485, 1.515], "ratio_interval": [1.485, 1.515],
        "snr_db": 31.0,
    }  # fmt: skip
    assert content["aa_rows"][0]["engine"] == "kompakt"
    assert content["aa_ratio"] == 1.0


def test_a_failed_save_leaves_no_file(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("x")
    with pytest.raises(StorageError, match=r"file/bench\.json: cannot write"):
        save(examples.result(), tmp_path / "file" / "bench.json")


def test_a_result_comes_back_from_its_json() -> None:
    found = examples.result(examples.row("torch:eager", 1.5), bits="w2a2", hidden={"features": "amx", "by": "a"})
    content = json.loads(json.dumps(found.to_dict()))
    assert BenchResult.from_dict(content).to_dict() == content


def test_aa_ratio_is_the_one_farthest_from_one() -> None:
    own = (examples.row("kompakt", 1.02), examples.row("kompakt", 0.95, batch=8))
    assert examples.result(own=own).aa_ratio == 0.95


def test_losses_come_first_and_by_name() -> None:
    found = examples.result(
        examples.row("torch:eager", 8.0), examples.row("openvino:int8", 0.5), examples.row("onnxruntime:int8", 1.005)
    )
    assert sentences(found) == [
        "1 thread, batch 1: Kompakt is slower than openvino:int8 (0.50x); faster than torch:eager (8.00x); "
        "not told apart from onnxruntime:int8 (1.00x)."
    ]


def test_a_difference_inside_the_aa_band_is_not_called() -> None:
    found = examples.result(examples.row("torch:eager", 1.06), own=(examples.row("kompakt", 1.0, spread=0.08),))
    assert sentences(found) == [
        "1 thread, batch 1: Kompakt is slower than none; not told apart from torch:eager (1.06x)."
    ]


def test_a_wide_aa_band_makes_its_setting_say_nothing() -> None:
    own = (examples.row("kompakt", 1.0), examples.row("kompakt", 1.0, spread=0.2, threads=2))
    quiet, noisy = sentences(examples.result(examples.row("torch:eager", 8.0, threads=2), own=own))
    assert quiet == "1 thread, batch 1: no peer was measured."
    assert noisy.startswith("2 threads, batch 1: uninformative, the engine against itself gave 0.80 to 1.20")
    assert "torch:eager" not in noisy


def test_table_shows_every_row_the_losses_and_what_is_absent() -> None:
    found = examples.result(
        examples.row("openvino:int8", 0.5), examples.row("torch:eager", 8.0, batch=8),
        own=(examples.row("kompakt", 1.0), examples.row("kompakt", 1.0, batch=8)),
        absent={"onnxruntime:fp32": "not installed: pip install onnxruntime"},
    )  # fmt: skip
    text = format_table(found)
    engines = [line.split()[0] for line in text.splitlines()[3:7]]
    assert engines == ["kompakt", "openvino:int8", "kompakt", "torch:eager"]
    assert "Kompakt is slower than openvino:int8 (0.50x)." in text
    assert "onnxruntime:fp32: not installed: pip install onnxruntime" in text
    assert "A processor; kompakt 0.1.0" in text
    assert len({len(line) for line in text.splitlines()[2:7]}) == 1
