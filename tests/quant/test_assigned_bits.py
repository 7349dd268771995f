"""Bit-widths that change: the same numbers as a quantizer made for these bits."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from kompakt.quant import METHODS, Quantizer
from kompakt.quant.rule import mean_weight_bits


def normal(*shape: int, seed: int = 0) -> torch.Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed))


def quantizer(name: str, bits: int, x: torch.Tensor, is_activation: bool = False) -> Quantizer:
    made = Quantizer(METHODS[name], bits, signed=not is_activation, sample_axis=is_activation)
    made.fit(x)
    return made.eval()


@pytest.mark.parametrize("is_activation", [False, True])
@pytest.mark.parametrize("bits", [2, 3, 5, 8])
def test_assigned_bits_are_lsq_at_these_bits(bits, is_activation):
    """Values, codes and gradients."""
    x, upstream = normal(6, 40), normal(6, 40, seed=1)
    x = x.clamp_min(0) if is_activation else x
    changed, plain = quantizer("adaqat", 8, x, is_activation), quantizer("lsq", bits, x, is_activation)
    changed.rule.assign(bits)
    found = []
    for made in (changed, plain):
        made.zero_grad()
        y = x.clone().requires_grad_()
        (made(y) * upstream).sum().backward()
        codes, encoding, scale = made.encode(x)
        assert np.array_equal(made.decode(codes, encoding, scale), made(x).detach().numpy())
        found.append((made(x).detach(), y.grad, made.rule.step.grad, torch.from_numpy(codes), encoding.bits))
    for one, other in zip(*found, strict=True):
        torch.testing.assert_close(one, other, rtol=1e-5, atol=1e-6)


def test_the_step_keeps_what_it_learned_when_bits_change():
    made = quantizer("bmpq", 8, normal(6, 40))
    start = made.rule.starts.clone()
    with torch.no_grad():
        made.rule.step.mul_(1.3)
    made.rule.assign(4)
    torch.testing.assert_close(made.rule.step.detach(), 1.3 * start[4:5])
    made.rule.assign(8)
    torch.testing.assert_close(made.rule.step.detach(), 1.3 * start[8:9])


def test_with_the_weight_the_step_starts_anew():
    weight = normal(6, 40)
    made = quantizer("bmpq", 8, weight)
    made.rule.assign(3, 5 * weight)
    expected = quantizer("lsq", 3, 5 * weight).rule.step
    torch.testing.assert_close(made.rule.step.detach(), expected.detach())


def test_trying_other_bits_leaves_no_trace():
    made = quantizer("bmpq", 6, normal(6, 40))
    before = {key: value.clone() for key, value in made.state_dict().items()}
    with made.rule.tried(3):
        assert made.rule.whole_bits == 3
    assert all(torch.equal(value, before[key]) for key, value in made.state_dict().items())


def test_the_mean_counts_weights_and_leaves_out_activations():
    small, large, other = normal(2, 10), normal(6, 10), normal(4, 10).clamp_min(0)
    rules = [(quantizer("adaqat", bits, x).rule, x) for bits, x in ((8, small), (4, large))]
    rules.append((quantizer("adaqat", 2, other, is_activation=True).rule, None))
    assert mean_weight_bits(rules) == pytest.approx(5.0)
    assert mean_weight_bits([]) == 0
