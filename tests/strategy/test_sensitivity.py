"""Sensitivity: what it measures, and mixed precision from it."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn

import kompakt as kp
from kompakt.data import digits
from kompakt.graph import trace
from kompakt.strategy.sensitivity import output_distance, sensitivity
from kompakt.zoo import DigitsNet

BATCH = torch.randn(32, 3, 6, 6, generator=torch.Generator().manual_seed(0))


class TwoLayers(nn.Module):
    """The second layer's weights are on a 2-bit grid already; the first one's are not."""

    def __init__(self) -> None:
        super().__init__()
        self.hard, self.easy = nn.Conv2d(3, 8, 3), nn.Conv2d(8, 4, 1)
        with torch.no_grad():
            self.easy.weight.copy_(torch.randint(-2, 2, self.easy.weight.shape) * 0.25)

    def forward(self, x: Tensor) -> Tensor:
        return self.easy(torch.relu(self.hard(x))).mean((2, 3))


def test_a_layer_that_lies_on_the_grid_loses_nothing():
    torch.manual_seed(0)
    seen = []
    found = sensitivity(trace(TwoLayers().eval(), BATCH[:1]), ["hard", "easy"], "mmse", (2, 8), BATCH,
                        lambda *step: seen.append(step))  # fmt: skip
    assert [s.layer for s in found] == ["hard", "easy"]
    assert [s.weights for s in found] == [216, 32]
    assert found[0].loss[2] > 100 * found[0].loss[8] > 0
    assert found[1].loss[2] < 1e-9
    assert seen == [("hard", 0, 4), ("hard", 1, 4), ("easy", 2, 4), ("easy", 3, 4)]


def test_distances_are_entropy_for_classes_and_relative_error_else():
    a = torch.tensor([[2.0, 0.0]])
    p, q = torch.softmax(a[0], 0), torch.tensor([0.5, 0.5])
    assert output_distance(torch.zeros(1, 2), a) == pytest.approx(float((p * (p / q).log()).sum()))
    x = torch.randn(4, 3, 2, 2, generator=torch.Generator().manual_seed(0))
    assert output_distance(x * 1.1, x) == pytest.approx(0.01 * float(x.square().mean() / x.var()), rel=1e-5)
    assert output_distance(x, x) == 0


@pytest.mark.parametrize("mean_bits", [2.5, 4.0])
def test_mixed_precision_keeps_its_budget_and_spends_it(mean_bits):
    torch.manual_seed(0)
    small = kp.compress(
        DigitsNet(16), "mixed", data=digits().smallest(128, 64), settings={"stage.mean_bits": mean_bits}
    )
    inner = small.result["layers"][1:-1]
    bits = sum(layer["weight_bits"] * layer["params"] for layer in inner) / sum(layer["params"] for layer in inner)
    assert mean_bits - 1.5 < bits <= mean_bits
    assert small.result["engine"]["bit_equal_to_reference"]["equal"]
