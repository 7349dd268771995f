"""Quantization beside other tools, text models, and what recipes are said to reach: from records to the pages."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from kompakt._core.errors import DataError
from kompakt.bench.results import expected, render_results, update

from .examples import accuracy

ROOT = Path(__file__).parents[2]


def tools(**ours: object) -> dict:
    first = {"tool": "kompakt:int8", "top1": [91.7, 91.8], "seconds": [4.0, 6.0], "bytes": 1000, **ours}
    other = {"tool": "nncf", "top1": [91.6, 91.7], "seconds": [3.0, 3.0], "bytes": 1200, "ratio": 1.5,
             "ratio_band": [1.4, 1.6]}  # fmt: skip
    return {"net": "n20", "data": "cifar10", "calibration_images": 256, "float_top1": 91.73, "rows": [first, other]}


def page(*records: dict) -> str:
    return render_results([], [], ptq_records=list(records))


def test_tools_stand_beside_each_other() -> None:
    text = page(tools())
    assert "| n20 | kompakt:int8 | 256 | 2 | 91.73 | 91.75 | 91.70 to 91.80 | 5.0 | 1,000 | - | - |" in text
    assert "| n20 | nncf | 256 | 2 | 91.73 | 91.65 | 91.60 to 91.70 | 3.0 | 1,200 | 1.50 | 1.40 to 1.60 |" in text
    assert "n20 int8 against" not in text


@pytest.mark.parametrize(
    ("ours", "sentence"),
    [
        ({"top1": [91.0, 91.2]}, "* n20 int8 against nncf: 91.10 % instead of 91.65 %."),
        ({"seconds": [7.0]}, "* n20 int8 against nncf: 7.0 s to quantize instead of 3.0 s."),
    ],
)
def test_losses_are_stated(ours: dict, sentence: str) -> None:
    assert sentence in page(tools(**ours))


def test_a_slower_engine_is_stated() -> None:
    record = tools()
    record["rows"][1]["ratio"] = 0.8
    assert "* n20 int8 against nncf: 1.25 times its time per image." in page(record)


def test_text_models_have_their_own_table() -> None:
    text = render_results([accuracy(recipe="lstm-int8", float_bits=1.8457, engine_bits=1.8641)], [])
    assert "| 1.8457 | 1.8641 | +1.00 % |" in text
    assert "## Text" not in render_results([accuracy()], [])


def test_models_of_words_are_measured_by_perplexity() -> None:
    text = render_results([accuracy(recipe="words", float_bits=7.0, engine_bits=7.0704, reads_tokens=True)], [])
    assert "| 128.00 | 134.40 | +5.00 % |" in text
    assert "## Words" in text
    assert "## Text" not in text


def test_a_record_without_rows_is_refused() -> None:
    with pytest.raises(DataError, match="record 0: rows"):
        page({**tools(), "rows": []})


def test_recipes_are_said_to_reach_what_the_records_hold(tmp_path: Path) -> None:
    (tmp_path / "results").mkdir()
    (tmp_path / "docs").mkdir()
    (tmp_path / "src/kompakt/strategy/recipes").mkdir(parents=True)
    bits = {"weights": 8, "activations": 8, "first_last": 8, "residual": 8}
    found = accuracy(
        recipe="cifar10-resnet20-int8", model="zoo:cifar10-resnet20", protocol="ptq", bits=bits, seeds=[0],
        engine_top1=[91.79], float_top1=91.73, float_bytes=1_092_520, file_bytes=294_336,
    )  # fmt: skip
    other = found | {"recipe": "w2", "protocol": "short", "system": "lq_nets", "engine_top1": [89.0]}
    other["bits"] = bits | {"weights": 2, "activations": 2}
    worse = other | {"engine_top1": [85.0]}
    for i, record in enumerate((found, other, worse)):
        (tmp_path / "results" / f"{i}.json").write_text(json.dumps(record))
    update(tmp_path)
    measured = json.loads((tmp_path / "src/kompakt/strategy/recipes/measured.json").read_text())
    assert measured["int8"] == {
        "network": "cifar10-resnet20", "float_top1": 91.73, "engine_top1": 91.79, "times_smaller": 3.7,
    }  # fmt: skip
    assert measured["w2a2-lq"]["engine_top1"] == 89.0
    assert "digits-demo" not in measured
    assert "w4a8" not in measured


def test_the_committed_expectations_are_what_the_records_give() -> None:
    committed = (ROOT / "src/kompakt/strategy/recipes/measured.json").read_text()
    assert committed == expected(ROOT), "run `kompakt results`"
