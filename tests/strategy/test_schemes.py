"""Schemes side by side: what is known about them on normal weights, and that no data are needed."""

from __future__ import annotations

from pathlib import Path

import pytest

from kompakt._core.errors import RecipeError
from kompakt.strategy import compare_schemes

USER = """
import torch
from torch import nn

def build():
    torch.manual_seed(0)
    inner = (nn.Conv2d(8, 16, 5), nn.ReLU(), nn.Conv2d(16, 16, 5))
    net = nn.Sequential(nn.Conv2d(1, 8, 1), *inner, nn.Flatten(), nn.Linear(64, 2))
    for p in net.parameters():
        nn.init.normal_(p)
    return net.eval()
"""


@pytest.fixture(scope="module")
def found(tmp_path_factory):
    path: Path = tmp_path_factory.mktemp("user") / "net.py"
    path.write_text(USER)
    names = ("min_max_affine", "min_max_symmetric", "powers", "mmse", "dp_net")
    return {(s.method, s.bits): s for s in compare_schemes(f"{path}:build", names, (2, 3, 4, 8), (1, 10, 10))}


def test_the_order_of_the_schemes_is_the_known_one(found):
    for bits in (3, 4):
        order = [found[name, bits].sqnr_db for name in ("dp_net", "mmse", "min_max_affine", "min_max_symmetric")]
        assert order == sorted(order, reverse=True)
    assert found["powers", 3].sqnr_db > found["min_max_symmetric", 3].sqnr_db
    assert found["powers", 4].sqnr_db < found["min_max_symmetric", 4].sqnr_db


def test_ranges_are_those_of_the_grids(found):
    assert found["min_max_symmetric", 4].range_db == pytest.approx(16.90, abs=0.01)  # 20 log10(7), of -7 .. 7
    assert found["powers", 4].range_db == pytest.approx(36.12, abs=0.01)  # 20 log10(2^6)


def test_shares_are_shares(found):
    assert all(0 <= s.zero_fraction <= 1 and 0 < s.occupancy <= 1 for s in found.values())
    assert found["min_max_symmetric", 2].zero_fraction > 0.8 > found["mmse", 2].zero_fraction
    assert found["dp_net", 2].occupancy == 1


def test_widths_that_a_method_has_not_are_left_out(found):
    assert ("powers", 8) not in found
    assert ("mmse", 8) in found


def test_unknown_methods_are_refused():
    with pytest.raises(RecipeError, match="unknown quantization method 'msme'; did you mean 'mmse'"):
        compare_schemes("zoo:resnet18", ("msme",), (2,))
