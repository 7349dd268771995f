"""A recipe with `lower_bits`: one file, every bit-width judged, and what cannot share weights is refused."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner

from kompakt._core.errors import RecipeError
from kompakt.artifact import from_bytes
from kompakt.cli.app import cli
from kompakt.strategy import Compressed, compress
from kompakt.strategy.recipe import parse_recipe
from support.training import few_digits, float_net

STAGE = {
    "kind": "quantize", "method": "adaptive", "activation_method": "lsq", "weight_bits": 8, "activation_bits": 8,
    "lower_bits": [4, 2],
}  # fmt: skip
TRAIN = {"epochs": 1, "compile": False, "last_stage_epochs": 0, "swap": 0.5}


@pytest.fixture(scope="module")
def small() -> Compressed:
    return compress(float_net(), parse_recipe({"name": "tiny", "stage": [STAGE], "train": TRAIN}, {}), few_digits())


def test_every_width_is_judged_in_the_engine(small: Compressed) -> None:
    assert [found["bits"] for found in small.result["widths"]] == [8, 4, 2]
    for found in small.result["widths"]:
        assert found["engine"]["bit_equal_to_reference"]["equal"]
        exact = found["engine"]["integer_exact"]
        assert exact["argmax_equal"] == exact["images"] > 0
        assert exact["codes_wrong"] == 0
    assert small.result["engine"] == small.result["widths"][0]["engine"]


def test_the_file_holds_the_inner_codes_once(small: Compressed) -> None:
    program, _ = from_bytes(small.to_bytes())
    assert program.widths == (8, 4, 2)
    stored = {node.name: node.attrs["weight"] for node in program.nodes if "weight" in node.attrs}
    for variant in program.variants:
        inner = [node for node in variant.nodes if "weight" in node.attrs and node.attrs["weight"].bits < 8]
        assert len(inner) == len(stored) - 2  # both ends keep 8 bits
        for node in inner:
            whole = stored[node.name]
            assert np.array_equal(node.attrs["weight"].codes, whole.codes >> (whole.bits - variant.bits))


def test_commands_choose_the_width(small: Compressed, tmp_path: Path) -> None:
    path = tmp_path / "adaptive.kpt"
    small.save(path)

    def told(*words: str) -> dict:
        done = CliRunner().invoke(cli, [*words, "--json"])
        assert done.exit_code == 0, done.output
        return json.loads(done.stdout)

    outputs = [
        told("run", str(path), "--random", *choice)["output"] for choice in ([], ["--bits", "8"], ["--bits", "2"])
    ]
    assert outputs[0] == outputs[1] != outputs[2]
    about = told("inspect", str(path), "--bits", "4")
    assert about["widths"] == [8, 4, 2]
    assert [layer["weight_bits"] for layer in about["layers"]] == [8, 4, 4, 4, 8]
    alone = tmp_path / "four.kpt"
    assert told("cut", str(path), "--bits", "4", "-o", str(alone))["bits"] == dict(
        zip([layer["name"] for layer in about["layers"]], [8, 4, 4, 4, 8], strict=True)
    )
    four = [
        told("run", str(where), "--random", *choice)["output"]
        for where, choice in ((alone, []), (path, ["--bits", "4"]))
    ]
    assert four[0] == four[1]
    assert CliRunner().invoke(cli, ["cut", str(path), "--bytes", "9", "-o", str(alone)]).exit_code != 0
    checks = told("verify", str(path))["checks"]
    assert {check["name"].split(",")[0] for check in checks[2:]} == {"8 bits", "4 bits", "2 bits"}


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"lower_bits": [2, 4]}, "descend"),
        ({"lower_bits": [8]}, "descend"),
        ({"lower_bits": [1]}, "lower_bits must be one of"),
        ({"method": "lsq"}, "adaptive"),
        ({"activation_bits": 4}, "activation_bits is 8 or float"),
        ({"equalize": True}, "equalize"),
        ({"rounding": "gptq"}, "rounding"),
        ({"weight_bits": "float"}, "descend"),
    ],
)
def test_what_cannot_share_weights_is_refused(changes, message) -> None:
    with pytest.raises(RecipeError, match=message):
        parse_recipe({"name": "tiny", "stage": [STAGE | changes]}, {})
