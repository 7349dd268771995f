"""The rule of LSQ: start, gradient scale, floor, balance of updates, use of codes."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from kompakt.graph import trace
from kompakt.ops import uniform
from kompakt.quant import METHODS, Quantizer
from kompakt.quant.attach import Choice, LayerChoice, attach, calibrate, quantizers
from kompakt.zoo import DigitsNet

PARTS = METHODS["lsq"]


def normal(*shape: int, seed: int = 0) -> torch.Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed))


def test_the_gradient_scale_counts_values_per_sample():
    quantizer = Quantizer(PARTS, 4, signed=False, sample_axis=True)
    for samples in (1, 7):
        quantizer.fit(normal(samples, 3, 5, 5).clamp_min(0))
        assert quantizer.rule.gradient_scale == pytest.approx(1 / math.sqrt(75 * 15))


def test_the_gradient_scale_of_weights_counts_all_of_them():
    quantizer = Quantizer(PARTS, 3, signed=True)
    quantizer.fit(normal(8, 4, 3, 3))
    assert quantizer.rule.gradient_scale == pytest.approx(1 / math.sqrt(288 * 3))


def test_the_gradient_scale_comes_back_with_the_state():
    quantizer, other = Quantizer(PARTS, 3, signed=True), Quantizer(PARTS, 3, signed=True)
    quantizer.fit(normal(8, 4))
    other.load_state_dict(quantizer.state_dict())
    assert other.rule.gradient_scale == quantizer.rule.gradient_scale


def test_fitting_keeps_the_parameter_that_an_optimizer_holds():
    quantizer = Quantizer(PARTS, 3, signed=True)
    optimizer = torch.optim.SGD(quantizer.parameters(), lr=0.1)
    quantizer.fit(normal(8, 4))
    assert optimizer.param_groups[0]["params"][0] is quantizer.rule.step


def test_the_step_stays_above_a_floor():
    """Pitfall 1: a step that crosses zero ruins training."""
    quantizer, x = Quantizer(PARTS, 3, signed=True).train(), normal(8, 4)
    quantizer.fit(x)
    optimizer = torch.optim.SGD(quantizer.parameters(), lr=1e6)
    (quantizer(x) * 5).square().sum().backward()
    optimizer.step()
    assert quantizer.rule.step < 0
    quantizer.rule.after_step()
    assert quantizer.rule.step > 0
    assert torch.isfinite(quantizer(x)).all()


@pytest.mark.parametrize("signed", [True, False])
def test_an_all_zero_first_batch(signed):
    """Section 5: no division by zero, and a later fit to other data starts anew."""
    quantizer = Quantizer(PARTS, 2, signed, sample_axis=True).train()
    quantizer.fit(torch.zeros(4, 6))
    assert quantizer.rule.step > 0
    y = quantizer(torch.zeros(4, 6, requires_grad=True))
    y.sum().backward()
    assert not y.any()
    assert torch.isfinite(quantizer.rule.step.grad).all()
    quantizer.fit(normal(4, 6).clamp_min(0))
    assert 0.1 < quantizer.rule.step.item() < 2


def test_every_channel_trains_a_step_of_its_own():
    """A channel's step has the gradient that this channel alone would give, with its own count; small steps less."""
    together = Quantizer(METHODS["lsq_channel"], 3, signed=True, grains=4).train()
    x = normal(4, 7, 3, 3) * torch.tensor([0.1, 1.0, 3.0, 20.0])[:, None, None, None]
    together.fit(x)
    together(x).square().sum().backward()
    step = together.rule.step.detach()
    factor = (step.square() / step.square().mean()).clamp(max=1)
    assert factor[0] < 1e-3 < 1 == factor[3]
    for channel, row in enumerate(x):
        alone = Quantizer(PARTS, 3, signed=True).train()
        alone.fit(row)
        alone(row).square().sum().backward()
        torch.testing.assert_close(together.rule.step[channel], alone.rule.step[0])
        torch.testing.assert_close(together.rule.step.grad[channel], alone.rule.step.grad[0] * factor[channel])


