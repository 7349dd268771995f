"""Learned rounding beside all roundings of a small layer."""

from __future__ import annotations

import itertools

import pytest
import torch
from torch import Tensor, nn

from kompakt.graph import Parts
from kompakt.quant import Quantizer, adaround, method
from kompakt.quant.adaround import learned_rounding, neighbours
from kompakt.quant.rows import ROWS, input_rows, output_rows


@pytest.fixture(autouse=True)
def few_steps(monkeypatch):
    monkeypatch.setattr(adaround, "STEPS", 400)


def fitted(weight: Tensor, name: str = "mmse", bits: int = 3) -> Quantizer:
    quantizer = Quantizer(method(name), bits, True, len(weight))
    quantizer.fit(weight)
    quantizer.finish()
    return quantizer.eval()


def rounded(layer: nn.Module, quantizer: Quantizer, x: Tensor) -> Tensor:
    target = output_rows(Parts((layer(x).detach(),)), ROWS)
    return learned_rounding(layer, layer.weight.detach(), quantizer, Parts((x,)), target)


def test_the_best_of_all_roundings_is_nearly_found():
    torch.manual_seed(0)
    layer = nn.Linear(8, 12)
    weight = layer.weight.detach()
    x = torch.randn(300, 4) @ torch.randn(4, 8) + 0.3 * torch.randn(300, 8) + 1  # correlated, with a mean
    quantizer = fitted(weight)
    low, high = neighbours(quantizer, weight)
    ups = torch.tensor(list(itertools.product((0, 1), repeat=8)), dtype=torch.bool)
    centred = x - x.mean(0)

    def errors(candidates: Tensor) -> Tensor:
        return ((candidates - weight) @ centred.T).square().sum(-1)

    best = errors(torch.where(ups[:, None], high, low)).amin(0).sum()
    found, nearest = errors(rounded(layer, quantizer, x)).sum(), errors(quantizer(weight).detach()).sum()
    assert found < 0.6 * nearest
    assert found < 1.3 * best


@pytest.mark.parametrize(("name", "bits"), [("mmse", 3), ("mmse", 8), ("dp_net", 2), ("mmse_dual", 4)])
def test_weights_go_to_a_level_next_to_them(name, bits):
    torch.manual_seed(0)
    layer = nn.Conv2d(4, 6, 3, groups=2, stride=2, padding=1)
    quantizer = fitted(layer.weight.detach(), name, bits)
    found = rounded(layer, quantizer, torch.randn(8, 4, 9, 9))
    low, high = neighbours(quantizer, layer.weight)
    assert ((found == low) | (found == high)).all()
    assert torch.equal(quantizer(found), found)
    inside = (layer.weight >= low) & (layer.weight <= high)
    assert (inside | (low == high)).all()
    assert inside.float().mean() > 0.75


def test_no_levels_are_passed_at_eight_bits():
    quantizer = fitted(torch.tensor([[-1.0, 0.3, 1.0]]), bits=8)
    low, high = neighbours(quantizer, torch.tensor([[-9.0, 0.3, 9.0]]))
    step = float(quantizer.rule.step)
    assert low[0, 0] == high[0, 0] == pytest.approx(-127 * step)
    assert low[0, 2] == high[0, 2] == pytest.approx(127 * step)


def test_dead_inputs_are_harmless():
    layer = nn.Linear(6, 3)
    quantizer = fitted(layer.weight.detach())
    assert torch.isfinite(rounded(layer, quantizer, torch.zeros(20, 6))).all()


@pytest.mark.parametrize(
    ("layer", "shape"),
    [
        (nn.Conv2d(4, 6, 3, stride=2, padding=1, dilation=2, bias=False), (40, 4, 11, 10)),
        (nn.Conv2d(4, 8, (1, 3), groups=4, bias=False), (40, 4, 6, 7)),
        (nn.Linear(5, 3, bias=False), (300, 5)),
        (nn.Linear(5, 3, bias=False), (60, 7, 5)),
    ],
)
def test_rows_of_inputs_and_outputs_belong_together(layer, shape):
    x = torch.randn(shape, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        found = output_rows(Parts((layer(x),)), 100)
        inputs = torch.stack(input_rows(layer, Parts((x,)), 100))
        weight = layer.weight.reshape(len(inputs), -1, inputs.shape[2])
        expected = (inputs @ weight.transpose(1, 2)).permute(1, 0, 2).reshape(found.shape)
    torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-5)
    assert 80 <= len(found) <= 500
