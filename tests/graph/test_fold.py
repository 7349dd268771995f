"""Folding batch-norm is exact up to float rounding, and leaves its argument alone."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from kompakt.graph import fold_batch_norm, trace
from kompakt.graph.fold import batch_norm_affine
from support.nets import NETS, build


@pytest.mark.parametrize("name", NETS)
@torch.no_grad()
def test_folding_changes_no_output(name):
    net, x = build(name)
    graph = trace(net, x)
    folded = fold_batch_norm(graph)
    expected = net(x)
    torch.testing.assert_close(folded.module(x), expected, rtol=1e-5, atol=1e-5 * float(expected.abs().max()))
    assert torch.equal(graph.module(x), expected), "the graph that came in must not change"


def test_every_batch_norm_behind_a_layer_goes():
    net, x = build("identity")
    folded = fold_batch_norm(trace(net, x))
    assert not any(isinstance(module, nn.BatchNorm2d) for module in folded.module.modules())
    assert not any("running_mean" in key for key in folded.module.state_dict())


def test_a_batch_norm_in_front_of_a_layer_stays():
    net, x = build("bn_before_conv")
    folded = fold_batch_norm(trace(net, x))
    kinds = [folded.kind(node).op for node in folded.nodes]
    assert kinds.count("batch_norm") == 3


class ReadTwice(nn.Module):
    """The convolution's own result is needed besides the normalised one."""

    def __init__(self) -> None:
        super().__init__()
        self.conv, self.norm = nn.Conv2d(3, 4, 1), nn.BatchNorm2d(4)

    def forward(self, x):
        y = self.conv(x)
        return self.norm(y) + y


@torch.no_grad()
def test_a_layer_that_is_read_twice_keeps_its_batch_norm():
    net, x = ReadTwice().eval(), torch.randn(2, 3, 4, 4)
    folded = fold_batch_norm(trace(net, x))
    assert "batch_norm" in [folded.kind(node).op for node in folded.nodes]
    assert torch.equal(folded.module(x), net(x))


@pytest.mark.parametrize("affine", [True, False])
@torch.no_grad()
def test_the_affine_form_of_batch_norm(affine):
    norm = nn.BatchNorm2d(5, affine=affine).double().eval()
    norm.running_mean.normal_()
    norm.running_var.uniform_(0.1, 3)
    if affine:
        norm.weight.normal_()
        norm.bias.normal_()
    x = torch.randn(2, 5, 3, 3, dtype=torch.float64)
    multiplier, offset = batch_norm_affine(norm)
    found = x * multiplier.reshape(-1, 1, 1) + offset.reshape(-1, 1, 1)
    torch.testing.assert_close(found, norm(x), rtol=1e-12, atol=1e-12)