def test_the_step_of_a_nearly_dead_channel_stays_in_range():
    """In front of a batch-norm its gradient grows as its weights shrink; unscaled, it leaves by a factor of 3000."""
    size = torch.tensor([1.0, 0.3, 0.01, 2.5])[:, None, None, None]
    w = torch.nn.Parameter(0.5 * size * normal(4, 3, 3, 3))
    quantizer = Quantizer(METHODS["lsq_channel"], 8, signed=True, grains=4).train()
    quantizer.fit(w.detach())
    norm, head = torch.nn.BatchNorm2d(4), torch.nn.Linear(4, 10)
    parts = [w, *quantizer.parameters(), *norm.parameters(), *head.parameters()]
    optimizer = torch.optim.SGD(parts, lr=0.04, momentum=0.9, nesterov=True)
    x, labels = normal(64, 3, 12, 12, seed=1), torch.arange(64) % 10
    for _ in range(120):
        loss = 4 * F.cross_entropy(head(norm(F.conv2d(x, quantizer(w))).relu().mean((2, 3))), labels)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        quantizer.rule.after_step()
    reach = 127 * quantizer.rule.step.detach() / w.detach().flatten(1).abs().amax(1)
    assert (reach < 10).all()


@pytest.mark.parametrize("bits", PARTS.bits)
def test_codes_use_all_levels_and_decode_to_the_forward_values(bits):
    """Card, test 8. An 8-bit weight leaves out -128 by design."""
    quantizer = Quantizer(PARTS, bits, signed=True)
    lo, hi = quantizer.grid.limits
    x = 0.1 * (lo - 0.5 + (hi - lo + 1) * torch.rand(64, 300, generator=torch.Generator().manual_seed(0)))
    quantizer.fit(x)
    quantizer.eval()
    codes, encoding, scale = quantizer.encode(x)
    assert len(np.unique(codes)) == 2**bits - (bits == 8)
    assert np.array_equal(quantizer.decode(codes, encoding, scale), quantizer(x).detach().numpy())


def balance(bits: int, with_scale: bool) -> dict[str, float]:
    """R = (|∇s| / s) / (‖∇w‖ / ‖w‖) of every inner layer of a small net after one backward pass."""
    torch.manual_seed(0)
    net, x, labels = DigitsNet(16), normal(64, 1, 8, 8), torch.arange(64) % 10
    for _ in range(60):
        net(x)  # batch-norm learns its statistics, as in any trained network
    graph = trace(net, x[:2])
    choice = LayerChoice(Choice("lsq", bits), Choice("lsq", bits))
    graph = attach(graph, {str(node.target): choice for node in graph.layers()}, None)
    calibrate(graph, x)
    if not with_scale:
        for quantizer in quantizers(graph):
            quantizer.rule.gradient_scale = 1.0
    graph.module.train()
    F.cross_entropy(graph.module(x), labels).backward()
    ratios = {}
    for node in graph.layers():
        slot = graph.submodule(node).parametrizations.weight
        weight, step = slot.original.detach(), slot[0].quantizer.rule.step.detach()
        gradient, step_gradient = slot.original.grad, slot[0].quantizer.rule.step.grad
        ratios[str(node.target)] = float((step_gradient.abs() / step) / (gradient.norm() / weight.norm()))
    return ratios


@pytest.mark.parametrize("bits", [2, 4, 8])
def test_updates_of_steps_and_weights_are_balanced(bits):
    """Card, test 4: R is near 1 with the gradient scale, and sqrt(N · Q_P) times as large without: 12 to 1000 times."""
    scaled, plain = balance(bits, True), balance(bits, False)
    assert 0.1 < float(np.median(list(scaled.values()))) < 10, scaled
    top = uniform.limits(bits, signed=True, symmetric=bits == 8)[1]
    for (name, r), count in zip(scaled.items(), (144, 2304, 4608, 9216, 320), strict=True):
        assert plain[name] == pytest.approx(r * math.sqrt(count * top), rel=1e-3), name


def test_the_imbalance_without_the_scale_grows_with_the_bits():
    medians = [np.median(list(balance(bits, False).values())) for bits in (2, 8)]
    assert medians[1] > medians[0]
