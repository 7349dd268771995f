"""Python in the documents runs as it stands, on a network of DigitsNet's size."""

from __future__ import annotations

import re
import textwrap
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

import kompakt
from kompakt.data import digits
from kompakt.zoo import DigitsNet

ROOT = Path(__file__).parents[2]
PAGES = ("README.md", "docs/one_page.md", "docs/adding.md")
FENCE = re.compile(r"^( *)```python\n(.*?)^\1```$", re.MULTILINE | re.DOTALL)
QUICK = {"train.epochs": 1, "train.compile": False, "train.bf16": False, "train.last_stage_epochs": 1}


def blocks() -> dict[str, str]:
    """Page and number to code."""
    found = {}
    for page in PAGES:
        for number, match in enumerate(FENCE.finditer((ROOT / page).read_text(encoding="utf-8")), 1):
            found[f"{page} {number}"] = textwrap.dedent(match.group(2))
    return found


BLOCKS = blocks()


Names = dict[str, Any]


@pytest.fixture
def names(monkeypatch: pytest.MonkeyPatch) -> Names:
    """What the documents take for granted: a model, data, images; and training that takes a second."""
    torch.manual_seed(0)
    dataset = digits().smallest(256, 64)
    images = dataset.normalise(dataset.test.images[:8])
    labels = torch.from_numpy(dataset.train.labels[:64])
    example = torch.from_numpy(dataset.normalise(dataset.train.images[:64]))
    compress = kompakt.compress

    def quickly(*arguments: Any, settings: dict[str, object] | None = None, **options: Any) -> kompakt.Compressed:
        return compress(*arguments, settings={**QUICK, **(settings or {}), "train.epochs": 1}, **options)

    monkeypatch.setitem(vars(kompakt), "compress", quickly)
    batches = [(example, labels)] * 2
    return {
        "model": DigitsNet(),
        "dataset": dataset,
        "images": images,
        "example": example,
        "batches": batches,
        "epochs": 2,
    }


@pytest.mark.parametrize("name", BLOCKS)
def test_block_runs(
    name: str,
    names: Names,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    exec(compile(BLOCKS[name], name, "exec"), names)
    if "summary" in BLOCKS[name]:
        assert "size on disk" in capsys.readouterr().out


def test_the_readme_shows_the_first_six_lines_and_a_loop() -> None:
    assert {"README.md 1", "README.md 2"} <= set(BLOCKS)
    assert len([line for line in BLOCKS["README.md 1"].splitlines() if line]) == 6


def test_a_file_written_by_the_readme_runs(names: Names, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    exec(BLOCKS["README.md 2"], names)
    assert np.isfinite(kompakt.load("mine.kpt")(names["images"])).all()
