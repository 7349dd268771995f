"""Batch-norm by shifts: the printed formula, its bounds, and the same numbers in the engine."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import nn

from kompakt.artifact import to_bytes
from kompakt.deploy import lower
from kompakt.engine import load
from kompakt.graph import trace, use_shift_norms
from kompakt.graph.shift_norm import ShiftBatchNorm
from kompakt.ops.powers import nearest_power
from support.nets import scramble


def normal(*shape: int, seed: int = 0) -> torch.Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed))


def printed(x: torch.Tensor) -> torch.Tensor:
    return torch.sign(x) * 2 ** torch.round(torch.log2(x.abs()))


def test_nearest_powers_are_the_printed_ones():
    x = torch.cat([normal(10_000), normal(10_000, seed=1) * 1e-9, normal(10_000, seed=2) * 1e9]).double()
    x = x.float()
    assert torch.equal(nearest_power(x).double(), printed(x.double()))
    share = nearest_power(x) / x
    assert 0.7071 < share.min() < share.max() < 1.4143
    assert nearest_power(torch.tensor([0.0, -4.0, 2.0**0.5, 1.5])).tolist() == [0, -4, 1, 2]
    z = normal(1_000_000)
    assert abs(float((z * nearest_power(z)).mean()) - 1.016) < 0.005, "card: E[z·AP2(z)] of normal values"


def norm(channels: int) -> nn.BatchNorm2d:
    torch.manual_seed(0)
    made = nn.BatchNorm2d(channels)
    scramble(made)
    return made


def test_training_is_the_printed_formula():
    plain, x = norm(5), 3 * normal(8, 5, 4, 4) + 1
    layer = ShiftBatchNorm(plain).train()
    before = layer.running_inverse.clone()
    rows = x.transpose(0, 1).flatten(1).double()
    centred = rows - rows.mean(1, keepdim=True)
    inverse = 1 / torch.sqrt((centred * printed(centred)).mean(1) + plain.eps)
    factor = printed(plain.weight.detach().double()) * printed(inverse)
    expected = factor[:, None] * centred + plain.bias.detach().double()[:, None]
    torch.testing.assert_close(layer(x).detach().transpose(0, 1).flatten(1).double(), expected, rtol=1e-5, atol=1e-5)
    torch.testing.assert_close(layer.running_inverse.double(), before.double() * 0.875 + inverse * 0.125)
    exact = nn.functional.batch_norm(x, None, None, plain.weight, None, True)
    share = (layer(x) - plain.bias[:, None, None]) / exact
    assert 0.42 < share[exact.abs() > 1e-3].min() < share[exact.abs() > 1e-3].max() < 2.38, "card, test 3"


def test_powers_of_two_need_no_rounding():
    plain = nn.BatchNorm1d(2, eps=1e-12)
    plain.weight.data = torch.tensor([0.5, -4.0])
    x = torch.tensor([[-2.0, 0.25], [2.0, -0.25]])
    torch.testing.assert_close(ShiftBatchNorm(plain).train()(x), plain.train()(x))


def test_gradients_reach_everything():
    plain, x = norm(3), normal(6, 3, 4, 4).requires_grad_()
    layer = ShiftBatchNorm(plain).train()
    assert layer.weight is plain.weight, "an optimizer may hold the parameter already"
    (layer(x) * normal(6, 3, 4, 4, seed=1)).sum().backward()
    for gradient in (x.grad, plain.weight.grad, plain.bias.grad):
        assert gradient.any()
        assert torch.isfinite(gradient).all()


@pytest.mark.parametrize("affine", [True, False])
def test_the_engine_multiplies_by_the_same_powers(affine):
    torch.manual_seed(0)
    net = nn.Sequential(nn.Conv2d(3, 6, 3), nn.BatchNorm2d(6, affine=affine), nn.ReLU(), nn.Conv2d(6, 2, 3)).eval()
    scramble(net[1]) if affine else net[1].running_var.uniform_(0.3, 2)
    graph, x = use_shift_norms(trace(net, torch.zeros(1, 3, 8, 8))), normal(4, 3, 8, 8)
    program = lower(graph)
    factors = next(node.attrs["m"] for node in program.nodes if node.op == "affine")
    assert (np.abs(np.frexp(factors[factors != 0])[0]) == 0.5).all(), "products with powers of two are shifts"
    with torch.no_grad():
        expected = graph.module(x)
    assert (expected - net(x)).abs().max() > 0
    torch.testing.assert_close(torch.from_numpy(load(to_bytes(program, {}))(x.numpy())), expected, rtol=1e-4, atol=1e-5)
