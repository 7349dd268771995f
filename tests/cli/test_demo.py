"""The demonstration in full: what a new user sees first."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from support.command import Outcome

pytestmark = pytest.mark.slow


def test_demo(kompakt: Callable[..., Outcome], tmp_path: Path) -> None:
    folder = tmp_path / "demo"
    outcome = kompakt("demo", "--folder", folder, "--json")
    assert outcome.code == 0, outcome.err
    result = outcome.json
    assert result["engine"]["top1"] >= 97
    assert result["engine"]["images"] == 450
    assert result["engine"]["bit_equal_to_reference"]["equal"]
    assert result["float"]["bytes"] / result["file_bytes"] > 10
    assert [layer["weight_bits"] for layer in result["layers"]] == [8, 2, 2, 2, 8]
    evaluated = kompakt("evaluate", folder / "model.kpt", "--data", "digits", "--json")
    assert evaluated.json["top1"] == pytest.approx(result["engine"]["top1"])
    assert kompakt("verify", folder / "model.kpt", "--data", "digits").code == 0
    assert (folder / "report.html").stat().st_size < 1_000_000
    again = kompakt("plan", folder / "recipe.toml", "--json")
    assert abs(again.json["file_bytes"] - result["file_bytes"]) < 0.02 * result["file_bytes"]
