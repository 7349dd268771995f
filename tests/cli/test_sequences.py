"""A character model on the command line: every step is judged, in bits and in right answers."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch

from kompakt.cli.app import run_command
from kompakt.data import NO_LABEL
from kompakt.data.characters import LENGTH, character_dataset
from kompakt.strategy import load_recipe, prepare
from kompakt.zoo import CharacterLstm

DATA = """
from kompakt.data.characters import character_dataset


def text():
    return character_dataset("mine", "abcab" * 2300, "abc")
"""


def test_evaluate_counts_steps(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    data = character_dataset("mine", "abcab" * 2300, "abc")
    torch.manual_seed(0)
    batch = torch.from_numpy(data.normalise(data.train.images))
    small = prepare(CharacterLstm(3, 4), load_recipe("int8"), batch, batch).finish()
    small.save(tmp_path / "model.kpt")
    (tmp_path / "text.py").write_text(DATA)
    arguments = ["evaluate", str(tmp_path / "model.kpt"), "--data", f"{tmp_path / 'text.py'}:text"]
    assert run_command([*arguments, "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    logits = small.engine().run(data.normalise(data.test.images))[..., 0].transpose(0, 2, 1).astype(np.float64)
    chance = np.exp(logits) / np.exp(logits).sum(2, keepdims=True)
    judged = data.test.labels != NO_LABEL
    of_labels = np.take_along_axis(chance, np.maximum(data.test.labels, 0)[..., None], 2)[..., 0]
    assert found["images"] == judged.sum() == len(data.test) * (LENGTH - 128)
    assert np.isclose(found["bits"], -np.log2(of_labels[judged]).mean())
    assert found["right"] == (logits.argmax(2) == data.test.labels)[judged].sum()
    assert run_command(arguments) == 0
    shown = f"{found['bits']:.4f} bits per step (perplexity {2 ** found['bits']:.4g})"
    assert f"{shown}  ({found['right']} of {found['images']} steps of mine" in capsys.readouterr().out
