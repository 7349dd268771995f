"""A method of one's own: the file that is written passes its contract, is used by name, and says what breaks."""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

import kompakt as kp
from kompakt._core.errors import QuantizerError
from kompakt.cli.app import run_command
from kompakt.engine import run_reference
from kompakt.quant import METHODS, Quantizer, method
from kompakt.strategy import load_recipe, prepare
from kompakt.zoo import DigitsNet, noise


@pytest.fixture
def mine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    assert run_command(["new", "quantizer", "mine"]) == 0
    return tmp_path / "mine.py"


def change(path: Path, old: str, new: str) -> None:
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new))


def test_the_written_method_passes_its_contract(mine: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run_command(["methods", "--check", "mine.py:mine"]) == 0
    assert "ok      mine.py:mine: the contract holds in 21 cases" in capsys.readouterr().out


def test_recipes_use_it_by_name(mine: Path) -> None:

    inputs = noise((1, 8, 8), 16)
    batch = torch.from_numpy(inputs)
    recipe = load_recipe("int8", {"stage.method": "mine.py:mine", "stage.weight_bits": 3})
    small = prepare(DigitsNet(4).eval(), recipe, batch[:2], batch).finish()
    inner = small.result["layers"][1]
    assert (inner["method"], inner["weight_bits"]) == ("mine.py:mine", 3)
    assert np.array_equal(small.engine().run(inputs), run_reference(small.program, inputs))
    weight = inner["shape"]
    assert small.result["file_bytes"] > np.prod(weight) * 3 / 8


BROKEN = {
    "another shape": ("return (clip / high)", "return (clip / high)[:1].repeat(2)", "raised RuntimeError"),
    "below zero": (".clamp_min(SMALLEST)", "* 0 - 1", "scales are not positive"),
    "zero": (".clamp_min(SMALLEST)", "", "dead and constant data give finite values"),
    "a claim": ('"has_zero"})', '"has_zero", "sorted"})', "unknown claims ['sorted']; known: "),
    "an unknown grid": ('grid="uniform"', 'grid="unifrom"', "no grid 'unifrom'; did you mean 'uniform'"),
}


@pytest.mark.parametrize("name", BROKEN)
def test_a_broken_method_names_the_clause(mine: Path, name: str, capsys: pytest.CaptureFixture[str]) -> None:
    old, new, words = BROKEN[name]
    change(mine, old, new)
    change(mine, "bits=(2, 3, 4, 5, 6, 7, 8)", "bits=(3,)")
    assert run_command(["methods", "--check", "mine.py:mine"]) == 1
    out = capsys.readouterr().out
    assert out.startswith("FAILED  mine.py:mine: rule, 3 bits, ")
    assert words in out


def test_names_and_files_that_do_not_fit(mine: Path, capsys: pytest.CaptureFixture[str]) -> None:
    cases = {
        ("new", "quantizer", "mine"): "is there already",
        ("new", "quantizer", "Mine!"): "expected lower-case letters",
        ("methods", "--check", "mine.py:mien"): "no method 'mien'; did you mean 'mine'",
        ("methods", "--check", "yours.py:mine"): "no file yours.py",
        ("methods", "--check", "mine.py:rule"): "no method 'rule'",
        ("methods", "--check", "lsk"): "did you mean 'lsq'",
    }
    for arguments, words in cases.items():
        assert run_command(list(arguments)) == 2
        assert words in capsys.readouterr().err


def test_a_file_is_read_again_when_it_changes(mine: Path) -> None:

    first = method("mine.py:mine")
    assert method("mine.py:mine") is first
    change(mine, "bits=(2, 3, 4, 5, 6, 7, 8)", "bits=(2,)")
    os.utime(mine, ns=(1, 1))
    assert method("mine.py:mine").bits == (2,)
    with pytest.raises(kp.RecipeError, match="weight_bits must be one of"):
        load_recipe("int8", {"stage.method": "mine.py:mine"})


def test_a_misspelt_part_is_refused(mine: Path) -> None:

    with pytest.raises(QuantizerError, match="no rule 'learnt_step'; did you mean 'learned_step'"):
        Quantizer(replace(METHODS["lsq"], rule="learnt_step"), 4, True)
